package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// runAutomatic is -as: on each target the templates that look for technologies, then those that have a tag of what
// these have found. It chooses among the templates folder and -t. Nuclei's own fingerprints are not here.
func (s *scan) runAutomatic() (bool, error) {
	candidates := *s.opts
	candidates.templates = append([]string{s.opts.templatesDir}, s.opts.templates...)
	var missing error
	findTemplates(candidates.templates[:1], s.opts.templatesDir, func(_ string, err error) { missing = err })
	if missing != nil {
		return false, fmt.Errorf("could not create automatic scan service: could not get templates in directory: %w", missing)
	}
	tagged := func(tags []string) []*template {
		candidates.tags = tags
		found := loadTemplates(&candidates, s.dirs, s.logs).templates
		s.list(found)
		return found
	}
	looking := tagged([]string{"tech", "detect", "favicon"})
	if len(looking) == 0 {
		return false, errors.New("could not create automatic scan service: could not find any templates with tech tag")
	}
	s.logs.infof("Executing Automatic scan on %d target[s]", len(s.targets))
	matched := false
	for _, target := range s.targets {
		var tags []string
		for _, t := range looking {
			s.matcherNames = nil
			if !s.visit(t, target) {
				continue
			}
			matched = true
			tags = append(tags, s.matcherNames...)
			for _, tag := range t.Info.Tags {
				if strings.Contains(t.ID, tag) || strings.Contains(strings.ToLower(t.Info.Name), tag) {
					tags = append(tags, tag)
				}
			}
		}
		tags = slices.DeleteFunc(tags, func(tag string) bool { return slices.Contains([]string{"tech", "waf", "favicon"}, tag) })
		s.logs.infof("Found %d tags on %s", len(tags), target)
		if len(tags) == 0 {
			s.logs.warnf("Skipping automatic scan since no tags were found on %s", target)
			continue
		}
		for _, t := range tagged(tags) {
			matched = s.visit(t, target) || matched
		}
	}
	return matched, nil
}
