package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// scan is one run: templates in parallel up to -c, the targets of each in parallel up to -bs.
type scan struct {
	opts     *options
	dirs     configDirs
	guard    *guard
	logs     *logger
	targets  []string
	out      *output
	errorLog *os.File
	traceLog *os.File
	logLock  sync.Mutex
	stats    statistics
	progress *progress
	limiters *limiters
	client   *http.Client
	secrets  []secret
	probed   map[string]string
	hosts    hostErrors

	matcherNames []string // of the last visit, for -as, which visits one after another

	opened, reused atomic.Int64
	deaf           atomic.Bool
	resumeFile     string
	closed         sync.Once
}

func newScan(opts *options, dirs configDirs, dialing *guard, logs *logger) (*scan, error) {
	s := &scan{opts: opts, dirs: dirs, guard: dialing, logs: logs}
	if opts.maxHostError < opts.concurrency {
		logs.infof("Adjusting max-host-error to the concurrency value: %d", opts.concurrency)
		opts.maxHostError = opts.concurrency
	}
	reporting := filepath.Join(dirs.config, "reporting-config.yaml")
	if _, err := os.Stat(reporting); err != nil {
		if err := os.WriteFile(reporting, []byte("# reporting\n"), 0o600); err != nil {
			var cause *os.PathError
			errors.As(err, &cause)
			return nil, fmt.Errorf(`cause=%q chain="could not create config file"`, cause.Err)
		}
	}
	var err error
	if s.targets, err = loadTargets(opts, logs); err != nil {
		return nil, err
	}
	if s.secrets, err = readSecrets(opts.secretFiles); err != nil {
		return nil, err
	}
	if s.out, err = newOutput(opts); err != nil {
		return nil, err
	}
	if opts.errorLog != "" {
		if s.errorLog, err = os.Create(opts.errorLog); err != nil {
			return nil, fmt.Errorf("could not create output file: could not create error file: %w", err)
		}
	}
	if opts.traceLog != "" {
		if s.traceLog, err = os.Create(opts.traceLog); err != nil {
			return nil, fmt.Errorf("could not create output file: %w", err)
		}
	}
	opts.stats = opts.stats || opts.statsJSON
	opts.statsJSON = opts.statsJSON || opts.jsonl && opts.stats
	s.stats.opts = opts
	if s.progress, err = loadProgress(opts.resume, logs); err != nil {
		return nil, err
	}
	if s.resumeFile = opts.resume; s.resumeFile == "" {
		s.resumeFile = filepath.Join(dirs.cache, newResumeName())
	}
	s.limiters = &limiters{rate: opts.rateLimit, per: opts.rateLimitDuration, perHost: opts.perHostRateLimit}
	s.client = s.newClient()
	custom = opts.variables
	s.hosts.limit = opts.maxHostError
	return s, nil
}

func (s *scan) resumePath() string { return s.resumeFile }

// close ends output and statistics; it is called on every way out except sudden death.
func (s *scan) close() {
	if s.deaf.Load() {
		select {}
	}
	s.closed.Do(func() {
		if opened, reused := s.opened.Load(), s.reused.Load(); opened+reused > 0 {
			s.logs.infof("HTTP connections: %d total, %d new, %d reused (%.1f%%)", opened+reused, opened, reused,
				float64(reused)/float64(opened+reused)*100)
		}
		s.out.close()
		s.guard.close()
		s.stats.stop()
	})
}

func (s *scan) execute() error {
	s.logs.verbosef("Started metrics server at localhost:%d", s.opts.metricsPort)
	if s.opts.validate {
		return validateTemplates(s.opts, s.dirs, s.logs)
	}
	found := loadTemplates(s.opts, s.dirs, s.logs)
	s.announce(found)
	s.probed = s.probe(s.targets)
	started := time.Now()
	if len(found.templates) == 0 {
		s.stats.stop()
		s.logs.infof("Scan completed in %s. No results found.", time.Since(started))
		return errors.New("no templates provided for scan")
	}
	var matched bool
	var err error
	if s.opts.automatic {
		s.stats.start(0, len(s.targets), 0)
		matched, err = s.runAutomatic()
	} else {
		total := 0
		for _, t := range found.templates {
			total += t.requestCount() * len(s.targets)
		}
		s.stats.start(len(found.templates), len(s.targets), total)
		s.list(found.templates)
		matched = s.runAll(found.templates)
	}
	s.stats.stop()
	if matched {
		s.logs.infof("Scan completed in %s. %d matches found.", time.Since(started), s.out.written.Load())
	} else {
		s.logs.infof("Scan completed in %s. No results found.", time.Since(started))
	}
	return err
}

// list names templates on stdout, as -vv asks for.
func (s *scan) list(templates []*template) {
	if !s.opts.listLoaded {
		return
	}
	for _, t := range templates {
		fmt.Printf("[%s] %s (@%s) [%s]\n", t.ID, t.Info.Name, strings.Join(t.Info.Authors, ",@"), t.Info.Severity)
	}
}

func (s *scan) announce(found *library) {
	if found.syntaxWarnings > 0 {
		s.logs.shownWarning("Found %d templates with syntax warning (use -validate flag for further examination)", found.syntaxWarnings)
	}
	if found.runtimeErrors > 0 {
		s.logs.shownWarning("Found %d templates with runtime error (use -validate flag for further examination)", found.runtimeErrors)
	}
	if found.weak > 0 && (len(found.templates) == 0 || s.opts.verbose) {
		// Coloured even with -nc.
		s.logs.printf("[\x1b[93mWRN\x1b[0m] Excluded %d template[s] with known weak matchers / tags excluded from default run using .nuclei-ignore", found.weak)
	}
	unknown := "unknown"
	if s.logs.colours {
		unknown = "\x1b[93munknown\x1b[0m"
	}
	s.logs.infof("Current nuclei version: %s (%s) - remove '-duc' flag to enable update checks", version, unknown)
	s.logs.infof("Current nuclei-templates version:  (%s) - remove '-duc' flag to enable update checks", unknown)
	if len(found.templates) > 0 {
		s.logs.infof("New templates added in latest release: 0")
		s.logs.infof("Templates loaded for current scan: %d", len(found.templates))
	}
	if len(s.targets) > 0 {
		s.logs.infof("Targets loaded for current scan: %d", len(s.targets))
	}
}

func (s *scan) runAll(templates []*template) bool {
	var (
		matched atomic.Bool
		wait    sync.WaitGroup
		slots   = make(chan struct{}, max(s.opts.concurrency, 1))
	)
	if s.opts.concurrency <= 0 {
		panic("runtime error: invalid memory address or nil pointer dereference") // as Nuclei does
	}
	for _, t := range templates {
		wait.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wait.Done() }()
			if s.runTemplate(t) {
				matched.Store(true)
			}
		}()
	}
	wait.Wait()
	return matched.Load()
}

// runTemplate visits the targets in their order, which is what resume files count by. A skipped target takes no
// number: the numbers of the others shift, in Nuclei as here.
func (s *scan) runTemplate(t *template) bool {
	var (
		matched atomic.Bool
		wait    sync.WaitGroup
		slots   = make(chan struct{}, max(s.opts.bulkSize, 1))
		index   uint32
	)
	for _, target := range s.targets {
		done := s.progress.begin(t.ID, index)
		if s.skipped(target) {
			s.failSkipped(t, target)
			continue
		}
		wait.Add(1)
		slots <- struct{}{}
		go func(index uint32) {
			defer func() { s.progress.end(t.ID, index); <-slots; wait.Done() }()
			if !done && s.visit(t, target) {
				matched.Store(true)
			}
		}(index)
		index++
	}
	wait.Wait()
	s.progress.complete(t.ID)
	return matched.Load()
}

// visit runs a template on one target, and reports whether it wrote anything.
func (s *scan) visit(t *template, target string) bool {
	if !s.suffer(t, target) {
		return true
	}
	address := target
	if known, ok := s.probed[target]; ok {
		address = known
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	parsed, err := url.Parse(address)
	matched, failure := false, ""
	for _, r := range t.HTTP {
		if err != nil || parsed.Host == "" {
			s.stats.requests.Add(int64(len(r.Path) + len(r.Raw)))
			continue
		}
		hit, problem := s.visitRequest(t, r, parsed, address)
		matched = matched || hit
		if problem != "" {
			failure = problem
		}
	}
	if !matched && s.opts.matcherStatus {
		s.fail(t, address, failure)
		return true
	}
	return matched
}

func (s *scan) visitRequest(t *template, r *httpRequest, target *url.URL, address string) (matched bool, failure string) {
	requests := r.build(target, address, s.opts.headers)
	for _, request := range requests {
		if request != nil {
			authenticate(request, s.secrets)
		}
	}
	for i, request := range requests {
		if request == nil {
			s.logs.warnf("[%s] %s", t.ID, r.unsendable(i, target, address))
		}
		if request == nil || s.skipped(address) {
			s.stats.requests.Add(int64(len(requests) - i))
			return matched, failure
		}
		time.Sleep(t.delay())
		exchanges, err := s.send(r, request)
		s.hosts.note(address, request.URL.String(), err)
		s.stats.requests.Add(1)
		if err != nil {
			// Nuclei counts a failed request twice.
			s.stats.errors.Add(2)
			s.logRequest(t, request, err)
			s.logs.warnf("[%s] Could not execute request for %s: %s", t.ID, address, err)
			failure = err.Error()
			continue
		}
		s.logRequest(t, request, nil)
		s.logs.verbosef("[%s] Sent HTTP request to %s", t.ID, request.URL)
		hit := false
		for _, done := range exchanges {
			for _, v := range r.judge(done.answer, func(matcher string) bool { return s.opts.leavesOut(t.ID, matcher) }) {
				found := s.event(t, address, v)
				found.Matched, found.Request, found.CURLCommand = done.url, done.request, exchanges[0].curl
				found.Response = done.response[:min(len(done.response), s.opts.responseSave)]
				s.report(found)
				if s.opts.automatic && v.matcherName != "" {
					s.matcherNames = append(s.matcherNames, v.matcherName)
				}
				hit = true
			}
		}
		matched = matched || hit
		if hit && r.StopAtFirstMatch {
			// The requests left out are counted, and the one that matched a second time.
			s.stats.requests.Add(int64(len(requests) - i))
			return matched, failure
		}
	}
	return matched, failure
}

// fail writes the event of a template that found nothing, which only -ms shows.
func (s *scan) fail(t *template, target, problem string) {
	if !s.opts.matcherStatus {
		return
	}
	failed := s.event(t, target, verdict{})
	failed.MatcherStatus, failed.Error, failed.TemplateEncoded = false, problem, ""
	if problem != "" {
		failed.IP = ""
	}
	s.out.write(failed)
}

// failSkipped writes the same for a host that was given up on: it is named as it stands in the list.
func (s *scan) failSkipped(t *template, target string) {
	if s.opts.matcherStatus {
		s.out.write(&event{
			TemplateID: t.ID, TemplatePath: t.path, Info: t.Info, Type: "http", Host: target,
			Error: "host was skipped as it was found unresponsive",
		})
	}
}

// logRequest appends a JSON line to the -tlog file, and to the -elog file where the request failed.
func (s *scan) logRequest(t *template, request *http.Request, err error) {
	problem, kind := "none", ""
	if err != nil {
		problem, kind = err.Error(), "network-temporary-error"
	}
	var host *hostError
	if errors.As(err, &host) && host.permanent {
		kind = "network-permanent-error"
	}
	line, _ := json.Marshal(struct {
		Template string `json:"template"`
		Type     string `json:"type"`
		Input    string `json:"input"`
		Address  string `json:"address"`
		Error    string `json:"error"`
		Kind     string `json:"kind,omitempty"`
	}{t.path, "http", request.URL.String(), withPort(request.URL), problem, kind})
	s.logLock.Lock()
	defer s.logLock.Unlock()
	if s.traceLog != nil {
		_, _ = s.traceLog.Write(append(line, '\n'))
	}
	if err != nil && s.errorLog != nil {
		_, _ = s.errorLog.Write(append(line, '\n'))
	}
}

func withPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "https" {
		return u.Host + ":443"
	}
	return u.Host + ":80"
}
