package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
)

// cluster is all that was read, for the checks to look at.
type cluster struct {
	now   time.Time
	views []*view // one for every agent asked; some failed

	// What the servers say together; nil where nobody could say it.

	raft      *api.RaftConfiguration
	raftFrom  *view
	autopilot *api.AutopilotState
	roots     *api.CARootList

	// Known once all were asked; see settle.

	inside   []*view // see home
	byNode   map[string]*view
	opinions []*opinion
	keys     []*keyTrouble
	byHost   map[netip.Addr]*keyTrouble
	since    time.Time // when probing once more began

	unchecked []string
}

// view is what one agent says.
type view struct {
	address string
	http    *http.Client
	url     string
	named   bool  // the operator named it: it has to answer
	err     error // why it could not be asked

	self      self
	settings  settings
	members   []*api.AgentMember
	names     map[string]bool // of members; see has
	leader    string
	leaderErr error
	skew      skew
	// expiry is how long the agent's certificate still holds; nil if unknown.
	expiry *time.Duration
	// diagnosis is nil where the agent cannot give one, and diagnosisErr why.
	diagnosis    *diagnosis
	diagnosisErr error
	// again are the members that this agent did not reach, or that did not
	// reach it, probed once more.
	again map[string]probe
	// cutOff says that it joins nobody because of its gossip key.
	cutOff bool
}

// self is what is needed of /v1/agent/self.
type self struct {
	Config struct {
		Datacenter string
		NodeName   string
		Server     bool
	}
	DebugConfig map[string]json.RawMessage
	Stats       map[string]map[string]string
}

// settings are those settings of an agent that are looked at. One that the
// agent does not have, or has in another shape, keeps its zero value.
type settings struct {
	httpAddrs, httpsAddrs []string
	writeFrom             []string
	serfAddr              string
	retryJoin             []string
	remoteScripts         bool
	autoEncrypt           bool
	tls                   struct{ InternalRPC, HTTPS tlsSettings }
}

type tlsSettings struct {
	CertFile       string
	VerifyIncoming bool
}

// diagnosis is the answer of /v1/ctl/diagnose.
type diagnosis struct {
	DataDir *dataDir
	// Gossip is nil where the agent cannot tell.
	Gossip *gossip
}

// dataDir is a data directory and its disk.
type dataDir struct {
	Path                  string
	FreeBytes, TotalBytes uint64
	FsyncSeconds          *float64
	Error                 string
}

func (v *view) node() string { return v.self.Config.NodeName }

// where names the agent and where it was asked.
func (v *view) where() string { return fmt.Sprintf("%s (%s)", v.node(), v.address) }

// ok are the views of agents that answered.
func (c *cluster) ok() []*view {
	return slices.DeleteFunc(slices.Clone(c.views), func(v *view) bool { return v.err != nil })
}

// ask reads everything; where settings name no agent, it asks those at local
// addresses, if there are any. It fails only if no agent can be asked, and
// returns what it has then, too.
func (o *options) ask(ctx context.Context, local []string) (*cluster, error) {
	c := &cluster{now: time.Now()}
	target, err := o.conn.Target()
	if err != nil {
		return c, err
	}
	first := target.Endpoints
	if target.AddressFrom == "default" && len(local) > 0 {
		if first, err = o.conn.Endpoints(local); err != nil {
			return c, err
		}
	}
	extra, err := o.conn.Endpoints(o.addrs)
	if err != nil {
		return c, err
	}
	c.add(slices.Concat(first, extra), true)
	o.fill(ctx, c.views)
	c.dropDoubles()
	if len(c.ok()) == 0 {
		return c, noneAnswers(c.views)
	}
	if o.all {
		others := c.others()
		if n := len(others) - maxAll; n > 0 {
			others = others[:maxAll]
			c.unchecked = append(c.unchecked, fmt.Sprintf("%d members: -all asks %d others, servers first; name more with -addr", n, maxAll))
		}
		more, err := o.conn.Endpoints(others)
		if err != nil {
			return c, err
		}
		before := len(c.views)
		c.add(more, false)
		o.fill(ctx, c.views[before:])
		c.dropDoubles()
	}
	c.settle()
	o.confirm(ctx, c)
	o.readServers(ctx, c)
	return c, ctx.Err()
}

// add adds a view for each endpoint that has none yet.
func (c *cluster) add(endpoints []cli.Endpoint, named bool) {
	for _, e := range endpoints {
		if !slices.ContainsFunc(c.views, func(v *view) bool { return v.address == e.Address }) {
			c.views = append(c.views, &view{address: e.Address, http: e.HTTP, url: e.URL, named: named})
		}
	}
}

// dropDoubles keeps the first view of every agent: one may be reached by several
// addresses.
func (c *cluster) dropDoubles() {
	seen := map[string]bool{}
	c.views = slices.DeleteFunc(c.views, func(v *view) bool {
		if v.err != nil {
			return false
		}
		key := v.self.Config.Datacenter + "/" + v.node()
		double := seen[key]
		seen[key] = true
		return double
	})
}

// maxAll is how many members -all asks beside those that are named: each answers
// with a list of all.
const maxAll = 256

// others are the addresses at which members that were not asked yet may have
// their HTTP API: their own, with the scheme and port of the first agent. Servers
// come first, and then the others by lot.
func (c *cluster) others() []string {
	first := c.ok()[0]
	scheme, port := "http", "8500"
	if u, err := url.Parse(first.address); err == nil && u.Port() != "" {
		scheme, port = u.Scheme, u.Port()
	}
	known := map[string]bool{}
	for _, v := range c.ok() {
		known[v.node()] = true
	}
	var servers, clients []string
	for _, m := range first.members {
		if known[m.Name] || m.Status != statusAlive && m.Status != statusFailed {
			continue
		}
		list := &clients
		if m.Tags["role"] == "consul" {
			list = &servers
		}
		*list = append(*list, scheme+"://"+net.JoinHostPort(m.Addr, port))
	}
	rand.Shuffle(len(clients), func(i, j int) { clients[i], clients[j] = clients[j], clients[i] })
	return append(servers, clients...)
}

// settle puts what was read in order: members that agents see alike are kept
// once, because there may be thousands for each of hundreds of agents.
func (c *cluster) settle() {
	shared := map[string]*api.AgentMember{}
	for _, v := range c.ok() {
		for i, m := range v.members {
			if same := shared[m.Name]; same != nil && same.Status == m.Status && same.Addr == m.Addr && same.Port == m.Port && maps.Equal(same.Tags, m.Tags) {
				v.members[i] = same
			} else if same == nil {
				shared[m.Name] = m
			}
		}
	}
	c.readKeys()
	c.byNode = map[string]*view{}
	dc := c.ok()[0].self.Config.Datacenter
	for _, v := range c.ok() {
		if v.self.Config.Datacenter == dc && !v.cutOff {
			c.inside = append(c.inside, v)
			c.byNode[v.node()] = v
		}
	}
	c.opinions = opinionsOf(c.inside)
}

// home are the views of agents in the datacenter of the first that answered. An
// agent that its gossip key keeps out of the cluster is not of it.
func (c *cluster) home() []*view { return c.inside }

// maxAsked is how many agents are asked at a time.
const maxAsked = 16

// fill asks the agents of views.
func (o *options) fill(ctx context.Context, views []*view) {
	turn := make(chan struct{}, maxAsked)
	var wg sync.WaitGroup
	for _, v := range views {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			v.err = o.fillOne(ctx, v)
		})
	}
	wg.Wait()
}

// fillOne asks one agent. What an agent may well not have is no error.
func (o *options) fillOne(ctx context.Context, v *view) error {
	if _, err := o.get(ctx, v, "/v1/agent/self", &v.self); err != nil {
		return err
	}
	if v.node() == "" {
		return cli.Failf("what answers there is no agent: /v1/agent/self names no node")
	}
	v.settings = settingsOf(v.self.DebugConfig)
	// The connection is there now, so that the answer's date was written about
	// half way between these two moments.
	sent := time.Now()
	header, err := o.get(ctx, v, "/v1/agent/members", &v.members)
	if err != nil {
		return err
	}
	v.skew = skewOf(header.Get("Date"), sent, time.Now())
	_, v.leaderErr = o.get(ctx, v, "/v1/status/leader", &v.leader)
	var d diagnosis
	if _, v.diagnosisErr = o.get(ctx, v, "/v1/ctl/diagnose", &d); v.diagnosisErr == nil {
		v.diagnosis = &d
	}
	if v.settings.tls.InternalRPC.CertFile != "" || v.settings.autoEncrypt {
		o.readExpiry(ctx, v)
	}
	return nil
}

// readExpiry reads how long the agent's certificate still holds.
func (o *options) readExpiry(ctx context.Context, v *view) {
	var metrics struct {
		Gauges []struct {
			Name  string
			Value float64
		}
	}
	if _, err := o.get(ctx, v, "/v1/agent/metrics", &metrics); err != nil {
		return
	}
	for _, g := range metrics.Gauges {
		if strings.HasSuffix(g.Name, ".agent.tls.cert.expiry") {
			left := time.Duration(g.Value * float64(time.Second))
			v.expiry = &left
		}
	}
}

// readServers reads what the servers say together, from the first agent of the
// cluster that can tell; servers are asked first, because they know without a
// leader.
func (o *options) readServers(ctx context.Context, c *cluster) {
	views := slices.Clone(c.home())
	slices.SortStableFunc(views, func(a, b *view) int {
		rank := func(v *view) int {
			if v.self.Config.Server {
				return 0
			}
			return 1
		}
		return cmp.Compare(rank(a), rank(b))
	})
	reasons := map[string]error{}
	for _, v := range views {
		if c.raft == nil {
			var raft api.RaftConfiguration
			path := "/v1/operator/raft/configuration"
			if v.leader == "" {
				path += "?stale"
			}
			if _, err := o.get(ctx, v, path, &raft); err != nil {
				reasons["raft peers"] = err
			} else {
				c.raft, c.raftFrom = &raft, v
			}
		}
		if c.autopilot == nil && v.leader != "" {
			var state api.AutopilotState
			if _, err := o.get(ctx, v, "/v1/operator/autopilot/state", &state); err != nil {
				reasons["health of servers"] = err
			} else {
				c.autopilot = &state
			}
		}
		if c.roots == nil {
			var roots api.CARootList
			if _, err := o.get(ctx, v, "/v1/connect/ca/roots?stale", &roots); err == nil {
				c.roots = &roots // without Connect there is nothing to expire
			}
		}
	}
	if c.raft == nil {
		c.skip("raft peers", cmp.Or(reasons["raft peers"], errOutside))
	}
	if c.autopilot == nil {
		why := errNoLeader
		if len(views) == 0 {
			why = errOutside
		}
		c.skip("health of servers", cmp.Or(reasons["health of servers"], why))
	}
	for _, v := range c.ok() {
		if v.diagnosis == nil {
			c.skip("disk and gossip probes of "+v.where(), v.diagnosisErr)
		}
	}
	for _, v := range c.views {
		if v.err != nil && !v.named {
			c.unchecked = append(c.unchecked, v.address+" does not answer; where its HTTP API listens elsewhere, name it with -addr")
		}
	}
}

var (
	errNoLeader = errors.New("there is no leader")
	errOutside  = errors.New("no agent that is in the cluster was asked")
)

func (c *cluster) skip(what string, why error) {
	c.unchecked = append(c.unchecked, fmt.Sprintf("%s: %v", what, why))
}

// maxAnswer bounds what is read of one answer.
const maxAnswer = 64 << 20

// get reads one answer into out, and returns its header.
func (o *options) get(ctx context.Context, v *view, path string, out any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(v.url, "/")+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := v.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body := io.LimitReader(resp.Body, maxAnswer)
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(body, 4<<10)) // what came is what is shown
		return nil, api.StatusError{Code: resp.StatusCode, Body: strings.TrimSpace(string(text))}
	}
	if err := json.NewDecoder(body).Decode(out); err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", path, err)
	}
	return resp.Header, nil
}

func settingsOf(debug map[string]json.RawMessage) settings {
	var s settings
	for name, to := range map[string]any{
		"HTTPAddrs": &s.httpAddrs, "HTTPSAddrs": &s.httpsAddrs, "AllowWriteHTTPFrom": &s.writeFrom,
		"SerfBindAddrLAN": &s.serfAddr, "RetryJoinLAN": &s.retryJoin,
		"EnableRemoteScriptChecks": &s.remoteScripts, "AutoEncryptTLS": &s.autoEncrypt, "TLS": &s.tls,
	} {
		// Another shape is another program's; what it means is not known.
		_ = json.Unmarshal(debug[name], to)
	}
	return s
}

// skew is by how much an agent's clock is ahead of this machine's, give or take
// margin. Known is false where the answer had no date.
type skew struct {
	known  bool
	ahead  time.Duration
	margin time.Duration
}

// skewOf compares the date of an answer, which is cut to seconds, with when the
// question was sent and the answer there.
func skewOf(date string, sent, received time.Time) skew {
	t, err := http.ParseTime(date)
	if err != nil {
		return skew{}
	}
	// The agent's clock showed something from t to t+1s at some moment between
	// sent and received.
	least, most := t.Sub(received), t.Add(time.Second).Sub(sent)
	return skew{known: true, ahead: (least + most) / 2, margin: (most - least) / 2}
}
