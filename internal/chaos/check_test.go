package chaos

import (
	"errors"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// ms makes the hand-written histories below readable.
func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func read(client, call, ret int, mode Mode, got Entry, index uint64) Op {
	return Op{Kind: Get, Mode: mode, Client: client, Key: "k", Got: got, Index: index, Call: ms(call), Return: ms(ret)}
}

func write(client, call, ret int, value string, outcome Outcome) Op {
	return Op{Kind: Put, Client: client, Key: "k", Value: value, Outcome: outcome, Swapped: outcome == Done, Call: ms(call), Return: ms(ret)}
}

func swap(client, call, ret int, value, expect string, swapped bool) Op {
	return Op{Kind: CAS, Client: client, Key: "k", Value: value, Expect: expect, Swapped: swapped, Call: ms(call), Return: ms(ret)}
}

func TestCheckLinearizable(t *testing.T) {
	t.Parallel()
	absent, one, two := Entry{}, Entry{"1", 10}, Entry{"2", 11}
	tests := []struct {
		name string
		ops  []Op
		bad  bool
	}{
		{"a read after a write sees it", []Op{write(0, 0, 1, "1", Done), read(1, 2, 3, Default, one, 10)}, false},
		{"a read during a write may miss it", []Op{write(0, 0, 5, "1", Done), read(1, 2, 3, Default, absent, 1)}, false},
		{"an old default read", []Op{write(0, 0, 1, "1", Done), write(0, 2, 3, "2", Done), read(1, 4, 5, Default, one, 10)}, true},
		{"an old consistent read", []Op{write(0, 0, 1, "1", Done), read(1, 4, 5, Consistent, absent, 1)}, true},
		{"an old stale read is allowed", []Op{write(0, 0, 1, "1", Done), read(1, 4, 5, Stale, absent, 1)}, false},
		{"an unknown write may never happen", []Op{write(0, 0, 1, "1", Unknown), read(1, 4, 5, Default, absent, 1)}, false},
		{"an unknown write may happen late", []Op{write(0, 0, 1, "1", Unknown), read(1, 4, 5, Default, absent, 1), read(1, 6, 7, Default, one, 10)}, false},
		{"an unknown write does not go away again", []Op{write(0, 0, 1, "1", Unknown), read(1, 4, 5, Default, one, 10), read(1, 6, 7, Default, absent, 1)}, true},
		{"a refused write is seen", []Op{write(0, 0, 1, "1", Refused), read(1, 4, 5, Default, one, 10)}, true},
		{"a lost write", []Op{write(0, 0, 1, "1", Done), read(1, 2, 3, Default, one, 10), read(1, 4, 5, Default, absent, 1)}, true},
		{"a swap that matches", []Op{write(0, 0, 1, "1", Done), swap(0, 2, 3, "2", "1", true), read(1, 4, 5, Default, two, 11)}, false},
		{"a swap that should have failed", []Op{write(0, 0, 1, "1", Done), swap(0, 2, 3, "2", "", true)}, true},
		{"a swap that should have matched", []Op{write(0, 0, 1, "1", Done), swap(0, 2, 3, "2", "1", false)}, true},
		{"two swaps of one value", []Op{write(0, 0, 1, "1", Done), swap(0, 2, 9, "2", "1", true), swap(1, 2, 9, "3", "1", true)}, true},
		{"a deleted key is absent", []Op{write(0, 0, 1, "1", Done), {Kind: Delete, Key: "k", Call: ms(2), Return: ms(3)}, read(1, 4, 5, Default, absent, 12)}, false},
		{"a deleted key comes back", []Op{write(0, 0, 1, "1", Done), {Kind: Delete, Key: "k", Call: ms(2), Return: ms(3)}, read(1, 4, 5, Default, one, 10)}, true},
		{"a list is a read of each key", []Op{write(0, 0, 1, "1", Done), {Kind: List, Mode: Default, Key: "", Call: ms(4), Return: ms(5)}}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			drawn := 0
			bad := CheckLinearizable(tt.ops, []string{"k"}, time.Minute, func(string, []byte) { drawn++ })
			if got := len(bad) > 0; got != tt.bad {
				t.Errorf("violations %v, want any: %t", bad, tt.bad)
			}
			if drawn != len(bad) {
				t.Errorf("%d pictures for %d violations", drawn, len(bad))
			}
		})
	}
}

func TestCheckObserved(t *testing.T) {
	t.Parallel()
	one, two := Entry{"1", 10}, Entry{"2", 11}
	list := func(index uint64, listed map[string]Entry) Op {
		return Op{Kind: List, Mode: Stale, Client: 7, Listed: listed, Index: index, Call: ms(20), Return: ms(21)}
	}
	both := []Op{write(0, 0, 1, "1", Done), write(0, 2, 3, "2", Done), read(1, 4, 5, Stale, one, 10), read(1, 6, 7, Stale, two, 11)}
	tests := []struct {
		name string
		ops  []Op
		want string // the promise broken, "" for none
	}{
		{"an old value, then a newer", both, ""},
		{"a value nobody wrote", []Op{read(1, 4, 5, Stale, one, 10)}, PromiseWritten},
		{"a value from the future", []Op{read(1, 0, 1, Stale, one, 10), write(0, 2, 3, "1", Done)}, PromiseWritten},
		{"the value of a refused write", []Op{write(0, 0, 1, "1", Refused), read(1, 4, 5, Stale, one, 10)}, PromiseRefused},
		{"the value of a failed swap", []Op{swap(0, 0, 1, "1", "0", false), read(1, 4, 5, Stale, one, 10)}, PromiseRefused},
		{"a value with two indexes", []Op{write(0, 0, 1, "1", Done), read(1, 4, 5, Stale, one, 10), read(1, 6, 7, Stale, Entry{"1", 12}, 12)}, PromiseOneIndex},
		{"two values with one index", []Op{write(0, 0, 1, "1", Done), write(0, 0, 1, "2", Done), read(1, 4, 5, Stale, one, 10), read(1, 6, 7, Stale, Entry{"2", 10}, 10)}, PromiseOneIndex},
		{"back in time", append(both[:4:4], read(1, 8, 9, Stale, one, 10)), PromiseMonotonic},
		{"back in time at another server", append(both[:4:4], Op{Kind: Get, Mode: Stale, Client: 1, Server: 2, Key: "k", Got: one, Index: 10, Call: ms(8), Return: ms(9)}), ""},
		{"back in time at another run", append(both[:4:4], Op{Kind: Get, Mode: Stale, Client: 1, Run: 1, Key: "k", Got: one, Index: 10, Call: ms(8), Return: ms(9)}), ""},
		{"a list of an old state", append(both[:4:4], list(10, map[string]Entry{"k": one})), ""},
		{"a list that missed a change", append(both[:4:4], list(11, map[string]Entry{"k": one})), PromiseSnapshot},
		{"a list ahead of its index", append(both[:4:4], list(10, map[string]Entry{"k": two})), PromiseSnapshot},
		{"a list without a key", append(both[:4:4], list(12, nil)), PromiseSnapshot},
		{"a list without a deleted key", append(both[:4:4], Op{Kind: Delete, Key: "k", Outcome: Unknown}, list(12, nil)), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bad := CheckObserved(tt.ops)
			switch {
			case tt.want == "" && len(bad) > 0:
				t.Errorf("violations %v, want none", bad)
			case tt.want != "" && (len(bad) == 0 || bad[0].Promise != tt.want):
				t.Errorf("violations %v, want %q", bad, tt.want)
			}
		})
	}
}

func TestLedger(t *testing.T) {
	t.Parallel()
	var l Ledger
	l.Acknowledge(1, "a", "1")
	l.Acknowledge(1, "b", "2")
	l.Acknowledge(2, "c", "3")
	if got := l.Total(); got != 3 {
		t.Errorf("Total() = %d, want 3", got)
	}
	if bad := l.Check(1, map[string]Entry{"a": {"1", 1}, "b": {"2", 2}, "x": {"9", 3}}); len(bad) != 0 {
		t.Errorf("all there: %v", bad)
	}
	if bad := l.Check(1, map[string]Entry{"a": {"other", 1}}); len(bad) != 1 || !strings.Contains(bad[0].Detail, "2 of 2") {
		t.Errorf("one changed, one gone: %v", bad)
	}
}

func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	mark := http.Header{"X-Ctl-Outcome": {"unknown"}}
	tests := []struct {
		name    string
		answer  answer
		err     error
		want    Outcome
		swapped bool
	}{
		{"acknowledged", answer{200, nil, []byte("true\n")}, nil, Done, true},
		{"compared and not swapped", answer{200, nil, []byte("false")}, nil, Done, false},
		{"no leader", answer{500, nil, []byte("No cluster leader")}, nil, Refused, false},
		{"unavailable", answer{503, nil, []byte("shutting down")}, nil, Refused, false},
		{"marked unknown", answer{503, mark, []byte("leadership lost")}, nil, Unknown, false},
		{"too many connections", answer{429, nil, nil}, nil, Refused, false},
		{"some other fault", answer{500, nil, []byte("disk on fire")}, nil, Unknown, false},
		{"never sent", answer{}, &net.OpError{Op: "dial", Err: errors.New("refused")}, Refused, false},
		{"cut off", answer{}, &net.OpError{Op: "read", Err: errors.New("reset")}, Unknown, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, swapped := outcomeOf(tt.answer, tt.err)
			if got != tt.want || swapped != tt.swapped {
				t.Errorf("outcomeOf = %v, %t, want %v, %t", got, swapped, tt.want, tt.swapped)
			}
		})
	}
}

func TestEntriesOf(t *testing.T) {
	t.Parallel()
	header := http.Header{"X-Consul-Index": {"7"}}
	tests := []struct {
		name    string
		answer  answer
		want    map[string]Entry
		wantErr bool
	}{
		{"one key", answer{200, header, []byte(`[{"Key":"a","Value":"MQ==","ModifyIndex":7}]`)}, map[string]Entry{"a": {"1", 7}}, false},
		{"absent", answer{404, header, nil}, map[string]Entry{}, false},
		{"no index", answer{404, nil, nil}, nil, true},
		{"an error says nothing", answer{500, header, []byte("No cluster leader")}, nil, true},
		{"not JSON", answer{200, header, []byte("<html>")}, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, _, err := entriesOf(tt.answer)
			if !reflect.DeepEqual(got, tt.want) || (err != nil) != tt.wantErr {
				t.Errorf("entriesOf = %v, %v, want %v, error %t", got, err, tt.want, tt.wantErr)
			}
		})
	}
}

func TestScheduleDependsOnSeedOnly(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64) []Fault {
		s := NewSchedule(seed, nil)
		out := make([]Fault, 500)
		for i := range out {
			out[i] = s.Next()
		}
		return out
	}
	first := draw(1)
	if !reflect.DeepEqual(first, draw(1)) {
		t.Error("the same seed gave other faults")
	}
	if reflect.DeepEqual(first, draw(2)) {
		t.Error("another seed gave the same faults")
	}
	seen := map[string]bool{}
	for _, f := range first {
		seen[string(f.Act)+" "+string(f.Target)] = true
		if f.Hold <= 0 || f.Before <= 0 {
			t.Errorf("%v: no time to hold or before", f)
		}
	}
	if len(seen) != len(mix) {
		t.Errorf("500 faults are of %d kinds, want all %d", len(seen), len(mix))
	}
}

func TestScheduleKeepsToItsActs(t *testing.T) {
	t.Parallel()
	s := NewSchedule(1, []Act{Kill, Isolate}, Isolate)
	for range 200 {
		if f := s.Next(); f.Act != Kill {
			t.Fatalf("%v, want kills only", f)
		}
	}
}
