package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"sync"
)

// progress remembers which targets of each template are done, by their position, as the resume file does.
type progress struct {
	mu      sync.Mutex
	current map[string]*resumeInfo
	from    map[string]*resumeInfo
}

type resumeInfo struct {
	Completed bool                `json:"completed"`
	InFlight  map[uint32]struct{} `json:"inFlight"`
}

// loadProgress reads the resume file, if there is one: a missing file is a fresh start, without a word.
func loadProgress(path string, logs *logger) (*progress, error) {
	p := &progress{current: map[string]*resumeInfo{}, from: map[string]*resumeInfo{}}
	if path == "" {
		return p, nil
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return p, nil
	}
	logs.infof("Resuming from save checkpoint")
	file := struct {
		ResumeFrom map[string]*resumeInfo `json:"resumeFrom"`
	}{}
	if err := json.Unmarshal(body, &file); err != nil {
		return nil, err
	}
	if file.ResumeFrom != nil {
		p.from = file.ResumeFrom
	}
	return p, nil
}

// save writes the state of the interrupted run.
func (p *progress) save(path string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	body, err := json.MarshalIndent(map[string]any{"resumeFrom": p.current}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, body, 0o600)
}

// begin marks a target as in flight, and says whether an earlier run had finished it: all targets below the
// first one that was in flight, or all of a completed template.
func (p *progress) begin(id string, index uint32) (done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	entry, ok := p.current[id]
	if !ok {
		entry = &resumeInfo{InFlight: map[uint32]struct{}{}}
		p.current[id] = entry
	}
	entry.InFlight[index] = struct{}{}
	earlier, ok := p.from[id]
	if !ok {
		return false
	}
	first := uint32(math.MaxUint32)
	for i := range earlier.InFlight {
		first = min(first, i)
	}
	return earlier.Completed || index < first
}

func (p *progress) end(id string, index uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.current[id].InFlight, index)
}

func (p *progress) complete(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if entry, ok := p.current[id]; ok {
		entry.Completed = true
		return
	}
	p.current[id] = &resumeInfo{Completed: true, InFlight: map[uint32]struct{}{}}
}
