package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// loadTargets collects -u, stdin and -l in this order, expands CIDRs, drops doubles and what -eh excludes. Lines
// that are no address at all are targets too: nothing is refused here.
func loadTargets(opts *options, logs *logger) ([]string, error) {
	list := &targetList{seen: map[string]bool{}}
	for _, target := range opts.targets {
		list.add(target)
	}
	if !opts.noStdin && hasStdin() {
		list.addLines(&timeoutReader{source: os.Stdin, limit: opts.inputReadTimeout})
	}
	if opts.list != "" {
		file, err := os.Open(opts.list)
		if err != nil {
			return nil, fmt.Errorf("could not create input provider: could not open targets file: %w", err)
		}
		defer file.Close()
		list.addLines(file)
	}
	var kept []string
	for _, target := range list.targets {
		if host, hostPort := hostOf(target); !excluded(host, hostPort, opts.excludeHosts) {
			kept = append(kept, target)
		}
	}
	if dropped := len(list.targets) - len(kept); dropped > 0 {
		logs.infof("Number of hosts excluded from input: %d", dropped)
	}
	if list.doubles > 0 {
		logs.infof("Supplied input was automatically deduplicated (%d removed).", list.doubles)
	}
	return kept, nil
}

type targetList struct {
	targets []string
	seen    map[string]bool
	doubles int
}

func (l *targetList) add(target string) {
	target = strings.TrimSpace(target)
	if target == "" {
		return
	}
	if prefix, err := netip.ParsePrefix(target); err == nil {
		for address := prefix.Masked().Addr(); prefix.Contains(address); address = address.Next() {
			l.add(address.String())
		}
		return
	}
	if l.seen[target] {
		l.doubles++
		return
	}
	l.seen[target] = true
	l.targets = append(l.targets, target)
}

func (l *targetList) addLines(source io.Reader) {
	scanner := bufio.NewScanner(source)
	for scanner.Scan() {
		l.add(scanner.Text())
	}
}

// hasStdin is true for anything but a character device: for a pipe that nobody closes as well.
func hasStdin() bool {
	stat, err := os.Stdin.Stat()
	return err == nil && stat.Mode()&os.ModeCharDevice == 0
}

// timeoutReader gives up on a source that sends nothing for the limit.
type timeoutReader struct {
	source io.Reader
	limit  time.Duration
}

func (r *timeoutReader) Read(buffer []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := r.source.Read(buffer)
		done <- result{n, err}
	}()
	select {
	case got := <-done:
		return got.n, got.err
	case <-time.After(r.limit):
		return 0, fmt.Errorf("reading standard input timed out")
	}
}

// hostOf gives the host, without and with its port, of a URL, of host:port or of a bare host.
func hostOf(target string) (host, hostPort string) {
	if !strings.Contains(target, "://") {
		target = "//" + target
	}
	parsed, err := url.Parse(target)
	if err != nil {
		return "", ""
	}
	return parsed.Hostname(), parsed.Host
}

// probe finds the scheme of targets that have none, by asking them.
func (s *scan) probe(targets []string) map[string]string {
	found := map[string]string{}
	bare := false
	for _, target := range targets {
		bare = bare || !strings.Contains(target, "://")
	}
	if s.opts.noHTTPX || !bare {
		return found
	}
	s.logs.infof("Running httpx on input host")
	var (
		wait  sync.WaitGroup
		mu    sync.Mutex
		slots = make(chan struct{}, 50)
	)
	for _, target := range targets {
		if strings.Contains(target, "://") {
			continue
		}
		wait.Add(1)
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; wait.Done() }()
			for _, scheme := range []string{"https://", "http://"} {
				request, err := http.NewRequest(http.MethodGet, scheme+target, nil)
				if err != nil {
					return
				}
				if response, err := s.client.Do(request); err == nil {
					response.Body.Close()
					mu.Lock()
					found[target] = scheme + target
					mu.Unlock()
					return
				}
			}
		}()
	}
	wait.Wait()
	s.logs.infof("Found %d URL from httpx", len(found))
	return found
}
