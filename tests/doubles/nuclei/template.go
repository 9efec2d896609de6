package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	var items rawWords
	if err := items.UnmarshalYAML(node); err != nil {
		return err
	}
	if node.Kind == yaml.ScalarNode {
		items = strings.Split(node.Value, ",")
	}
	*w = words{}
	for _, item := range items {
		*w = append(*w, strings.ToLower(strings.TrimSpace(item)))
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
	if ext := filepath.Ext(path); ext != ".yaml" && ext != ".json" {
		return nil, fmt.Errorf("failed to identify template format expected JSON or YAML but got %s", path)
	}
	parsed := &template{path: path, source: source}
	decoder := yaml.NewDecoder(bytes.NewReader(source))
	decoder.KnownFields(true)
	if err := decoder.Decode(parsed); err != nil {
		return nil, err
	}
	parsed.Info.Severity = strings.ToLower(parsed.Info.Severity)
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
	case t.Info.Severity != "" && !slices.Contains(severityNames, t.Info.Severity):
		return fmt.Errorf("Invalid severity: %s", t.Info.Severity)
	}
	for _, request := range t.HTTP {
		for _, m := range request.Matchers {
			if !slices.Contains(matcherTypes, m.Type) {
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
