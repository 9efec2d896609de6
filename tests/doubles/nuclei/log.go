package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// Levels in Nuclei's order. A warning ranks below an information, and is therefore not shown by default: the
// reason why a template that does not parse leaves no trace.
const (
	levelFatal = iota
	levelSilent
	levelError
	levelInfo
	levelWarning
	levelDebug
	levelVerbose
)

// logger writes log lines to stderr as Nuclei words and colours them. Findings never go through it.
type logger struct {
	mu      sync.Mutex
	level   int
	colours bool
}

func newLogger(opts *options) *logger {
	logs := &logger{level: levelInfo, colours: !opts.noColor}
	if opts.verbose || opts.validate {
		logs.level = levelVerbose
	}
	if opts.silent {
		logs.level = levelSilent
	}
	return logs
}

func (l *logger) write(level int, label, colour, text string) {
	if level > l.level {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	text = strings.TrimSuffix(text, "\n")
	if label != "" {
		if l.colours {
			label = "\x1b[" + colour + "m" + label + "\x1b[0m"
		}
		text = "[" + label + "] " + text
	}
	fmt.Fprintln(os.Stderr, text)
}

func (l *logger) infof(format string, args ...any) {
	l.write(levelInfo, "INF", "34", fmt.Sprintf(format, args...))
}

func (l *logger) warnf(format string, args ...any) {
	l.write(levelWarning, "WRN", "33", fmt.Sprintf(format, args...))
}

func (l *logger) debugf(format string, args ...any) {
	l.write(levelDebug, "DBG", "35", fmt.Sprintf(format, args...))
}

func (l *logger) errorf(format string, args ...any) {
	l.write(levelError, "ERR", "31", fmt.Sprintf(format, args...))
}

func (l *logger) verbosef(format string, args ...any) {
	l.write(levelVerbose, "VER", "34", fmt.Sprintf(format, args...))
}

// shownWarning is a warning that Nuclei prints whatever its level, unless it is silent.
func (l *logger) shownWarning(format string, args ...any) {
	l.write(levelInfo, "WRN", "33", fmt.Sprintf(format, args...))
}

// printf writes a line without a label; -silent hides it.
func (l *logger) printf(format string, args ...any) {
	l.write(levelInfo, "", "", fmt.Sprintf(format, args...))
}

// fatalf ends the program with code 1. -silent does not hide it.
func (l *logger) fatalf(format string, args ...any) {
	l.write(levelFatal, "FTL", "1;31", fmt.Sprintf(format, args...))
	os.Exit(1)
}
