package consensus

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// unreachable fails a number of times before it works.
type unreachable struct {
	Transport
	left, calls int
}

func (u *unreachable) AppendEntries(raft.ServerID, raft.ServerAddress, *raft.AppendEntriesRequest, *raft.AppendEntriesResponse) error {
	u.calls++
	if u.left--; u.left >= 0 {
		return errors.New("connection refused")
	}
	return nil
}

func TestEntriesAreTriedUntilTheFollowerAnswers(t *testing.T) {
	entries := &raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 7, PrevLogTerm: 3, LeaderCommitIndex: 7}
	for _, c := range []struct {
		name      string
		req       *raft.AppendEntriesRequest
		failures  int
		wantedFor time.Duration
		calls     int
		ok        bool
	}{
		{"at once", entries, 0, time.Hour, 1, true},
		{"after a while", entries, 40, time.Hour, 41, true},
		{"a heartbeat is not tried again", &raft.AppendEntriesRequest{Term: 3}, 1, time.Hour, 1, false},
		{"until it no longer leads, or the follower moved", entries, 1 << 20, 990 * time.Millisecond, 21, false},
		{"not for ever", entries, 1 << 20, time.Hour, 601, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				u := &unreachable{left: c.failures}
				g := newGate(u, nil, func() bool { return false })
				g.wanted = func(term uint64, id raft.ServerID, at raft.ServerAddress) bool {
					return term == 3 && id == "b" && at == "b:8300" && time.Since(began) < c.wantedFor
				}
				err := g.AppendEntries("b", "b:8300", c.req, new(raft.AppendEntriesResponse))
				if (err == nil) != c.ok || u.calls < c.calls-1 || u.calls > c.calls+1 {
					t.Errorf("%d calls, error %v; want about %d calls, ok %v", u.calls, err, c.calls, c.ok)
				}
			})
		})
	}
}
