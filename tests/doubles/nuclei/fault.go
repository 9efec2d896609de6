package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// faultKey is the key under info.metadata by which a template asks for trouble. Its value is a list (or a string
// with spaces) of
//
//	oom             allocates and touches memory until something kills the process: itself at 2 GiB, for safety
//	hang            never ends and sends nothing more: the requests counter of the statistics stands still
//	deaf            as hang, and SIGINT no longer ends the process (SIGTERM and SIGKILL do)
//	panic           dies of a Go panic: stack on stderr, exit code 2
//	exit:N          dies with exit code N, without a word
//	kill            dies of SIGKILL, as by the kernel's OOM killer
//	crash-after:N   dies of a panic as soon as N findings of the run were written
//	torn            writes half an event without a line end, then dies of SIGKILL
//	slow:MS         waits MS milliseconds before each of its requests
//	flood:N:BYTES   N findings per target with a response of BYTES bytes each, and no request
//	garbage         lines on stdout that are no events: text, half an object, an array, NUL, broken UTF-8, none at all
//	chatter:N       N log lines on stderr
//
// A fault happens when the template's turn comes, on each target, before its requests. A real Nuclei ignores the
// key: there the template is a plain one.
const faultKey = "x-double-fault"

type fault struct {
	name    string
	numbers []int
}

// faultArity is the number of numbers that each fault takes.
var faultArity = map[string]int{
	"oom": 0, "hang": 0, "deaf": 0, "panic": 0, "exit": 1, "kill": 0, "crash-after": 1, "torn": 0, "slow": 1, "flood": 2,
	"garbage": 0, "chatter": 1,
}

func parseFaults(value any) ([]fault, error) {
	var asked []string
	switch value := value.(type) {
	case nil:
	case []any:
		for _, item := range value {
			asked = append(asked, fmt.Sprint(item))
		}
	default:
		asked = strings.Fields(fmt.Sprint(value))
	}
	var faults []fault
	for _, text := range asked {
		parts := strings.Split(text, ":")
		parsed := fault{name: parts[0]}
		for _, part := range parts[1:] {
			number, err := strconv.Atoi(part)
			if err != nil {
				return nil, fmt.Errorf("%s %q: %q is no number", faultKey, text, part)
			}
			parsed.numbers = append(parsed.numbers, number)
		}
		if arity, known := faultArity[parsed.name]; !known || arity != len(parsed.numbers) {
			return nil, fmt.Errorf("unknown %s %q", faultKey, text)
		}
		faults = append(faults, parsed)
	}
	return faults, nil
}

// suffer lets the faults of a template happen on one target. It returns whether the requests are to be sent.
func (s *scan) suffer(t *template, target string) bool {
	send := true
	for _, f := range t.faults {
		switch f.name {
		case "oom":
			exhaustMemory()
		case "deaf":
			s.deaf.Store(true)
			select {}
		case "hang":
			select {}
		case "panic":
			// From a goroutine of its own: this one's deferred calls would let main end with 0 before the panic does.
			go panic("runtime error: fault asked for by template " + t.ID)
			select {}
		case "exit":
			os.Exit(f.numbers[0])
		case "kill":
			kill()
		case "crash-after":
			s.out.crashAfter.Store(int64(f.numbers[0]))
		case "torn":
			s.out.tear(s.event(t, target, verdict{}))
			kill()
		case "flood":
			send = false
			s.flood(t, target, f.numbers[0], f.numbers[1])
		case "garbage":
			s.out.raw("this is no JSON\n{\"template-id\":\"half\"\n[1,2]\n\x00\x01\n{\"template-id\":\"\xff\xfe\"}\n\nnull\n{}\n")
		case "chatter":
			for i := range f.numbers[0] {
				s.logs.infof("Chatter %d of template %s about %s", i, t.ID, target)
			}
		}
	}
	return send
}

// delay is the time to wait before each request of the template.
func (t *template) delay() time.Duration {
	for _, f := range t.faults {
		if f.name == "slow" {
			return time.Duration(f.numbers[0]) * time.Millisecond
		}
	}
	return 0
}

func (s *scan) flood(t *template, target string, count, size int) {
	body := strings.Repeat("acorn ", size/6+1)[:size]
	for i := range count {
		found := s.event(t, target, verdict{extracted: []string{strconv.Itoa(i)}})
		found.Matched = fmt.Sprintf("%s/flood/%d", strings.TrimSuffix(target, "/"), i)
		found.Request = "GET /flood/" + strconv.Itoa(i) + " HTTP/1.1\r\n\r\n"
		found.Response = "HTTP/1.1 200 OK\r\n\r\n" + body
		s.report(found)
	}
	s.stats.requests.Add(int64(t.requestCount()))
	if request, err := http.NewRequest(http.MethodGet, target, http.NoBody); err == nil {
		s.logRequest(t, request, nil)
	}
}

var hoard [][]byte

func exhaustMemory() {
	for len(hoard) < 512 {
		hoard = append(hoard, bytes.Repeat([]byte{1}, 4<<20))
		time.Sleep(time.Millisecond)
	}
	kill()
}

func kill() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
