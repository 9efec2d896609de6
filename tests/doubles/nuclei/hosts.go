package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"
)

// hostErrors counts the consecutive failures of each host.
type hostErrors struct {
	mu      sync.Mutex
	limit   int
	entries map[string]*hostEntry
}

type hostEntry struct {
	failures int
	last     *hostError
	lastURL  string
	told     bool
}

func hostKey(target string) string {
	if parsed, err := url.Parse(target); err == nil && parsed.Host != "" {
		return withPort(parsed)
	}
	return target
}

// note records how a request ended: a success forgives everything.
func (h *hostErrors) note(target, address string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := hostKey(target)
	if err == nil {
		delete(h.entries, key)
		return
	}
	var host *hostError
	if !errors.As(err, &host) {
		return
	}
	if h.entries == nil {
		h.entries = map[string]*hostEntry{}
	}
	entry, ok := h.entries[key]
	if !ok {
		entry = &hostEntry{}
		h.entries[key] = entry
	}
	entry.failures++
	entry.lastURL = address
	if entry.last == nil || !entry.last.permanent {
		entry.last = host
	}
}

// skipped says whether a host is given up on, and logs it the first time that somebody asks.
func (s *scan) skipped(target string) bool {
	if s.opts.noHostErrors {
		return false
	}
	s.hosts.mu.Lock()
	defer s.hosts.mu.Unlock()
	key := hostKey(target)
	entry, ok := s.hosts.entries[key]
	if !ok || !entry.last.permanent && entry.failures < s.hosts.limit {
		return false
	}
	if !entry.told {
		entry.told = true
		if entry.last.permanent {
			s.logs.infof("Skipped %s from target list as found unresponsive permanently: %s", key, entry.last.describe(key, entry.lastURL))
		} else {
			s.logs.infof("Skipped %s from target list as found unresponsive %d times", key, entry.failures)
		}
	}
	return true
}

// describe words the cause of a permanent failure as the log line has it.
func (e *hostError) describe(address, requested string) string {
	if strings.HasPrefix(e.cause, "cause=") {
		return fmt.Sprintf(`%s address=%s chain="got err while executing %s"`, e.cause, address, requested)
	}
	return fmt.Sprintf(`cause=%q address=%s chain="%s; got err while executing %s"`, e.cause, address, e.chain, requested)
}

// limiter lets so many requests pass per interval; 0 is no limit.
type limiter struct{ tokens chan struct{} }

func newLimiter(rate int, per time.Duration) *limiter {
	if rate <= 0 {
		return &limiter{}
	}
	l := &limiter{tokens: make(chan struct{}, rate)}
	fillUp := func() {
		for range rate {
			select {
			case l.tokens <- struct{}{}:
			default:
				return
			}
		}
	}
	fillUp()
	go func() {
		for range time.Tick(per) {
			fillUp()
		}
	}()
	return l
}

func (l *limiter) take() {
	if l.tokens != nil {
		<-l.tokens
	}
}

// limiters has one limiter for all requests, or one of the same rate for each host and port.
type limiters struct {
	rate    int
	per     time.Duration
	perHost bool

	lock   sync.Mutex
	byHost map[string]*limiter
}

func (l *limiters) take(host string) {
	if !l.perHost {
		host = ""
	}
	l.lock.Lock()
	found := l.byHost[host]
	if found == nil {
		if l.byHost == nil {
			l.byHost = map[string]*limiter{}
		}
		found = newLimiter(l.rate, l.per)
		l.byHost[host] = found
	}
	l.lock.Unlock()
	found.take()
}
