package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// library is the outcome of loading the templates that were asked for.
type library struct {
	templates                           []*template
	syntaxWarnings, runtimeErrors, weak int
}

// loadTemplates finds, reads and filters. Missing paths are logged, unreadable templates only at a level that
// nobody sees, and filtered ones not at all.
func loadTemplates(opts *options, dirs configDirs, logs *logger) *library {
	asked := opts.templates
	if len(asked) == 0 {
		asked = []string{opts.templatesDir}
	}
	paths := findTemplates(asked, opts.templatesDir, func(path string, err error) {
		logs.errorf("Could not find template '%s': %s", path, err)
	})
	excluded := findTemplates(opts.excludeTemplates, opts.templatesDir, func(string, error) {})
	// Read twice, as by Nuclei: that the file is missing is told twice.
	_ = readIgnoreFile(dirs, logs)
	blocked := append(readIgnoreFile(dirs, logs), opts.excludeTags...)

	found, seen := &library{}, map[string]bool{}
	for _, path := range paths {
		if slices.Contains(excluded, path) {
			continue
		}
		loaded, err := parseTemplate(path)
		if err == nil {
			var wanted bool
			if wanted, err = opts.selects(loaded, blocked); err == nil && !wanted {
				continue
			}
		}
		switch {
		case errors.Is(err, errExcluded):
			found.weak++
			if os.Getenv("NUCLEI_LOG_ALL") == "true" {
				logs.warnf("%s excluded from default run using .nuclei-ignore", path)
			}
			continue
		case err != nil:
			logs.warnf("cause=%q", fmt.Sprintf("Could not load template %s: %s", path, err))
			continue
		}
		if loaded.Info.Severity == "" {
			found.syntaxWarnings++
		}
		if err := loaded.compile(); err != nil {
			found.runtimeErrors++
			logs.warnf("Could not parse template %s: %s", path, err)
			continue
		}
		if opts.disableUnsigned && !isSigned(path) {
			continue
		}
		if !seen[loaded.ID] {
			seen[loaded.ID] = true
			found.templates = append(found.templates, loaded)
		} else {
			logs.debugf("Skipping duplicate template ID '%s' from path '%s'", loaded.ID, path)
		}
	}
	sort.SliceStable(found.templates, func(i, j int) bool { return found.templates[i].path < found.templates[j].path })
	return found
}

// isSigned reports whether a template ends with a signature; the stand-in believes each.
func isSigned(path string) bool {
	lines, err := readLines(path)
	return err == nil && slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "# digest: ") })
}

// selects applies the filters in Nuclei's order. A template without a severity is in none of -severity's.
func (o *options) selects(t *template, blocked []string) (bool, error) {
	for _, tag := range t.Info.Tags {
		if slices.Contains(blocked, tag) && !slices.Contains(o.includeTags, tag) {
			return false, errExcluded
		}
	}
	if len(o.tags) > 0 && !overlap(o.tags, t.Info.Tags) {
		return false, nil
	}
	if len(o.authors) > 0 && !overlap(o.authors, t.Info.Authors) {
		return false, nil
	}
	severity := t.Info.Severity
	if len(o.severities) > 0 && !slices.Contains(o.severities, severity) || slices.Contains(o.excludeSeverities, severity) {
		return false, nil
	}
	if slices.Contains(o.excludeProtocols, "http") || len(o.protocols) > 0 && !slices.Contains(o.protocols, "http") {
		return false, nil
	}
	id := strings.ToLower(t.ID)
	included := len(o.ids) == 0
	for _, pattern := range o.ids {
		if ok, _ := filepath.Match(pattern, id); ok {
			included = true
		}
	}
	return included && !slices.Contains(o.excludeIDs, id), nil
}

func overlap(a, b []string) bool {
	for _, word := range a {
		if slices.Contains(b, word) {
			return true
		}
	}
	return false
}

// findTemplates expands files, folders and globs; a relative path is looked for in the working directory, then
// in the templates folder.
func findTemplates(asked []string, templatesDir string, missing func(string, error)) []string {
	var paths []string
	add := func(path string) {
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	for _, name := range asked {
		target := resolve(name, templatesDir)
		if strings.Contains(target, "*") {
			matches, _ := filepath.Glob(target)
			for _, match := range matches {
				add(match)
			}
			if len(matches) == 0 {
				missing(name, fmt.Errorf("no templates found in path %q", target))
			}
			continue
		}
		stat, err := os.Stat(target)
		switch {
		case err != nil && target == name && !filepath.IsAbs(name):
			missing(name, fmt.Errorf("could not find template file: no such path found: %s", name))
		case err != nil:
			missing(name, fmt.Errorf("could not find file: open %s: no such file or directory", target))
		case stat.Mode().IsRegular():
			add(target)
		default:
			count := len(paths)
			_ = filepath.WalkDir(target, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
					add(path)
				}
				return nil
			})
			if len(paths) == count {
				missing(name, fmt.Errorf("no templates found in path %q", target))
			}
		}
	}
	return paths
}

func resolve(name, templatesDir string) string {
	if filepath.IsAbs(name) {
		return name
	}
	base := name
	if strings.Contains(name, "*") {
		base = filepath.Dir(name)
	}
	for _, root := range []string{".", templatesDir} {
		if _, err := os.Stat(filepath.Join(root, base)); err == nil {
			if absolute, err := filepath.Abs(filepath.Join(root, name)); err == nil {
				return absolute
			}
		}
	}
	return name
}

// readIgnoreFile gives the tags that are excluded unless asked for; without the file, none are.
func readIgnoreFile(dirs configDirs, logs *logger) []string {
	path := filepath.Join(dirs.config, ".nuclei-ignore")
	body, err := os.ReadFile(path)
	if err != nil {
		logs.errorf("Could not read nuclei-ignore file: %s", err)
		return nil
	}
	var ignored struct {
		Tags  []string `yaml:"tags"`
		Files []string `yaml:"files"`
	}
	if err := yaml.Unmarshal(body, &ignored); err != nil {
		logs.errorf("Could not parse nuclei-ignore file: %s", err)
	}
	return ignored.Tags
}

// validateTemplates is -validate: every problem of reading or compiling is an error line, and one is enough to fail.
func validateTemplates(opts *options, dirs configDirs, logs *logger) error {
	valid := true
	missing := func(path string, err error) { logs.errorf("Could not find template '%s': %s", path, err) }
	for _, path := range findTemplates(opts.templates, opts.templatesDir, missing) {
		loaded, err := parseTemplate(path)
		if err == nil && loaded.Info.Severity == "" {
			err = errors.New(`cause="field 'severity' is missing"`)
		}
		if err != nil {
			cause := fmt.Sprintf("Could not load template %s: %s", path, err)
			logs.errorf("Error occurred loading template %s: cause=%q", path, cause)
			valid = false
		} else if err := loaded.compile(); err != nil {
			logs.errorf("Error occurred parsing template %s: %s", path, err)
			valid = false
		}
	}
	if !valid {
		return errors.New("errors occurred during template validation")
	}
	logs.infof("All templates validated successfully")
	return nil
}
