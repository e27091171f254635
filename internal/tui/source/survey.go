package source

import (
	"cmp"
	"context"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Survey is what is seen of a cluster that is not watched, at one look.
type Survey struct {
	At time.Time
	// Address is the agent that answered, or was asked last, and Took how long
	// that lasted.
	Address string
	Took    time.Duration
	// Problem is why no agent answers, or nil. The rest means nothing then.
	Problem *Problem
	Agent   Agent
	// Leader is its node, or its address where that is not known; "" for none.
	// LeaderProblem is why that is not known, or nil; so it is with the others.
	Leader        string
	LeaderProblem *Problem
	// Alive and Members count gossip's members, without those that left.
	Alive, Members int
	MembersProblem *Problem
	// Failing counts the checks that do not pass, and Checks are the worst of
	// them, MaxSurveyed at most.
	Failing       int
	Checks        []*Check
	ChecksProblem *Problem
}

// MaxSurveyed bounds Survey.Checks.
const MaxSurveyed = 500

// Look looks at the cluster of cfg once. It ends with ctx at the latest; endpoints
// are tried in turn, with a share of the time each.
func Look(ctx context.Context, cfg Config) *Survey {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	var s *Survey
	for i, ep := range cfg.Endpoints {
		mine, stop := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok {
			share := time.Until(deadline) / time.Duration(len(cfg.Endpoints)-i)
			mine, stop = context.WithTimeout(ctx, share)
		}
		s = look(mine, (&Source{cfg: cfg, now: cfg.Now}).client(ep))
		stop()
		if s.Problem == nil || ctx.Err() != nil {
			break
		}
	}
	return s
}

// look asks one agent: first who it is, then the rest at the same time.
func look(ctx context.Context, c *client) *Survey {
	s := &Survey{Address: c.ep.Name, At: c.now()}
	var self jsonSelf
	m, err := c.read(ctx, "/v1/agent/self", nil, &self)
	s.Took = m.took
	if err != nil && KindOf(err) != Denied {
		s.Problem = asProblem(err, c.now())
		return s
	}
	s.Agent = self.agent(c.ep)
	var leader string
	var members []*Member
	states := []string{Critical, Warning}
	checks := make([][]*jsonCheck, len(states))
	problems := make([]*Problem, len(states))
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := c.read(ctx, "/v1/status/leader", nil, &leader)
		s.LeaderProblem = asProblem(err, c.now())
	})
	wg.Go(func() {
		var all []*jsonMember
		_, err := c.read(ctx, "/v1/agent/members", nil, &all)
		s.MembersProblem = asProblem(err, c.now())
		members = membersOf(all)
	})
	for i, state := range states {
		wg.Go(func() {
			_, err := c.read(ctx, "/v1/health/state/"+state, url.Values{"stale": {""}}, &checks[i])
			problems[i] = asProblem(err, c.now())
		})
	}
	wg.Wait()
	s.lead(leader, members)
	s.ChecksProblem = cmp.Or(problems...)
	for _, all := range checks {
		for _, j := range all {
			s.Checks = append(s.Checks, j.check())
		}
	}
	s.Failing = len(s.Checks)
	slices.SortFunc(s.Checks, worseCheck)
	s.Checks = s.Checks[:min(len(s.Checks), MaxSurveyed)]
	return s
}

// lead counts the members and finds the leader's name among them.
func (s *Survey) lead(leader string, members []*Member) {
	s.Leader = leader
	host, _, _ := net.SplitHostPort(leader)
	for _, m := range members {
		if m.State == "left" {
			continue
		}
		s.Members++
		if m.State == "alive" {
			s.Alive++
		}
		if m.Server && host != "" && m.Address == host && strings.HasSuffix(leader, ":"+cmp.Or(m.Tags["port"], "8300")) {
			s.Leader = m.Name
		}
	}
}
