package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// event is one JSONL line, its fields in Nuclei's order.
type event struct {
	Template         string    `json:"template,omitempty"`
	TemplateID       string    `json:"template-id"`
	TemplatePath     string    `json:"template-path,omitempty"`
	TemplateEncoded  string    `json:"template-encoded,omitempty"`
	Info             info      `json:"info"`
	MatcherName      string    `json:"matcher-name,omitempty"`
	ExtractorName    string    `json:"extractor-name,omitempty"`
	Type             string    `json:"type"`
	Host             string    `json:"host,omitempty"`
	Port             string    `json:"port,omitempty"`
	Scheme           string    `json:"scheme,omitempty"`
	URL              string    `json:"url,omitempty"`
	Path             string    `json:"path,omitempty"`
	Matched          string    `json:"matched-at,omitempty"`
	ExtractedResults []string  `json:"extracted-results,omitempty"`
	Request          string    `json:"request,omitempty"`
	Response         string    `json:"response,omitempty"`
	IP               string    `json:"ip,omitempty"`
	Timestamp        time.Time `json:"timestamp"`
	CURLCommand      string    `json:"curl-command,omitempty"`
	MatcherStatus    bool      `json:"matcher-status"`
	Error            string    `json:"error,omitempty"`
}

// event builds what is known before any answer: who found it, and where it looked.
func (s *scan) event(t *template, target string, v verdict) *event {
	found := &event{
		TemplateID: t.ID, TemplatePath: t.path, Info: t.Info, Type: "http", MatcherStatus: true,
		MatcherName: v.matcherName, ExtractorName: v.extractorName, ExtractedResults: v.extracted,
	}
	if relative, err := filepath.Rel(s.opts.templatesDir, t.path); err == nil && !strings.HasPrefix(relative, "..") {
		found.Template = relative
	}
	if !s.opts.omitTemplate {
		found.TemplateEncoded = base64.StdEncoding.EncodeToString(t.source)
	}
	if parsed, err := url.Parse(target); err == nil {
		found.Host, found.Port, found.Scheme, found.Path = parsed.Hostname(), parsed.Port(), parsed.Scheme, parsed.Path
		found.URL = target
		if found.Port == "" {
			found.Port = map[string]string{"https": "443"}[parsed.Scheme]
			if found.Port == "" {
				found.Port = "80"
			}
		}
		if net.ParseIP(found.Host) != nil {
			found.IP = found.Host
		}
	}
	return found
}

// report writes a finding and counts it. A finding that cannot be written is dropped in silence, as by Nuclei.
func (s *scan) report(found *event) {
	if s.out.write(found) {
		s.stats.matched.Add(1)
	}
}

// output is where events go: stdout, the -o file, and at the end the -jle file.
type output struct {
	opts       *options
	mu         sync.Mutex
	file       *os.File
	exported   []byte
	written    atomic.Int64 // lines
	found      atomic.Int64 // findings among them
	crashAfter atomic.Int64
}

func newOutput(opts *options) (*output, error) {
	out := &output{opts: opts}
	out.crashAfter.Store(-1)
	if opts.output != "" {
		mode := os.O_TRUNC
		if opts.resume != "" {
			mode = os.O_APPEND
		}
		file, err := os.OpenFile(opts.output, mode|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, fmt.Errorf("could not create output file: could not create output file: %w", err)
		}
		out.file = file
	}
	return out, nil
}

// write reports whether the event went where it should. A full stdout goes unnoticed.
func (o *output) write(found *event) bool {
	found.Timestamp = time.Now()
	if o.opts.omitRaw {
		found.Request, found.Response = "", ""
	}
	line, err := json.Marshal(found)
	if err != nil {
		return false
	}
	text := line
	if !o.opts.jsonl {
		text = []byte(found.screen())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.opts.disableStdout {
		_, _ = os.Stdout.Write(text)
		_, _ = os.Stdout.Write([]byte("\n"))
	}
	if o.file != nil {
		if _, err := o.file.Write(append(text, '\n')); err != nil {
			return false
		}
	}
	if o.opts.jsonlExport != "" && found.MatcherStatus {
		o.exported = append(append(o.exported, line...), '\n')
	}
	o.written.Add(1)
	if found.MatcherStatus && o.found.Add(1) == o.crashAfter.Load() {
		go panic("runtime error: fault asked for by a template")
		select {}
	}
	return true
}

// screen is the line for people.
func (e *event) screen() string {
	name := e.TemplateID
	if e.MatcherName != "" {
		name += ":" + e.MatcherName
	} else if e.ExtractorName != "" {
		name += ":" + e.ExtractorName
	}
	line := fmt.Sprintf("[%s] [%s] [%s] %s", name, e.Type, e.Info.Severity, e.Matched)
	if len(e.ExtractedResults) > 0 {
		line += ` ["` + strings.Join(e.ExtractedResults, `","`) + `"]`
	}
	return line
}

// raw writes text to stdout as it is.
func (o *output) raw(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, _ = os.Stdout.WriteString(text)
}

// tear writes the first half of an event.
func (o *output) tear(found *event) {
	line, _ := json.Marshal(found)
	o.raw(string(line[:len(line)/2]))
}

// close ends the -o file, and only now writes the -jle file; that it can't is nobody's business.
func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		_ = o.file.Close()
		o.file = nil
	}
	if o.opts.jsonlExport != "" {
		_ = os.WriteFile(o.opts.jsonlExport, o.exported, 0o644)
	}
}
