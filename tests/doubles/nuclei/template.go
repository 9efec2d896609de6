package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// template is the part of a Nuclei template that the double can run. A key that it doesn't know makes the
// template invalid, as a key that Nuclei doesn't know does there.
type template struct {
	ID       string         `yaml:"id"`
	Info     info           `yaml:"info"`
	HTTP     []*httpRequest `yaml:"http"`
	Requests []*httpRequest `yaml:"requests"` // the older name of http

	path   string
	source []byte
	faults []fault
}

// info is written into every event as it was read.
type info struct {
	Name           string          `yaml:"name" json:"name,omitempty"`
	Authors        words           `yaml:"author" json:"author"`
	Tags           words           `yaml:"tags" json:"tags"`
	Description    string          `yaml:"description" json:"description,omitempty"`
	Impact         string          `yaml:"impact" json:"impact,omitempty"`
	Reference      *rawWords       `yaml:"reference" json:"reference,omitempty"`
	Severity       string          `yaml:"severity" json:"severity"`
	Metadata       map[string]any  `yaml:"metadata" json:"metadata,omitempty"`
	Classification *classification `yaml:"classification" json:"classification,omitempty"`
	Remediation    string          `yaml:"remediation" json:"remediation,omitempty"`
}

type classification struct {
	CVEID          words   `yaml:"cve-id" json:"cve-id"`
	CWEID          words   `yaml:"cwe-id" json:"cwe-id"`
	CVSSMetrics    string  `yaml:"cvss-metrics" json:"cvss-metrics,omitempty"`
	CVSSScore      float64 `yaml:"cvss-score" json:"cvss-score,omitempty"`
	EPSSScore      float64 `yaml:"epss-score" json:"epss-score,omitempty"`
	EPSSPercentile float64 `yaml:"epss-percentile" json:"epss-percentile,omitempty"`
	CPE            string  `yaml:"cpe" json:"cpe,omitempty"`
}

// words is a list, or a string with commas; lower-cased. Not given, it is null in an event.
type words []string

func (w *words) UnmarshalYAML(node *yaml.Node) error {
	raw := rawWords{}
	if err := raw.UnmarshalYAML(node); err != nil {
		return err
	}
	*w = words{}
	for _, item := range raw {
		for _, part := range strings.Split(item, ",") {
			*w = append(*w, strings.ToLower(strings.TrimSpace(part)))
		}
	}
	return nil
}

// rawWords is a list, or one string.
type rawWords []string

func (w *rawWords) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*w = rawWords{node.Value}
		return nil
	}
	return node.Decode((*[]string)(w))
}

// httpRequest is one entry under http.
type httpRequest struct {
	ID                string            `yaml:"id"`
	Method            string            `yaml:"method"`
	Path              []string          `yaml:"path"`
	Raw               []string          `yaml:"raw"`
	Headers           map[string]string `yaml:"headers"`
	Body              string            `yaml:"body"`
	Redirects         bool              `yaml:"redirects"`
	HostRedirects     bool              `yaml:"host-redirects"`
	MaxRedirects      int               `yaml:"max-redirects"`
	MaxSize           int               `yaml:"max-size"`
	StopAtFirstMatch  bool              `yaml:"stop-at-first-match"`
	MatchersCondition string            `yaml:"matchers-condition"`
	Matchers          []*matcher        `yaml:"matchers"`
	Extractors        []*extractor      `yaml:"extractors"`
}

// requestCount is what the statistics count for one target.
func (t *template) requestCount() int {
	count := 0
	for _, request := range t.HTTP {
		count += len(request.Path) + len(request.Raw)
	}
	return count
}

var validID = regexp.MustCompile(`^([a-zA-Z0-9]+[-_])*[a-zA-Z0-9]+$`)

// errExcluded marks a template that .nuclei-ignore or -exclude-tags leaves out.
var errExcluded = errors.New("the template was excluded")

// parseTemplate reads one file. Its errors leave no trace in the log of a scan.
func parseTemplate(path string) (*template, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	parsed := &template{path: path, source: source}
	decoder := yaml.NewDecoder(bytes.NewReader(source))
	decoder.KnownFields(true)
	if err := decoder.Decode(parsed); err != nil {
		return nil, err
	}
	parsed.HTTP = append(parsed.HTTP, parsed.Requests...)
	return parsed, parsed.checkMandatory()
}

func (t *template) checkMandatory() error {
	switch {
	case strings.TrimSpace(t.Info.Name) == "":
		return errors.New(`cause="no template name field provided" tag=invalid_template`)
	case len(t.Info.Authors) == 0:
		return errors.New(`cause="no template author field provided" tag=invalid_template`)
	case !validID.MatchString(t.ID):
		return fmt.Errorf(`cause="template id must match expression %%v" !BADKEY=%s tag=invalid_template`, validID)
	case t.Info.Severity != "" && !contains(severityNames, strings.ToLower(t.Info.Severity)):
		return fmt.Errorf("Invalid severity: %s", t.Info.Severity)
	}
	for _, request := range t.HTTP {
		for _, m := range request.Matchers {
			if !contains(matcherTypes, m.Type) {
				return fmt.Errorf("Invalid matcher type: %s", m.Type)
			}
		}
	}
	return nil
}

// matcherTypes are Nuclei's; the double cannot compile the last three.
var matcherTypes = []string{"status", "size", "word", "regex", "binary", "dsl", "xpath"}

// compile prepares operators and faults, and refuses what the double cannot run.
func (t *template) compile() error {
	if len(t.HTTP) == 0 {
		return fmt.Errorf("no requests defined for %s", t.ID)
	}
	for _, request := range t.HTTP {
		for _, m := range request.Matchers {
			if err := m.compile(); err != nil {
				return fmt.Errorf("could not compile http request: %w", err)
			}
		}
		for _, e := range request.Extractors {
			if err := e.compile(); err != nil {
				return fmt.Errorf("could not compile http request: %w", err)
			}
		}
	}
	var err error
	t.faults, err = parseFaults(t.Info.Metadata[faultKey])
	return err
}

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
		if contains(excluded, path) {
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
			continue
		case err != nil:
			logs.warnf("Could not load template %s: %s", path, err)
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
		if !seen[loaded.ID] {
			seen[loaded.ID] = true
			found.templates = append(found.templates, loaded)
		}
	}
	sort.SliceStable(found.templates, func(i, j int) bool { return found.templates[i].path < found.templates[j].path })
	return found
}

// selects applies the filters in Nuclei's order. A template without a severity is in none of -severity's.
func (o *options) selects(t *template, blocked []string) (bool, error) {
	for _, tag := range t.Info.Tags {
		if contains(blocked, tag) && !contains(o.includeTags, tag) {
			return false, errExcluded
		}
	}
	if len(o.tags) > 0 && !overlap(o.tags, t.Info.Tags) {
		return false, nil
	}
	if len(o.authors) > 0 && !overlap(o.authors, t.Info.Authors) {
		return false, nil
	}
	severity := strings.ToLower(t.Info.Severity)
	if len(o.severities) > 0 && !contains(o.severities, severity) || contains(o.excludeSeverities, severity) {
		return false, nil
	}
	if len(o.protocols) > 0 && !contains(o.protocols, "http") {
		return false, nil
	}
	id := strings.ToLower(t.ID)
	included := len(o.ids) == 0
	for _, pattern := range o.ids {
		if ok, _ := filepath.Match(pattern, id); ok {
			included = true
		}
	}
	return included && !contains(o.excludeIDs, id), nil
}

func overlap(a, b []string) bool {
	for _, word := range a {
		if contains(b, word) {
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
		if !contains(paths, path) {
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
				if err == nil && !entry.IsDir() && (strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml")) {
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

// validateTemplates is -validate: every problem is an error line, and one is enough to fail.
func validateTemplates(opts *options, dirs configDirs, logs *logger) error {
	valid := true
	missing := func(path string, err error) { logs.errorf("Could not find template '%s': %s", path, err) }
	for _, path := range findTemplates(opts.templates, opts.templatesDir, missing) {
		loaded, err := parseTemplate(path)
		if err == nil {
			err = loaded.compile()
		}
		if err != nil {
			cause := fmt.Sprintf("Could not load template %s: %s", path, err)
			logs.errorf("Error occurred loading template %s: cause=%q", path, cause)
			valid = false
		}
	}
	if !valid {
		return errors.New("errors occurred during template validation")
	}
	logs.infof("All templates validated successfully")
	return nil
}
