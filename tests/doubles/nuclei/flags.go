package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// options are the flags of Nuclei that a scan in a Job can have a use for, under their real names and defaults.
type options struct {
	targets, excludeHosts                                    []string
	list, resume                                             string
	templates                                                []string
	validate, disableUnsigned, automatic                     bool
	tags, excludeTags, includeTags, ids, excludeIDs, authors []string
	excludeTemplates, excludeMatchers                        []string
	severities, excludeSeverities                            []string
	protocols, excludeProtocols                              []string
	output, jsonlExport, errorLog, traceLog                  string
	silent, noColor, jsonl, omitRaw, omitTemplate            bool
	matcherStatus, verbose, listLoaded, hangMonitor          bool
	config, templatesDir, resolvers                          string
	followRedirects, followHostRedirects, disableRedirects   bool
	maxRedirects, responseRead, responseSave                 int
	headers, secretFiles                                     []string
	variables                                                []string
	sni, clientCert, clientKey, clientCA                     string
	disableClustering, noInteractsh, noStdin, noHTTPX        bool
	interactshServer, interactshToken                        string
	proxyInternal                                            bool
	restrictLocal, systemResolvers, project                  bool
	rateLimit, bulkSize, concurrency, payloadConcurrency     int
	rateLimitDuration                                        time.Duration
	timeout, retries, maxHostError                           int
	noHostErrors, perHostRateLimit                           bool
	inputReadTimeout                                         time.Duration
	stats, statsJSON                                         bool
	statsInterval, metricsPort                               int
	disableUpdateCheck, disableStdout                        bool
}

// listKind says how the value of a repeatable flag is read.
type listKind int

const (
	commas     listKind = iota // a,b
	fileCommas                 // a,b, or the lines of a file when the value names one
	fileLower                  // the same, lower case, quotes and comments cut
	fileRaw                    // one value, or the lines of a file
)

type listFlag struct {
	values *[]string
	kind   listKind
}

func (f listFlag) String() string {
	if f.values == nil || len(*f.values) == 0 {
		return "[]"
	}
	return `["` + strings.Join(*f.values, `", "`) + `"]`
}

// Set appends the value, or what the file of that name holds: Nuclei reads a file whenever the value is the
// path of one, except that a .yaml or .json is taken for a template.
func (f listFlag) Set(value string) error {
	parts := []string{value}
	if f.kind != commas && isPlainFile(value) {
		lines, err := readLines(value)
		if err != nil {
			return err
		}
		parts = lines
	} else if f.kind != fileRaw {
		var err error
		if parts, err = splitCommas(value); err != nil {
			return err
		}
	}
	for _, part := range parts {
		if f.kind == fileLower {
			part = strings.ToLower(strings.Trim(strings.TrimSpace(part), "\"'`"))
		}
		if f.kind == fileLower || f.kind == fileRaw {
			part, _, _ = strings.Cut(part, "#")
		}
		if part = strings.TrimSpace(part); part != "" {
			*f.values = append(*f.values, part)
		}
	}
	return nil
}

// variableFlag is name=value, or a file with one on each line.
type variableFlag struct{ listFlag }

func (f variableFlag) Set(value string) error {
	lines := []string{value}
	if !strings.Contains(value, "=") && isPlainFile(value) {
		var err error
		if lines, err = readLines(value); err != nil {
			return err
		}
	}
	for _, line := range lines {
		if name, _, found := strings.Cut(line, "="); found && name != "" {
			*f.values = append(*f.values, line)
		}
	}
	return nil
}

// choiceFlag is a comma list of words from a fixed set.
type choiceFlag struct {
	values  *[]string
	choices []string
}

func (f choiceFlag) String() string {
	if f.values == nil {
		return ""
	}
	return strings.Join(*f.values, ", ")
}

func (f choiceFlag) Set(value string) error {
	parts := listFlag{new([]string), fileLower}
	if err := parts.Set(value); err != nil {
		return err
	}
	for _, part := range *parts.values {
		if !slices.Contains(f.choices, part) {
			return fmt.Errorf("'%s' is not a valid severity", part)
		}
		*f.values = append(*f.values, part)
	}
	return nil
}

var severityNames = []string{"info", "low", "medium", "high", "critical", "unknown"}

func isPlainFile(path string) bool {
	if ext := filepath.Ext(path); ext == ".yaml" || ext == ".yml" || ext == ".json" {
		return false
	}
	stat, err := os.Stat(path)
	return err == nil && stat.Mode().IsRegular()
}

func readLines(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var lines []string
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	return lines, scanner.Err()
}

// splitCommas splits at commas outside quotes.
func splitCommas(value string) ([]string, error) {
	var parts []string
	for len(value) > 0 {
		if strings.ContainsRune("\"'`", rune(value[0])) {
			end := strings.IndexByte(value[1:], value[0])
			if end < 0 {
				return nil, fmt.Errorf("Unclosed quote in path")
			}
			parts, value = append(parts, value[1:1+end]), value[end+2:]
			continue
		}
		part, rest, _ := strings.Cut(value, ",")
		parts, value = append(parts, part), rest
	}
	return parts, nil
}

// declare defines every flag under its long and short name.
func (o *options) declare(set *flag.FlagSet) {
	texts := func(p *string, value string, names ...string) {
		for _, name := range names {
			set.StringVar(p, name, value, "")
		}
	}
	switches := func(p *bool, names ...string) {
		for _, name := range names {
			set.BoolVar(p, name, false, "")
		}
	}
	numbers := func(p *int, value int, names ...string) {
		for _, name := range names {
			set.IntVar(p, name, value, "")
		}
	}
	durations := func(p *time.Duration, value time.Duration, names ...string) {
		for _, name := range names {
			set.DurationVar(p, name, value, "")
		}
	}
	values := func(v flag.Value, names ...string) {
		for _, name := range names {
			set.Var(v, name, "")
		}
	}
	values(listFlag{&o.targets, commas}, "target", "u")
	texts(&o.list, "", "list", "l")
	values(listFlag{&o.excludeHosts, fileCommas}, "exclude-hosts", "eh")
	texts(&o.resume, "", "resume")

	values(listFlag{&o.templates, fileCommas}, "templates", "t")
	switches(&o.validate, "validate")
	switches(&o.automatic, "automatic-scan", "as")
	switches(&o.disableUnsigned, "disable-unsigned-templates", "dut")
	values(listFlag{&o.authors, fileLower}, "author", "a")
	values(listFlag{&o.tags, fileLower}, "tags")
	values(listFlag{&o.excludeTags, fileLower}, "exclude-tags", "etags")
	values(listFlag{&o.includeTags, fileLower}, "include-tags", "itags")
	values(listFlag{&o.ids, fileLower}, "template-id", "id")
	values(listFlag{&o.excludeIDs, fileLower}, "exclude-id", "eid")
	values(listFlag{&o.excludeTemplates, fileCommas}, "exclude-templates", "et")
	values(listFlag{&o.excludeMatchers, fileCommas}, "exclude-matchers", "em")
	values(choiceFlag{&o.severities, severityNames}, "severity", "s")
	values(choiceFlag{&o.excludeSeverities, severityNames}, "exclude-severity", "es")
	values(listFlag{&o.protocols, fileLower}, "type", "pt")
	values(listFlag{&o.excludeProtocols, fileLower}, "exclude-type", "ept")

	texts(&o.output, "", "output", "o")
	switches(&o.silent, "silent")
	switches(&o.noColor, "no-color", "nc")
	switches(&o.jsonl, "jsonl", "j")
	switches(&o.omitRaw, "omit-raw", "or")
	switches(&o.omitTemplate, "omit-template", "ot")
	switches(&o.matcherStatus, "matcher-status", "ms")
	texts(&o.jsonlExport, "", "jsonl-export", "jle")

	texts(&o.config, "", "config")
	switches(&o.followRedirects, "follow-redirects", "fr")
	switches(&o.followHostRedirects, "follow-host-redirects", "fhr")
	numbers(&o.maxRedirects, 10, "max-redirects", "mr")
	switches(&o.disableRedirects, "disable-redirects", "dr")
	values(listFlag{&o.headers, fileRaw}, "header", "H")
	values(variableFlag{listFlag{&o.variables, fileRaw}}, "var", "V")
	texts(&o.sni, "", "sni")
	texts(&o.clientCert, "", "client-cert", "cc")
	texts(&o.clientKey, "", "client-key", "ck")
	texts(&o.clientCA, "", "client-ca", "ca")
	values(listFlag{&o.secretFiles, commas}, "secret-file", "sf")
	texts(&o.resolvers, "", "resolvers", "r")
	switches(&o.systemResolvers, "system-resolvers", "sr")
	switches(&o.disableClustering, "disable-clustering", "dc")
	switches(&o.restrictLocal, "restrict-local-network-access", "lna")
	numbers(&o.responseRead, 0, "response-size-read", "rsr")
	numbers(&o.responseSave, 1<<20, "response-size-save", "rss")
	switches(&o.noInteractsh, "no-interactsh", "ni")
	texts(&o.interactshServer, "", "interactsh-server", "iserver")
	texts(&o.interactshToken, "", "interactsh-token", "itoken")
	switches(&o.proxyInternal, "proxy-internal", "pi")

	numbers(&o.rateLimit, 150, "rate-limit", "rl")
	switches(&o.perHostRateLimit, "per-host-rate-limit")
	durations(&o.rateLimitDuration, time.Second, "rate-limit-duration", "rld")
	numbers(&o.bulkSize, 25, "bulk-size", "bs")
	numbers(&o.concurrency, 25, "concurrency", "c")
	numbers(&o.payloadConcurrency, 25, "payload-concurrency", "pc")
	numbers(&o.timeout, 10, "timeout")
	numbers(&o.retries, 1, "retries")
	numbers(&o.maxHostError, 30, "max-host-error", "mhe")
	switches(&o.noHostErrors, "no-mhe", "nmhe")
	switches(&o.project, "project")
	durations(&o.inputReadTimeout, 3*time.Minute, "input-read-timeout", "irt")
	switches(&o.noHTTPX, "no-httpx", "nh")
	switches(&o.noStdin, "no-stdin")

	texts(&o.errorLog, "", "error-log", "elog")
	texts(&o.traceLog, "", "trace-log", "tlog")
	switches(&o.hangMonitor, "hang-monitor", "hm")
	switches(&o.verbose, "verbose", "v")
	switches(&o.listLoaded, "vv")
	texts(&o.templatesDir, "", "update-template-dir", "ud")
	switches(&o.disableUpdateCheck, "disable-update-check", "duc")

	switches(&o.stats, "stats")
	switches(&o.statsJSON, "stats-json", "sj")
	numbers(&o.statsInterval, 5, "stats-interval", "si")
	numbers(&o.metricsPort, 9092, "metrics-port", "mp")
}

func printVersion(dirs configDirs, logs *logger) {
	home, _ := os.UserHomeDir()
	logs.infof("Nuclei Engine Version: %s", version)
	logs.infof("Nuclei Config Directory: %s", dirs.config)
	logs.infof("Nuclei Cache Directory: %s", dirs.cache)
	logs.infof("PDCP Directory: %s", filepath.Join(home, ".pdcp"))
	os.Exit(0)
}

// parseFlags reads the command line, then the config.yaml of the XDG folder, of NUCLEI_CONFIG_DIR and of -config:
// each silently fills the flags that still have their default.
func parseFlags(args []string, dirs configDirs, early *logger) *options {
	opts := &options{disableStdout: os.Getenv("DISABLE_STDOUT") == "true" || os.Getenv("DISABLE_STDOUT") == "1"}
	set := flag.NewFlagSet(args[0], flag.ExitOnError)
	set.SetOutput(os.Stdout)
	set.Usage = func() {}
	opts.declare(set)
	set.BoolFunc("version", "", func(string) error { printVersion(dirs, early); return nil })
	_ = set.Parse(args[1:])

	standard := filepath.Join(dirs.flags, "config.yaml")
	if _, err := os.Stat(standard); err != nil {
		_ = os.MkdirAll(dirs.flags, 0o755)
		_ = os.WriteFile(standard, []byte("# nuclei config file\n"), 0o600)
	} else {
		_ = mergeConfig(set, standard)
	}
	if dirs.config != dirs.flags {
		own := filepath.Join(dirs.config, "config.yaml")
		if _, err := os.Stat(own); err == nil {
			_ = mergeConfig(set, own)
		} else if body, err := os.ReadFile(standard); err == nil {
			_ = os.WriteFile(own, body, 0o600)
		}
	}
	if opts.config != "" {
		if _, err := os.Stat(opts.config); err != nil {
			early.fatalf("given config file '%s' does not exist", opts.config)
		}
		if err := mergeConfig(set, opts.config); err != nil {
			early.fatalf("Could not read config: %s", err)
		}
	}
	if opts.templatesDir == "" {
		opts.templatesDir = os.Getenv("NUCLEI_TEMPLATES_DIR")
	}
	if opts.templatesDir == "" {
		home, _ := os.UserHomeDir()
		opts.templatesDir = filepath.Join(home, "nuclei-templates")
	}
	return opts
}

func mergeConfig(set *flag.FlagSet, path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	settings := map[string]any{}
	if err := yaml.Unmarshal(body, &settings); err != nil {
		return err
	}
	set.VisitAll(func(f *flag.Flag) {
		item, given := settings[f.Name]
		if !given || !strings.EqualFold(f.DefValue, f.Value.String()) {
			return
		}
		if items, ok := item.([]any); ok {
			for _, item := range items {
				_ = f.Value.Set(fmt.Sprint(item))
			}
			return
		}
		_ = f.Value.Set(fmt.Sprint(item))
	})
	return nil
}

// validateCombinations ends the program on flags that exclude each other.
func (o *options) validateCombinations(logs *logger) {
	switch {
	case o.verbose && o.silent:
		logs.fatalf("Program exiting: both verbose and silent mode specified")
	case o.followHostRedirects && o.followRedirects:
		logs.fatalf("Program exiting: both follow host redirects and follow redirects specified")
	case o.clientCert+o.clientKey+o.clientCA != "" && (o.clientCert == "" || o.clientKey == "" || o.clientCA == ""):
		logs.fatalf("Program exiting: if a client certification option is provided, then all three must be provided")
	case (o.followRedirects || o.followHostRedirects) && o.disableRedirects:
		logs.fatalf("Program exiting: both follow redirects and disable redirects specified")
	}
}
