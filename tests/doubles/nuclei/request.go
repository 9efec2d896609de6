package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"
)

// exchange is one request with its answer; a followed redirect makes several, the last answer first.
type exchange struct {
	url      string
	request  string
	response string
	curl     string
	answer   *answer
}

const maxBody = 10 << 20

func (s *scan) newClient() *http.Client {
	secure := &tls.Config{InsecureSkipVerify: true, ServerName: s.opts.sni} //nolint:gosec // a scanner looks at bad certificates too
	if pair, err := tls.LoadX509KeyPair(s.opts.clientCert, s.opts.clientKey); err == nil {
		secure.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{
		DialContext:         s.guard.dial,
		TLSClientConfig:     secure,
		MaxIdleConnsPerHost: 500,
		MaxConnsPerHost:     500,
	}
	return &http.Client{
		Transport:     transport,
		Timeout:       time.Duration(s.opts.timeout) * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

var unresolved = regexp.MustCompile(`\{\{[^{}]+\}\}`)

// custom are the variables that the command line sets.
var custom []string

// fill replaces the variables of the command line, and those that a target defines. It reports whether none is left.
func fill(text string, target *url.URL, raw string) (string, bool) {
	port := target.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[target.Scheme]
	}
	base := strings.TrimSuffix(raw, "/")
	for name, value := range map[string]string{
		"BaseURL": base, "RootURL": target.Scheme + "://" + target.Host, "Hostname": target.Host, "Host": target.Hostname(),
		"Port": port, "Path": target.Path, "File": path.Base(target.Path), "Scheme": target.Scheme,
	} {
		text = strings.ReplaceAll(text, "{{"+name+"}}", value)
	}
	for _, line := range custom {
		name, value, _ := strings.Cut(line, "=")
		text = strings.ReplaceAll(text, "{{"+name+"}}", value)
	}
	return text, !unresolved.MatchString(text)
}

// build makes the requests of one http entry for one target; nil stands for one that cannot be made.
func (r *httpRequest) build(target *url.URL, raw string, headers []string) []*http.Request {
	var requests []*http.Request
	for _, pattern := range r.Path {
		text, complete := fill(pattern, target, raw)
		body, _ := fill(r.Body, target, raw)
		request, err := http.NewRequest(strings.ToUpper(r.Method), text, strings.NewReader(body))
		if !complete || err != nil {
			requests = append(requests, nil)
			continue
		}
		if body == "" {
			request.Body, request.ContentLength = http.NoBody, 0
		}
		request.Header.Set("Accept", "*/*")
		request.Header.Set("Accept-Language", "en")
		for name, value := range r.Headers {
			value, _ = fill(value, target, raw)
			request.Header[name] = []string{value}
			if strings.EqualFold(name, "host") {
				request.Host = value
			}
		}
		requests = append(requests, request)
	}
	for _, pattern := range r.Raw {
		text, complete := fill(pattern, target, raw)
		request, err := parseRaw(text, target)
		if !complete || err != nil {
			request = nil
		}
		requests = append(requests, request)
	}
	for i, request := range requests {
		if request == nil {
			continue
		}
		if slices.ContainsFunc(headers, unresolved.MatchString) {
			requests[i] = nil
			continue
		}
		request.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) double/"+version)
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ":")
			name, value = strings.TrimSpace(name), strings.TrimSpace(value)
			if strings.EqualFold(name, "host") {
				request.Host = value
			} else {
				request.Header.Set(name, value)
			}
		}
	}
	return requests
}

// unsendable says why a request of the entry could not be made.
func (r *httpRequest) unsendable(index int, target *url.URL, address string) string {
	text := append(append([]string{}, r.Path...), r.Raw...)[index]
	if strings.Contains(text, "{{interactsh-url}}") {
		return fmt.Sprintf(`Could not execute request for %s: cause="interactsh client not initialized" chain="could not evaluate helper expressions"`, address)
	}
	filled, _ := fill(text, target, address)
	var names []string
	for _, name := range unresolved.FindAllString(filled, -1) {
		names = append(names, strings.Trim(name, "{}"))
	}
	return fmt.Sprintf("Could not make http request for %s: unresolved variables found: %s", address, strings.Join(names, ","))
}

// parseRaw reads a request as it would go over the wire: request line, headers, empty line, body.
func parseRaw(text string, target *url.URL) (*http.Request, error) {
	head, body, _ := strings.Cut(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n")
	lines := strings.Split(head, "\n")
	first := strings.Fields(lines[0])
	if len(first) < 2 {
		return nil, errors.New("malformed request supplied")
	}
	body = strings.TrimSuffix(body, "\n")
	request, err := http.NewRequest(first[0], target.Scheme+"://"+target.Host+first[1], strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, line := range lines[1:] {
		name, value, found := strings.Cut(line, ":")
		if !found {
			continue
		}
		if strings.EqualFold(name, "host") {
			request.Host = strings.TrimSpace(value)
		} else {
			request.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
	return request, nil
}

// send sends one request, follows redirects as told, and retries what failed.
func (s *scan) send(r *httpRequest, request *http.Request) ([]exchange, error) {
	var err error
	for range s.opts.retries + 1 {
		var exchanges []exchange
		if exchanges, err = s.follow(r, request); err == nil {
			return exchanges, nil
		}
		var host *hostError
		if errors.As(err, &host) && host.permanent {
			break
		}
	}
	return nil, err
}

func (s *scan) follow(r *httpRequest, request *http.Request) ([]exchange, error) {
	limit := 0
	if !s.opts.disableRedirects && (r.Redirects || r.HostRedirects || s.opts.followRedirects || s.opts.followHostRedirects) {
		limit = s.opts.maxRedirects
		if r.MaxRedirects > 0 {
			limit = r.MaxRedirects
		}
	}
	sameHost := s.opts.followHostRedirects || r.HostRedirects && !r.Redirects && !s.opts.followRedirects
	var exchanges []exchange
	for {
		done, location, err := s.exchange(r, request)
		if err != nil {
			return nil, err
		}
		exchanges = append([]exchange{done}, exchanges...)
		if location == nil || len(exchanges) > limit || sameHost && location.Host != request.URL.Host {
			return exchanges, nil
		}
		next, err := http.NewRequest(http.MethodGet, location.String(), nil)
		if err != nil {
			return exchanges, nil
		}
		next.Header = request.Header.Clone()
		next.Header.Set("Referer", request.URL.String())
		request = next
	}
}

func (s *scan) exchange(r *httpRequest, request *http.Request) (exchange, *url.URL, error) {
	s.limiters.take(withPort(request.URL))
	trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
		if c.Reused {
			s.reused.Add(1)
		} else {
			s.opened.Add(1)
		}
	}}
	attempt := request.Clone(httptrace.WithClientTrace(context.Background(), trace))
	var body []byte
	if request.GetBody != nil {
		source, _ := request.GetBody()
		body, _ = io.ReadAll(source)
		attempt.Body = io.NopCloser(bytes.NewReader(body))
	}
	wire, _ := httputil.DumpRequestOut(withBody(request, body), true)

	response, err := s.client.Do(attempt)
	if err != nil {
		return exchange{}, nil, classify(err)
	}
	defer response.Body.Close()
	limit := int64(maxBody)
	if r.MaxSize > 0 {
		limit = int64(r.MaxSize)
	}
	if s.opts.responseRead > 0 {
		limit = int64(s.opts.responseRead)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, limit))
	if err != nil {
		return exchange{}, nil, classify(err)
	}
	headers, _ := httputil.DumpResponse(response, false)
	parts := map[string]string{
		"body": string(content), "all_headers": string(headers), "header": string(headers),
		"response": string(headers) + string(content), "request": string(wire), "host": request.URL.Host,
		"content_length": fmt.Sprint(len(content)),
	}
	for name, values := range response.Header {
		parts[strings.ToLower(strings.ReplaceAll(name, "-", "_"))] = strings.Join(values, " ")
	}
	location, err := response.Location()
	if err != nil || response.StatusCode < 300 || response.StatusCode > 399 {
		location = nil
	}
	return exchange{
		url: request.URL.String(), request: string(wire), response: parts["response"], curl: curl(request, body),
		answer: &answer{status: response.StatusCode, parts: parts},
	}, location, nil
}

func withBody(request *http.Request, body []byte) *http.Request {
	copied := request.Clone(context.Background())
	copied.Body = io.NopCloser(bytes.NewReader(body))
	return copied
}

// curl is the command that repeats the request.
func curl(request *http.Request, body []byte) string {
	quote := func(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
	words := []string{"curl -X " + quote(request.Method) + " -d " + quote(string(body))}
	var names []string
	for name := range request.Header {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		words = append(words, "-H "+quote(name+": "+strings.Join(request.Header[name], " ")))
	}
	return strings.Join(append(words, quote(request.URL.String())), " ")
}

// classify tells a host that cannot be reached from one that is slow or rude.
func classify(err error) error {
	var host *hostError
	if errors.As(err, &host) {
		return host
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) && wrapped.Timeout() {
		return &hostError{cause: `cause="context deadline exceeded"`}
	}
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return &hostError{cause: fmt.Sprintf("cause=%q", err)}
}
