package agentproc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Usage is what a process has taken from the machine.
type Usage struct {
	CPU time.Duration // user and system time, in steps of 10 ms
	RSS int64         // resident bytes; 0 after its end
}

// ErrNoUsage says that the system has no /proc to read a process's usage from.
var ErrNoUsage = errors.New("process usage is known on Linux only")

// clockTick is Linux's USER_HZ, which is 100 on every architecture Go runs on.
const clockTick = 10 * time.Millisecond

// Usage returns what the process has taken so far.
func (p *Process) Usage() (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		if _, noProc := os.Stat("/proc/self/stat"); noProc != nil {
			return Usage{}, ErrNoUsage
		}
		return Usage{}, err
	}
	return parseStat(stat, os.Getpagesize())
}

// parseStat reads one line of /proc/<pid>/stat. The command name, in
// parentheses, may itself hold spaces and parentheses. Source: proc(5).
func parseStat(stat []byte, pageSize int) (Usage, error) {
	_, rest, ok := bytes.Cut(stat, []byte("("))
	end := bytes.LastIndexByte(rest, ')')
	if !ok || end < 0 {
		return Usage{}, errors.New("read /proc stat: no command name")
	}
	fields := bytes.Fields(rest[end+1:]) // from field 3, the state
	const utime, stime, rss = 14 - 3, 15 - 3, 24 - 3
	if len(fields) <= rss {
		return Usage{}, fmt.Errorf("read /proc stat: %d fields", len(fields))
	}
	var v [3]int64
	for i, f := range []int{utime, stime, rss} {
		n, err := strconv.ParseInt(string(fields[f]), 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("read /proc stat: %w", err)
		}
		v[i] = n
	}
	return Usage{CPU: time.Duration(v[0]+v[1]) * clockTick, RSS: v[2] * int64(pageSize)}, nil
}
