package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// statistics counts, and prints its line to stderr at every interval and twice at the end, whatever -silent says.
type statistics struct {
	opts                             *options
	started                          time.Time
	templates, hosts                 string
	requests, errors, matched, total atomic.Int64
	ticker                           *time.Ticker
	running                          atomic.Bool
}

func (s *statistics) start(templates, hosts, total int) {
	s.started, s.templates, s.hosts = time.Now(), strconv.Itoa(templates), strconv.Itoa(hosts)
	s.total.Store(int64(total))
	if !s.opts.stats {
		return
	}
	s.ticker = time.NewTicker(max(time.Duration(s.opts.statsInterval)*time.Second, time.Millisecond))
	s.running.Store(true)
	go func() {
		for range s.ticker.C {
			if s.running.Load() {
				s.print()
			}
		}
	}()
}

// stop prints the last line, also when it never started: then most of it is "n/a" or nonsense.
func (s *statistics) stop() {
	if !s.opts.stats {
		return
	}
	if s.running.Swap(false) {
		s.ticker.Stop()
	}
	s.print()
}

func (s *statistics) print() {
	var elapsed time.Duration
	templates, hosts := "n/a", "n/a"
	if !s.started.IsZero() {
		elapsed, templates, hosts = time.Since(s.started), s.templates, s.hosts
	}
	requests, total := s.requests.Load(), s.total.Load()
	rps := uint64(float64(requests) / elapsed.Seconds())
	seconds := int(elapsed.Round(time.Second).Seconds())
	clock := fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
	if !s.opts.statsJSON {
		shown := total
		if shown == 0 {
			shown = requests
		}
		fmt.Fprintf(os.Stderr, "[%s] | Templates: %s | Hosts: %s | RPS: %d | Matched: %d | Errors: %d | Requests: %d/%d (%d%%)\n",
			clock, templates, hosts, rps, s.matched.Load(), s.errors.Load(), requests, shown,
			uint64(float64(requests)/float64(shown)*100))
		return
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	line, _ := json.Marshal(map[string]any{
		"startedAt": s.started, "duration": clock, "templates": templates, "hosts": hosts,
		"matched": number(s.matched.Load()), "requests": number(requests), "total": number(total), "errors": number(s.errors.Load()),
		"rps": strconv.FormatUint(rps, 10),
		// Not a number when the total is 0, which becomes 2^63 as an integer: Nuclei's own arithmetic.
		"percent": strconv.FormatUint(uint64(float64(requests)*100/float64(total)), 10),
	})
	fmt.Fprintf(os.Stderr, "%s\n", line)
}
