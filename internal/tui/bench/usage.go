//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has taken so far.
type usage struct {
	cpu time.Duration
	// waited is for how long its threads could have run and had no CPU: what
	// other programs on the machine cost it. Times are wall times less part
	// of this where the machine is busy.
	waited   time.Duration
	switches int64 // how often a thread went to sleep, or was put aside
	rss      int64
	span     time.Duration // since what was subtracted
	at       time.Time
}

// usageOf sums up the threads of a process. Threads that have ended are missing;
// those of Go hardly ever do.
func usageOf(pid int) (usage, error) {
	u := usage{at: time.Now()}
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	threads, err := os.ReadDir(filepath.Join(dir, "task"))
	if err != nil {
		return u, fmt.Errorf("read the usage: %w", err)
	}
	for _, t := range threads {
		if err := u.add(filepath.Join(dir, "task", t.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return u, err
		}
	}
	statm, err := os.ReadFile(filepath.Join(dir, "statm"))
	if err != nil {
		return u, fmt.Errorf("read the usage: %w", err)
	}
	var total, resident int64
	if _, err := fmt.Sscan(string(statm), &total, &resident); err != nil {
		return u, fmt.Errorf("read the usage: %q: %w", statm, err)
	}
	u.rss = resident * int64(os.Getpagesize())
	return u, nil
}

// add adds a thread.
func (u *usage) add(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "schedstat"))
	if err != nil {
		return fmt.Errorf("read the usage: %w", err)
	}
	var cpu, waited int64
	if _, err := fmt.Sscan(string(text), &cpu, &waited); err != nil {
		return fmt.Errorf("read the usage: %q: %w", text, err)
	}
	u.cpu += time.Duration(cpu)
	u.waited += time.Duration(waited)
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return fmt.Errorf("read the usage: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if name, n, ok := strings.Cut(line, ":"); ok && strings.HasSuffix(name, "voluntary_ctxt_switches") {
			count, err := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
			if err != nil {
				return fmt.Errorf("read the usage: %q: %w", line, err)
			}
			u.switches += count
		}
	}
	return nil
}

// since returns what was taken after before.
func (u usage) since(before usage) usage {
	u.cpu -= before.cpu
	u.waited -= before.waited
	u.switches -= before.switches
	u.span = u.at.Sub(before.at)
	return u
}

// String implements fmt.Stringer, for the result of since.
func (u usage) String() string {
	return fmt.Sprintf("%.2f%% of a core, %.0f wakes/s, %d MB", 100*float64(u.cpu)/float64(u.span), float64(u.switches)/u.span.Seconds(), u.rss>>20)
}

// over returns what the dashboard takes while f runs.
func (d *dash) over(f func() error) (usage, error) {
	before, err := usageOf(d.cmd.Process.Pid)
	if err != nil {
		return usage{}, err
	}
	if err := f(); err != nil {
		return usage{}, err
	}
	after, err := usageOf(d.cmd.Process.Pid)
	return after.since(before), err
}
