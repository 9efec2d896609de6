package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
)

// secret is an entry of a secrets file, of the one type that a scan in a Job uses.
type secret struct {
	Type         string   `json:"type"`
	DomainsRegex []string `json:"domains-regex"`
	Headers      []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	} `json:"headers"`
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
			Static []secret `json:"static"`
		}
		if err := json.Unmarshal(content, &document); err != nil {
			return nil, fmt.Errorf("could not read %s: %w", name, err)
		}
		secrets = append(secrets, document.Static...)
	}
	return secrets, nil
}

// authenticate sets the headers that the secrets have for the request's host.
func authenticate(request *http.Request, secrets []secret) {
	for _, entry := range secrets {
		for _, pattern := range entry.DomainsRegex {
			if matched, err := regexp.MatchString(pattern, request.URL.Host); err != nil || !matched {
				continue
			}
			for _, header := range entry.Headers {
				request.Header[header.Key] = []string{header.Value}
			}
		}
	}
}
