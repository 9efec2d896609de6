package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
)

type pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// secret is an entry of a secrets file: what requests to some hosts carry.
type secret struct {
	Type         string   `json:"type"`
	Domains      []string `json:"domains"`
	DomainsRegex []string `json:"domains-regex"`
	Headers      []pair   `json:"headers"`
	Cookies      []pair   `json:"cookies"`
	Params       []pair   `json:"params"`
	Username     string   `json:"username"`
	Password     string   `json:"password"`
	Token        string   `json:"token"`
}

// readSecrets reads secrets files. Their values are taken as they are: no comments, no variables.
func readSecrets(files []string) ([]secret, error) {
	var secrets []secret
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var document struct {
			Static  []secret `json:"static"`
			Dynamic []any    `json:"dynamic"`
		}
		if err := json.Unmarshal(content, &document); err != nil {
			return nil, fmt.Errorf("could not read %s: %w", name, err)
		}
		if len(document.Dynamic) > 0 {
			return nil, errors.New("this double makes no logins")
		}
		secrets = append(secrets, document.Static...)
	}
	return secrets, nil
}

// isFor tells whether the secret is for a host, which is with its port unless that is 80 or 443.
func (s *secret) isFor(host string) bool {
	host = strings.TrimSuffix(strings.TrimSuffix(host, ":80"), ":443")
	return slices.ContainsFunc(s.Domains, func(domain string) bool { return strings.EqualFold(domain, host) }) ||
		slices.ContainsFunc(s.DomainsRegex, func(pattern string) bool {
			matched, err := regexp.MatchString(pattern, host)
			return err == nil && matched
		})
}

// authenticate puts into a request what the secrets have for its host.
func authenticate(request *http.Request, secrets []secret) {
	for _, entry := range secrets {
		if !entry.isFor(request.URL.Host) {
			continue
		}
		switch strings.ToLower(entry.Type) {
		case "basicauth":
			request.SetBasicAuth(entry.Username, entry.Password)
		case "bearertoken":
			request.Header.Set("Authorization", "Bearer "+entry.Token)
		case "header":
			for _, header := range entry.Headers {
				request.Header[header.Key] = []string{header.Value}
			}
		case "cookie":
			for _, cookie := range entry.Cookies {
				request.AddCookie(&http.Cookie{Name: cookie.Key, Value: cookie.Value})
			}
		case "query":
			query := request.URL.Query()
			for _, param := range entry.Params {
				query.Add(param.Key, param.Value)
			}
			request.URL.RawQuery = query.Encode()
		}
	}
}
