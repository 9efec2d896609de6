// Command nuclei is a double of ProjectDiscovery's Nuclei for tests: it keeps the command-line contract that
// the scan runner relies on, and it fails in the same ways, the silent ones included.
//
// What it keeps: flags and their spelling, JSONL events, the statistics lines, log wording, exit codes, signals,
// configuration folder, resume files. It reads real template files (http: method, path, headers, body, raw;
// matchers word, status, regex, size; extractors regex, kval) and sends real HTTP requests, so a finding means
// that a server really answered so. Every line of the contract is held by tests/conformance, which runs the same
// cases against this program and against a real Nuclei when NUCLEI_BIN names one.
//
// Where it stops: no other protocol than http, no dsl, xpath, json or binary operators, no payloads, workflows,
// flow, clustering, interactsh, uncover, ASN expansion, reporting, signatures or updates. A template that needs
// one of these is refused as a template that cannot be compiled. A flag that the runner has no business with is
// an unknown flag. It is never part of a shipped image.
//
// Tests choose a fault by template, because a plan controls templates and endpoints, and nothing else: see
// fault.go for the metadata key x-double-fault and its values.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

// version is what the double says it is: the release whose behaviour it follows.
const version = "v3.11.1"

const banner = `
                     __     _
   ____  __  _______/ /__  (_)
  / __ \/ / / / ___/ / _ \/ /
 / / / / /_/ / /__/ /  __/ /
/_/ /_/\__,_/\___/_/\___/_/   ` + version + "\n"

func main() {
	early := &logger{level: levelInfo, colours: true}
	dirs := prepareConfigDir(early)
	opts := parseFlags(os.Args, dirs, early)
	logs := newLogger(opts)
	logs.printf("%s\n\t\tprojectdiscovery.io\n", banner)
	opts.validateCombinations(logs)

	guard, err := newGuard(opts)
	if err != nil {
		logs.fatalf("Could not initialize protocols: could not create dialer: %s", err)
	}
	defer guard.close()

	run, err := newScan(opts, dirs, guard, logs)
	if err != nil {
		logs.fatalf("Could not create runner: %s", err)
	}
	exitOnInterrupt(run)
	if err := run.execute(); err != nil {
		guard.close()
		if opts.validate {
			logs.fatalf("Could not validate templates: %s", err)
		}
		logs.fatalf("Could not run nuclei: %s", err)
	}
	run.close()
	_ = os.Remove(run.resumePath())
}

// exitOnInterrupt handles SIGINT alone, as Nuclei does: SIGTERM keeps its default action and kills at once.
func exitOnInterrupt(run *scan) {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	go func() {
		<-interrupts
		run.logs.infof("CTRL+C pressed: Exiting")
		run.logs.infof("Attempting graceful shutdown...")
		run.close()
		run.logs.infof("Creating resume file: %s", run.resumePath())
		if err := run.progress.save(run.resumePath()); err != nil {
			run.logs.errorf("Couldn't create resume file: %s", err)
		}
		os.Exit(1)
	}()
}

// configDirs are the folders in which Nuclei looks for its settings.
type configDirs struct {
	config string // .templates-config.json, .nuclei-ignore, config.yaml, reporting-config.yaml
	flags  string // the first config.yaml that is read, made when missing
	cache  string // resume files
}

// prepareConfigDir makes the folders and files that Nuclei makes at every start. That it cannot is told in colour
// before any flag is read, and is fatal only in a folder that NUCLEI_CONFIG_DIR names.
func prepareConfigDir(early *logger) configDirs {
	home, _ := os.UserHomeDir()
	fallback := func(variable, sub string) string {
		if base := os.Getenv(variable); base != "" {
			return filepath.Join(base, "nuclei")
		}
		return filepath.Join(home, sub, "nuclei")
	}
	dirs := configDirs{flags: fallback("XDG_CONFIG_HOME", ".config"), cache: fallback("XDG_CACHE_HOME", ".cache")}
	dirs.config = dirs.flags
	if own := os.Getenv("NUCLEI_CONFIG_DIR"); own != "" {
		dirs.config = own
	}
	if err := os.MkdirAll(dirs.config, 0o755); err != nil {
		early.errorf("failed to create config directory at %s got: %s", dirs.config, err)
	}
	settings := filepath.Join(dirs.config, ".templates-config.json")
	if _, err := os.Stat(settings); errors.Is(err, os.ErrNotExist) {
		body := fmt.Sprintf(`{"nuclei-templates-directory":%q}`, filepath.Join(home, "nuclei-templates"))
		if err := os.WriteFile(settings, []byte(body), 0o600); err != nil {
			cause := fmt.Sprintf("cause=%q", fmt.Sprintf("failed to write nuclei config file at %s: %s", settings, err))
			early.errorf("failed to write config file at %s got: %s", settings, cause)
			if dirs.config != dirs.flags {
				early.fatalf("Could not create nuclei config file at %s: %s", settings, cause)
			}
		}
	}
	return dirs
}

// newResumeName gives the name of the resume file of this run.
func newResumeName() string {
	return fmt.Sprintf("resume-%020x.cfg", time.Now().UnixNano())
}
