package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/signal"
)

const (
	// eventBuffer is how many events serf may be ahead of drain. Serf drops
	// events when it is full and a snapshot file is in use.
	eventBuffer = 4096
	// minQueueDepth lets the message queues grow with the cluster.
	minQueueDepth = 4096
	// nameReclaim is how soon after a member failed its name may come back
	// from another address. Admission keeps other nodes from taking it.
	nameReclaim = time.Millisecond
	// introduction is how long a Leave waits for this agent to be known.
	introduction = 5 * time.Second
)

// Pool is this agent's membership in one gossip pool. Build it with [New], run
// it with [Pool.Run]. All methods may be called at any time by any number of
// goroutines; while the pool does not run, those that need it fail with
// failure.Unavailable and those that report answer with nothing.
type Pool struct {
	cfg       Config
	log       *slog.Logger
	admission *admission
	events    chan serf.Event
	changes   signal.Value[uint64]
	started   atomic.Bool
	serf      atomic.Pointer[serf.Serf]

	// leaving (size 1) is full during a Leave and a shutdown, which must not
	// overlap: memberlist panics when it is shut down in the middle. It is
	// not a mutex so that waiting for it can end, and does in fake time.
	leaving chan struct{}
	// joins counts those under way.
	joins atomic.Int64
	// tagMu orders changes of tags. Guards tags.
	tagMu sync.Mutex
	tags  map[string]string

	heard    *heard
	refusals *refusals

	subsMu sync.Mutex
	subs   map[*Subscription]struct{}

	// Set by Run before serf is stored, read-only after that.
	transport memberlist.NodeAwareTransport
	previous  []string
}

// New checks cfg and returns a pool that does not run yet. It opens nothing.
func New(cfg Config) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.BindAddr == "" {
		cfg.BindAddr = "0.0.0.0"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Pool{
		cfg:       cfg,
		log:       cfg.Logger,
		admission: newAdmission(cfg),
		events:    make(chan serf.Event, eventBuffer),
		tags:      cfg.Identity.tags(cfg.Kind),
		subs:      make(map[*Subscription]struct{}),
		leaving:   make(chan struct{}, 1),
		heard:     newHeard(),
		refusals:  newRefusals(),
	}, nil
}

// Run opens the pool, calls ready once it can be joined, and keeps it until ctx
// ends; a pool runs once. It does not leave: others see a failed member unless
// [Pool.Leave] was called before. It may take as long as a Leave in progress.
//
// It fails if the address is in use or not of this machine, if the keyring is
// damaged, or if the directory cannot be written.
func (p *Pool) Run(ctx context.Context, ready func()) error {
	if !p.started.CompareAndSwap(false, true) {
		return errors.New("gossip pool was already run")
	}
	conf, err := p.serfConfig()
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	drained := make(chan struct{})
	defer work.Wait()
	defer close(drained) // after Shutdown: until then serf may have events
	work.Go(func() { p.drain(drained) })

	s, err := p.create(conf)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work.Go(func() { p.reassert(ctx, s) })
	p.serf.Store(s)
	p.changes.Update(func(n uint64) uint64 { return n + 1 })
	ready()

	var failed error
	select {
	case <-ctx.Done():
	case <-s.ShutdownCh():
		failed = fmt.Errorf("%s gossip stopped by itself", p.cfg.Kind)
	}
	p.leaving <- struct{}{}
	defer func() { <-p.leaving }()
	return errors.Join(failed, s.Shutdown())
}

// create starts serf and makes sure that it took this agent in.
func (p *Pool) create(conf *serf.Config) (*serf.Serf, error) {
	s, err := serf.Create(conf)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s gossip: %w", p.cfg.Kind, err),
			conf.MemberlistConfig.Transport.Shutdown())
	}
	for _, m := range s.Members() {
		if m.Name == conf.NodeName {
			p.admission.setSelf(memberAddr(&m))
			return s, nil
		}
	}
	// Admission or AllowedCIDRs refused this agent itself; the log has why.
	return nil, errors.Join(failure.Newf(failure.Invalid,
		"start %s gossip: this agent's own address or tags are not allowed in the pool "+
			"(is its address within `serf_%s_allowed_cidrs`?)", p.cfg.Kind, p.cfg.Kind), s.Shutdown())
}

// serfConfig prepares everything serf needs: files, keys, listeners.
func (p *Pool) serfConfig() (*serf.Config, error) {
	ring, ringFile, err := p.keyring()
	if err != nil {
		return nil, err
	}
	if p.previous, err = p.prepareSnapshot(); err != nil {
		return nil, err
	}
	logger := newLibraryLog(p.log, p.refusals)
	if p.transport, err = p.listen(); err != nil {
		return nil, err
	}
	c := serf.DefaultConfig()
	c.NodeName = p.cfg.memberName()
	c.Tags = maps.Clone(p.tags)
	c.EventCh = p.events
	c.LogOutput, c.Logger = nil, logger
	c.LeavePropagateDelay = p.cfg.LeavePropagateDelay
	c.ReconnectTimeout = p.cfg.ReconnectTimeout
	c.TombstoneTimeout = p.cfg.TombstoneTimeout
	c.ReconnectTimeoutOverride = reconnectOverride{}
	c.MinQueueDepth = minQueueDepth
	c.DisableCoordinates = p.cfg.DisableCoordinates
	c.RejoinAfterLeave = p.cfg.RejoinAfterLeave
	c.KeyringFile = ringFile
	c.Merge = p.admission
	// Serf would shut the pool down when it loses a vote about its name,
	// which the old address of a moved node wins.
	c.EnableNameConflictResolution = false
	// Serf's rule knows no underscore; admission has its own.
	c.ValidateNodeNames = false
	if p.cfg.Dir != "" {
		c.SnapshotPath = p.cfg.file("snapshot")
	}
	c.MemberlistConfig = p.memberlistConfig(ring)
	c.MemberlistConfig.Transport = newInflow(p.transport, p.heard, p.log)
	c.MemberlistConfig.Logger = logger
	return c, nil
}

func (p *Pool) memberlistConfig(ring *memberlist.Keyring) *memberlist.Config {
	m := memberlist.DefaultLANConfig()
	if p.cfg.Kind == WAN {
		m = memberlist.DefaultWANConfig()
	}
	m.BindAddr, m.BindPort = p.cfg.BindAddr, p.cfg.BindPort
	m.AdvertiseAddr, m.AdvertisePort = p.cfg.AdvertiseAddr, p.advertisePort()
	m.GossipNodes, m.GossipInterval = p.cfg.Timing.GossipNodes, p.cfg.Timing.GossipInterval
	m.ProbeInterval, m.ProbeTimeout = p.cfg.Timing.ProbeInterval, p.cfg.Timing.ProbeTimeout
	m.SuspicionMult, m.RetransmitMult = p.cfg.Timing.SuspicionMult, p.cfg.Timing.RetransmitMult
	m.DeadNodeReclaimTime = nameReclaim
	m.Keyring = ring
	m.GossipVerifyIncoming = p.cfg.VerifyIncoming
	m.GossipVerifyOutgoing = p.cfg.VerifyOutgoing
	for _, prefix := range p.cfg.AllowedCIDRs {
		m.CIDRsAllowed = append(m.CIDRsAllowed, net.IPNet{
			IP:   prefix.Masked().Addr().AsSlice(),
			Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
		})
	}
	return m
}

// advertisePort is the port told to others once the pool listens.
func (p *Pool) advertisePort() int {
	if p.cfg.AdvertisePort != 0 {
		return p.cfg.AdvertisePort
	}
	if t, ok := p.transport.(*netTransport); ok {
		return t.GetAutoBindPort()
	}
	return p.cfg.BindPort
}

// running returns serf, or an Unavailable error before Run is ready.
func (p *Pool) running() (*serf.Serf, error) {
	if s := p.serf.Load(); s != nil {
		return s, nil
	}
	return nil, failure.Newf(failure.Unavailable, "the %s gossip pool does not run yet", p.cfg.Kind)
}

// Kind returns which pool it is.
func (p *Pool) Kind() Kind { return p.cfg.Kind }

// Members returns all members that are not forgotten, this agent among them,
// sorted by name. The slice is the caller's, the tags are not.
func (p *Pool) Members() []Member {
	s := p.serf.Load()
	if s == nil {
		return nil
	}
	from := s.Members()
	members := make([]Member, len(from))
	for i, m := range from {
		members[i] = memberOf(m)
	}
	sortMembers(members)
	return members
}

// LocalMember returns this agent as the pool sees it, or the zero Member.
func (p *Pool) LocalMember() Member {
	s := p.serf.Load()
	if s == nil {
		return Member{}
	}
	return memberOf(s.LocalMember())
}

// Changes counts member events. Read it before [Pool.Members]: when it moved
// on, the members may differ.
func (p *Pool) Changes() *signal.Value[uint64] { return &p.changes }

// Previous returns the gossip addresses (host:port) of the members that were
// alive when this agent last stopped, from its snapshot file. Empty before Run
// is ready.
func (p *Pool) Previous() []string {
	if p.serf.Load() == nil {
		return nil
	}
	return p.previous
}

// Encrypted reports whether the pool has a gossip key.
func (p *Pool) Encrypted() bool {
	s := p.serf.Load()
	return s != nil && s.EncryptionEnabled()
}

// Stats returns the figures of the serf_lan or serf_wan group of
// /v1/agent/self, or nil before Run is ready.
func (p *Pool) Stats() map[string]string {
	s := p.serf.Load()
	if s == nil {
		return nil
	}
	return s.Stats()
}

// Leave tells the others that this agent goes for good and waits until they
// know: some seconds (LeavePropagateDelay and up to 5 s for each of two
// messages), which ctx does not shorten once it began. The pool then has only
// to be stopped. Leaving twice is no error.
//
// An agent that has just been started again first waits up to 5 s until it has met
// the others: it must know what they know of it from before, or its word is older
// than that and they pass over it.
func (p *Pool) Leave(ctx context.Context) error {
	s, err := p.running()
	if err != nil {
		return err
	}
	select {
	case p.leaving <- struct{}{}:
		defer func() { <-p.leaving }()
	case <-ctx.Done():
		return ctx.Err()
	}
	switch {
	case s.State() == serf.SerfShutdown:
		return failure.New(failure.Unavailable, "gossip has stopped")
	case s.State() == serf.SerfAlive:
		p.introduce(ctx)
	}
	if p.cfg.Dir == "" && !p.othersAlive() {
		return nil // nobody to tell, nothing to write down
	}
	if err := s.Leave(); err != nil {
		return fmt.Errorf("leave %s gossip: %w", p.cfg.Kind, err)
	}
	return nil
}

// introduce waits until no join is under way, and until this agent has met one of
// those it knew when it last stopped.
func (p *Pool) introduce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, introduction)
	defer cancel()
	for ctx.Err() == nil {
		_, changed := p.changes.Watch()
		if p.joins.Load() == 0 && (len(p.previous) == 0 || p.othersAlive()) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// joining counts a join until the returned function is called.
func (p *Pool) joining() (done func()) {
	p.joins.Add(1)
	return func() {
		p.joins.Add(-1)
		p.changes.Update(func(n uint64) uint64 { return n + 1 }) // a Leave may wait for it
	}
}

// ForceLeave marks a failed member as left, and with prune forgets it at once.
// It fails with Invalid and Consul's text if there is no such member. An alive
// member protests and stays; it is never pruned, because that would tear it out
// of the member list while it still gossips. It waits up to 5 s for the message
// to go out.
func (p *Pool) ForceLeave(ctx context.Context, name string, prune bool) error {
	s, err := p.running()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, m := range s.Members() {
		if m.Name != name {
			continue
		}
		if prune && (m.Status == serf.StatusAlive || m.Status == serf.StatusLeaving) {
			p.log.Warn("member is not pruned: it is alive; stop it first", logging.KeyNode, name)
			prune = false
		}
		if prune {
			return s.RemoveFailedNodePrune(name)
		}
		return s.RemoveFailedNode(name)
	}
	return failure.Newf(failure.Invalid, "agent: No node found with name '%s'", name)
}

// FireUserEvent spreads a message to all members, at most once to each and only
// to those reachable now. Name and payload together are at most 512 bytes.
func (p *Pool) FireUserEvent(name string, payload []byte, coalesce bool) error {
	s, err := p.running()
	if err != nil {
		return err
	}
	return s.UserEvent(name, payload, coalesce)
}

// SetTags changes tags of this agent: a value is set, an empty value removes
// the tag. It waits up to 5 s until another member was told, and fails if that
// did not happen, though the others then learn it later. Before Run is ready
// the tags are only remembered.
func (p *Pool) SetTags(change map[string]string) error {
	p.tagMu.Lock()
	defer p.tagMu.Unlock()
	next := maps.Clone(p.tags)
	for k, v := range change {
		if v == "" && k != tagSegment { // segment is told even when empty
			delete(next, k)
		} else {
			next[k] = v
		}
	}
	if maps.Equal(next, p.tags) {
		return nil
	}
	s := p.serf.Load()
	p.tags = next
	p.admission.setCluster(next[tagCluster])
	if s == nil {
		return nil
	}
	return s.SetTags(maps.Clone(next))
}

// SetCluster tells the others, and admission, which cluster this agent is in.
func (p *Pool) SetCluster(id string) error {
	return p.SetTags(map[string]string{tagCluster: id})
}

// othersAlive reports whether another member is alive.
func (p *Pool) othersAlive() bool {
	self := p.cfg.memberName()
	for _, m := range p.Members() {
		if m.Name != self && m.Status == StatusAlive {
			return true
		}
	}
	return false
}
