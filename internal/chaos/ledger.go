package chaos

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Ledger remembers every acknowledged write to a key that is written once. The
// zero value is ready. Safe for concurrent use.
type Ledger struct {
	mu     sync.Mutex
	rounds map[int]map[string]string // by round: key to value
	total  int
}

// Acknowledge records that a write was acknowledged.
func (l *Ledger) Acknowledge(round int, key, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rounds == nil {
		l.rounds = map[int]map[string]string{}
	}
	if l.rounds[round] == nil {
		l.rounds[round] = map[string]string{}
	}
	l.rounds[round][key] = value
	l.total++
}

// Total returns the number of acknowledged writes.
func (l *Ledger) Total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Check compares a round's acknowledged writes with what is stored. All that
// are lost are one violation, which names the first few.
func (l *Ledger) Check(round int, stored map[string]Entry) []Violation {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lost []string
	for key, value := range l.rounds[round] {
		if got := stored[key].Value; got != value {
			lost = append(lost, fmt.Sprintf("%s had %q and now holds %q", key, value, got))
		}
	}
	if len(lost) == 0 {
		return nil
	}
	slices.Sort(lost)
	return []Violation{{PromiseAcknowledged, fmt.Sprintf("round %d: %d of %d acknowledged writes: %s",
		round, len(lost), len(l.rounds[round]), strings.Join(lost[:min(3, len(lost))], "; "))}}
}
