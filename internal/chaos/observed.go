package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// CheckObserved checks what every read in every mode owes: it returns only what
// had been written and not refused, gives a value one index, shows whole states,
// and does not take one client back in time at one run of a server.
func CheckObserved(ops []Op) []Violation {
	w := writesOf(ops)
	seen, bad := w.checkValues(ops)
	bad = append(bad, w.checkSnapshots(ops, seen)...)
	return append(bad, checkMonotonic(ops)...)
}

// written is what the writes of a history tell about its reads.
type written struct {
	call    map[string]time.Duration // by value: when its write began
	refused map[string]Op            // by value
	deleted map[string]bool          // by key: a delete may have been applied
}

func writesOf(ops []Op) written {
	w := written{call: map[string]time.Duration{}, refused: map[string]Op{}, deleted: map[string]bool{}}
	for _, op := range ops {
		switch op.Kind {
		case Put, CAS:
			w.call[op.Value] = op.Call
			if op.Outcome == Refused || op.Outcome == Done && op.Kind == CAS && !op.Swapped {
				w.refused[op.Value] = op
			}
		case Delete:
			if op.Outcome != Refused {
				w.deleted[op.Key] = true
			}
		default: // the others say nothing here
		}
	}
	return w
}

// entries calls yield for every entry a read returned.
func entries(op Op, yield func(key string, e Entry)) {
	switch op.Kind {
	case Get:
		yield(op.Key, op.Got)
	case List:
		for key, e := range op.Listed {
			yield(key, e)
		}
	default: // the others say nothing here
	}
}

// checkValues returns, by key, each entry that was seen, in order of index.
func (w written) checkValues(ops []Op) (map[string][]Entry, []Violation) {
	var bad []Violation
	index := map[string]uint64{}  // by value
	seen := map[string][]Entry{}  // by key
	holder := map[uint64]string{} // by index: one raft index changes one of our keys
	for _, op := range ops {
		entries(op, func(key string, e Entry) {
			if e.Value == "" {
				return
			}
			call, ok := w.call[e.Value]
			if !ok || call > op.Return {
				bad = append(bad, Violation{PromiseWritten, fmt.Sprintf("%v returned %q, which nobody had written", op, e.Value)})
				return
			}
			if write, ok := w.refused[e.Value]; ok {
				bad = append(bad, Violation{PromiseRefused, fmt.Sprintf("%v saw the value of %v", op, write)})
			}
			switch before, ok := index[e.Value]; {
			case !ok:
				index[e.Value] = e.Modify
				seen[key] = append(seen[key], e)
				if other, taken := holder[e.Modify]; taken && other != e.Value {
					bad = append(bad, Violation{PromiseOneIndex, fmt.Sprintf("%q and %q both have index %d", other, e.Value, e.Modify)})
				}
				holder[e.Modify] = e.Value
			case before != e.Modify:
				bad = append(bad, Violation{PromiseOneIndex, fmt.Sprintf("%v: %q had index %d before", op, e.Value, before)})
			}
		})
	}
	for _, list := range seen {
		slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.Modify, b.Modify) })
	}
	return seen, bad
}

// checkSnapshots holds every answer against all entries that anybody saw: at
// index I each key has its newest value that is not above I.
func (w written) checkSnapshots(ops []Op, seen map[string][]Entry) []Violation {
	var bad []Violation
	for _, op := range ops {
		if op.Kind != List {
			continue
		}
		for key, known := range seen {
			got := op.Listed[key]
			if got.Modify > op.Index {
				bad = append(bad, Violation{PromiseSnapshot, fmt.Sprintf("%v holds %s with index %d", op, key, got.Modify)})
			}
			for _, e := range known {
				missed := e.Modify > got.Modify && e.Modify <= op.Index
				if missed && (got.Value != "" || !w.deleted[key]) {
					bad = append(bad, Violation{PromiseSnapshot, fmt.Sprintf("%v holds %q of %s, not %q of index %d", op, got.Value, key, e.Value, e.Modify)})
					break
				}
			}
		}
	}
	return bad
}

// checkMonotonic compares successive reads of one key by one client at one run
// of one server. Clients are sequential, so order of call is their order. A
// restarted server may begin with an older state, in stale mode; that is why a
// run of its process is part of the comparison.
func checkMonotonic(ops []Op) []Violation {
	type view struct {
		client, server, run int
		key                 string
	}
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	last := map[view]Op{}
	var bad []Violation
	for _, op := range ops {
		if op.Kind != Get && op.Kind != List {
			continue
		}
		v := view{op.Client, op.Server, op.Run, op.Key}
		if before, ok := last[v]; ok && op.Index < before.Index {
			bad = append(bad, Violation{PromiseMonotonic, fmt.Sprintf("%v after %v", op, before)})
		}
		last[v] = op
	}
	return bad
}
