package changesapi

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/changes"
	"github.com/ctl-sh/ctl/internal/consensus"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/signal"
)

// Local is what a stream tells of the agent itself.
type Local interface {
	// Datacenter is the agent's own.
	Datacenter() string
	// Members returns the members of a pool and what is closed when they
	// change; none, and nil, where the agent is not in the pool.
	Members(wan bool) ([]gossip.Member, <-chan struct{})
	// Subscribe follows the log.
	Subscribe(level string, json bool) (*logging.Subscription, error)
}

// Raft is what a stream tells of the servers.
type Raft interface {
	Leadership() *signal.Value[consensus.Leadership]
	Configuration() ([]consensus.Server, uint64, error)
	Stats() map[string]string
}

// The topics that are not of the replicated state.
const (
	membersTopic = "members"
	wanTopic     = "members:wan"
	raftTopic    = "raft"
	logPrefix    = "log:"
)

// local reports whether this agent makes the topic itself.
func (a *API) local(name string) bool {
	return name == membersTopic || name == wanTopic || strings.HasPrefix(name, logPrefix)
}

// follow writes a topic of this agent until ctx ends.
func (a *API) follow(ctx context.Context, token, name string, o *out) error {
	auth, err := a.Authz.Resolve(ctx, token)
	if err != nil {
		return err
	}
	if level, ok := strings.CutPrefix(name, logPrefix); ok {
		return a.followLog(ctx, auth, name, level, o)
	}
	t := table{name: name, rows: map[string][]byte{}}
	for {
		members, changed := a.Local.Members(name == wanTopic)
		rows := make(map[string]any, len(members))
		for i := range members {
			if auth.Allow(authz.Node, members[i].Name, authz.Read) {
				rows[members[i].Name] = &members[i]
			}
		}
		if err := t.send(rows, o); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// table is a topic that is read whole each time, of which only what changed is
// sent.
type table struct {
	name string
	rows map[string][]byte
	sent bool
}

func (t *table) send(rows map[string]any, o *out) error {
	var buf []byte
	add := func(f changes.Frame) {
		f.Topic = t.name
		buf = f.Append(buf)
	}
	if !t.sent {
		add(changes.Frame{Type: changes.FrameReset, Reason: changes.ReasonStart})
	}
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		b, err := json.Marshal(rows[key])
		if err != nil {
			return err
		}
		if !bytes.Equal(b, t.rows[key]) {
			t.rows[key] = b
			add(changes.Frame{Type: changes.FramePut, Key: key, Row: b})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t.rows)) {
		if _, ok := rows[key]; !ok {
			delete(t.rows, key)
			add(changes.Frame{Type: changes.FrameDel, Key: key})
		}
	}
	if !t.sent {
		add(changes.Frame{Type: changes.FrameReady})
		t.sent = true
	}
	if len(buf) == 0 {
		return nil
	}
	_, err := o.Write(buf)
	return err
}

// denied writes that a topic may not be followed, and leaves the others alone.
func denied(ctx context.Context, name string, err error, o *out) error {
	if err := o.frame(changes.Frame{Type: changes.FrameError, Topic: name, Kind: failure.KindOf(err).String(), Text: err.Error()}); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (a *API) followLog(ctx context.Context, auth authz.Authorizer, name, level string, o *out) error {
	if !auth.Allow(authz.Agent, a.NodeName, authz.Read) {
		return denied(ctx, name, failure.Newf(failure.PermissionDenied, "%s: token lacks permission '%s:%s' on %q", failure.TextPermissionDenied, authz.Agent, authz.Read, a.NodeName), o)
	}
	lines, err := a.Local.Subscribe(level, false)
	if err != nil {
		return denied(ctx, name, failure.Wrap(failure.BadRequest, err), o)
	}
	defer lines.Close()
	if err := o.frame(changes.Frame{Type: changes.FrameReady, Topic: name}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, ok := <-lines.Lines():
			if !ok {
				return changes.ErrStopped
			}
			f := changes.Frame{Type: changes.FrameLine, Topic: name, Text: strings.TrimSuffix(string(line), "\n")}
			if err := o.frame(f); err != nil {
				return err
			}
		}
	}
}

// raftPause is how often a stream looks how far the log is. Who leads is told
// at once.
const raftPause = 250 * time.Millisecond

// raftRow is the one row of the topic raft.
type raftRow struct {
	Leader     string // its id
	LeaderAddr string
	Term       uint64
	Commit     uint64
	Applied    uint64
	LastLog    uint64
	Snapshot   uint64
	Servers    []raftServer
}

type raftServer struct {
	ID, Node, Address string
	Leader, Voter     bool
}

func (a *API) followRaft(ctx context.Context, token string, o *out) error {
	if err := authz.Require(ctx, a.Authz, token, authz.Operator, "", authz.Read); err != nil {
		return denied(ctx, raftTopic, err, o)
	}
	t := table{name: raftTopic, rows: map[string][]byte{}}
	tick := time.NewTicker(raftPause)
	defer tick.Stop()
	for {
		l, changed := a.Raft.Leadership().Watch()
		if err := t.send(map[string]any{raftTopic: a.raftRow(l)}, o); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-tick.C:
		}
	}
}

func (a *API) raftRow(l consensus.Leadership) raftRow {
	stats := a.Raft.Stats()
	number := func(key string) uint64 {
		n, _ := strconv.ParseUint(stats[key], 10, 64) // absent while Raft starts: 0
		return n
	}
	r := raftRow{
		Leader: l.LeaderID, LeaderAddr: l.LeaderAddr, Term: max(l.Term, number("term")), Commit: number("commit_index"),
		Applied: number("applied_index"), LastLog: number("last_log_index"), Snapshot: number("last_snapshot_index"),
	}
	servers, _, err := a.Raft.Configuration()
	if err != nil {
		return r // not started yet: no servers
	}
	names := map[string]string{}
	members, _ := a.Local.Members(false)
	for _, m := range members {
		if s, ok := gossip.ServerOf(m); ok {
			names[s.ID] = s.Name
		}
	}
	for _, s := range servers {
		r.Servers = append(r.Servers, raftServer{ID: s.ID, Node: names[s.ID], Address: s.Address, Leader: s.ID == l.LeaderID, Voter: s.Voter})
	}
	return r
}
