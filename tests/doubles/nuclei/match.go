package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// answer is what operators look at: body, all_headers, header, response, request, status_code, host, and every
// response header by its lower-case name with underscores.
type answer struct {
	status int
	parts  map[string]string
}

func (a *answer) part(name, otherwise string) (string, bool) {
	switch name {
	case "":
		name = otherwise
	case "header":
		name = "all_headers"
	case "all":
		return a.parts["body"] + a.parts["all_headers"], true
	}
	text, ok := a.parts[name]
	return text, ok
}

type matcher struct {
	Type            string   `yaml:"type"`
	Name            string   `yaml:"name"`
	Part            string   `yaml:"part"`
	Condition       string   `yaml:"condition"`
	Negative        bool     `yaml:"negative"`
	CaseInsensitive bool     `yaml:"case-insensitive"`
	Internal        bool     `yaml:"internal"`
	Status          []int    `yaml:"status"`
	Size            []int    `yaml:"size"`
	Words           []string `yaml:"words"`
	Regex           []string `yaml:"regex"`

	compiled []*regexp.Regexp
}

func (m *matcher) compile() error {
	switch m.Type {
	case "word", "status", "size":
	case "regex":
		for _, pattern := range m.Regex {
			compiled, err := regexp.Compile(pattern)
			if err != nil {
				return fmt.Errorf("could not compile regex: %s", pattern)
			}
			m.compiled = append(m.compiled, compiled)
		}
	default:
		return fmt.Errorf("unknown matcher type specified: %s", m.Type)
	}
	if m.Condition != "" && m.Condition != "and" && m.Condition != "or" {
		return fmt.Errorf("unknown condition specified: %s", m.Condition)
	}
	if m.CaseInsensitive {
		if m.Type != "word" {
			return fmt.Errorf("case-insensitive flag is supported only for 'word' matchers (not '%s')", m.Type)
		}
		for i, word := range m.Words {
			m.Words[i] = strings.ToLower(word)
		}
	}
	return nil
}

func (m *matcher) matches(a *answer) bool {
	text, ok := a.part(m.Part, "body")
	if !ok {
		return false
	}
	if m.CaseInsensitive {
		text = strings.ToLower(text)
	}
	return m.holds(a, text) != m.Negative
}

func (m *matcher) holds(a *answer, text string) bool {
	switch m.Type {
	case "status":
		return slices.Contains(m.Status, a.status)
	case "size":
		return slices.Contains(m.Size, len(text))
	case "word":
		return m.combine(len(m.Words), func(i int) bool { return strings.Contains(text, m.Words[i]) })
	default:
		return m.combine(len(m.compiled), func(i int) bool { return m.compiled[i].MatchString(text) })
	}
}

// combine joins n tests by the matcher's condition, which is "or" unless it says "and".
func (m *matcher) combine(n int, test func(int) bool) bool {
	for i := 0; i < n; i++ {
		if test(i) != (m.Condition == "and") {
			return m.Condition != "and"
		}
	}
	return m.Condition == "and" && n > 0
}

type extractor struct {
	Type            string   `yaml:"type"`
	Name            string   `yaml:"name"`
	Part            string   `yaml:"part"`
	Regex           []string `yaml:"regex"`
	Group           int      `yaml:"group"`
	KVal            []string `yaml:"kval"`
	CaseInsensitive bool     `yaml:"case-insensitive"`

	compiled []*regexp.Regexp
}

func (e *extractor) compile() error {
	switch e.Type {
	case "kval":
	case "regex":
		for _, pattern := range e.Regex {
			compiled, err := regexp.Compile(pattern)
			if err != nil {
				return fmt.Errorf("could not compile regex: %s", pattern)
			}
			e.compiled = append(e.compiled, compiled)
		}
	default:
		return fmt.Errorf("unknown extractor type specified: %s", e.Type)
	}
	return nil
}

// extract gives the distinct values found; their order means nothing.
func (e *extractor) extract(a *answer) []string {
	var found []string
	add := func(value string) {
		if !slices.Contains(found, value) {
			found = append(found, value)
		}
	}
	for _, key := range e.KVal {
		if value, ok := a.parts[key]; ok {
			add(value)
		}
	}
	text, _ := a.part(e.Part, "body")
	for _, pattern := range e.compiled {
		for _, match := range pattern.FindAllStringSubmatch(text, -1) {
			if e.Group < len(match) {
				add(match[e.Group])
			}
		}
	}
	return found
}

// verdict is one finding in the making: which named operator it belongs to, and what was extracted.
type verdict struct {
	matcherName, extractorName string
	extracted                  []string
}

// leavesOut says whether a matcher of a template is excluded, as ID, ID:*, ID:NAME or *:NAME.
func (o *options) leavesOut(id, matcher string) bool {
	ways := []string{id, id + ":*"}
	if matcher != "" {
		ways = append(ways, id+":"+matcher, "*:"+matcher)
	}
	return slices.ContainsFunc(ways, func(way string) bool { return slices.Contains(o.excludeMatchers, way) })
}

// judge runs all operators of a request over an answer, but for excluded matchers. Each named matcher under the condition
// "or" is a finding of its own, else each named extractor is, else there is one.
func (r *httpRequest) judge(a *answer, excluded func(matcher string) bool) []verdict {
	var outputs []string
	named := map[string][]string{}
	for _, e := range r.Extractors {
		values := e.extract(a)
		for _, value := range values {
			if !slices.Contains(outputs, value) {
				outputs = append(outputs, value)
			}
		}
		if len(values) > 0 && e.Name != "" {
			named[e.Name] = values
		}
	}
	matched := false
	var names []string
	for _, m := range r.Matchers {
		if excluded(m.Name) {
			continue
		}
		if m.matches(a) {
			matched = true
			if r.MatchersCondition != "and" && m.Name != "" && !slices.Contains(names, m.Name) {
				names = append(names, m.Name)
			}
		} else if r.MatchersCondition == "and" {
			return nil
		}
	}
	if !matched && (len(r.Matchers) > 0 || len(outputs) == 0) {
		return nil
	}
	var verdicts []verdict
	for _, name := range names {
		verdicts = append(verdicts, verdict{matcherName: name, extracted: outputs})
	}
	if len(verdicts) == 0 {
		for name, values := range named {
			verdicts = append(verdicts, verdict{extractorName: name, extracted: values})
		}
	}
	if len(verdicts) == 0 {
		verdicts = append(verdicts, verdict{extracted: outputs})
	}
	return verdicts
}
