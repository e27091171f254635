package view

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/catalog/catalogapi"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
)

// Requester asks this agent's own HTTP API. A request that could not be asked
// is an error; an answer of any status is none. The token is a parameter of the
// query.
type Requester interface {
	Do(ctx context.Context, method, path string, query url.Values, body []byte) (status int, header http.Header, answer []byte, err error)
}

// Config is what a Store is made of. Requester and Datacenter are needed, zero
// elsewhere is the default.
type Config struct {
	Requester Requester
	// Datacenter is this agent's own.
	Datacenter string
	Logger     *slog.Logger
	// LoadTimeout bounds the first load of a name. Default 5s.
	LoadTimeout time.Duration
	// Wait is how long a blocking query to the servers may wait. Default 2m.
	Wait time.Duration
	// DefaultWait is how long a blocking read of a client waits that names no
	// time; MaxWait is the longest it may name. Default 5m and 10m.
	DefaultWait, MaxWait time.Duration
	// IdleAfter is how long a view is kept after its last use. Default 5m.
	IdleAfter time.Duration
	// MaxViews bounds the views kept; names beyond it are loaded at every use.
	// Default 8192.
	MaxViews int
	// MaxBytes bounds what the views' answers take together, as they came. What
	// is made of them may take some times that. Default 64 MiB.
	MaxBytes int
	// MaxLoads bounds the loads at one time; those beyond wait. Default 64.
	MaxLoads int
}

// Options say how current an answer must be.
type Options struct {
	// Wait allows the lookup to leave memory. Without it a lookup that would
	// have to fails with ErrNotHere at once.
	Wait bool
	// Fresh asks the leader, whatever is in memory.
	Fresh bool
	// MaxStale is how long memory counts when it can no longer be kept
	// current; then the leader is asked. 0 means for ever.
	MaxStale time.Duration
}

// ErrNotHere says that the answer is not in memory and the lookup was not
// allowed to wait for it.
var ErrNotHere = failure.New(failure.Unavailable, "not in memory")

// Store holds the views. Its methods may be called by any number of goroutines
// while Run runs; before and after, lookups that miss fail with Unavailable.
type Store struct {
	cfg    Config
	loads  chan struct{}
	owners ownerIndex

	mu      sync.RWMutex
	views   map[key]*entry
	bytes   int             // of all views' answers
	running context.Context //nolint:containedctx // the life of the views, which outlive the lookup that began them
	wg      sync.WaitGroup
}

// New returns a Store that keeps nothing yet.
func New(c Config) *Store {
	for value, usual := range map[*time.Duration]time.Duration{
		&c.LoadTimeout: 5 * time.Second, &c.Wait: 2 * time.Minute, &c.IdleAfter: 5 * time.Minute,
		&c.DefaultWait: 300 * time.Second, &c.MaxWait: 600 * time.Second,
	} {
		if *value <= 0 {
			*value = usual
		}
	}
	for value, usual := range map[*int]int{&c.MaxViews: 8192, &c.MaxBytes: 64 << 20, &c.MaxLoads: 64} {
		if *value <= 0 {
			*value = usual
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Store{cfg: c, loads: make(chan struct{}, c.MaxLoads), views: map[key]*entry{}, owners: newOwnerIndex()}
}

// Run keeps the views current until ctx ends; then all of them are dropped.
func (s *Store) Run(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.wg.Wait()
	defer cancel()
	s.mu.Lock()
	s.running = ctx
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running = nil
		for k, e := range s.views {
			s.drop(k, e)
		}
	}()
	ready()
	sweep := time.NewTicker(s.cfg.IdleAfter / idleSweeps)
	defer sweep.Stop()
	for {
		select {
		case <-sweep.C:
			s.dropIdle()
		case <-ctx.Done():
			return nil
		}
	}
}

// Views returns the number of views kept, for tests and metrics.
func (s *Store) Views() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.views)
}

// Service returns the instances of the service in dc, which is empty for the
// own datacenter; nil if there are none. It fails with NoPath if dc is unknown.
func (s *Store) Service(ctx context.Context, dc, name string, o Options) (*Service, error) {
	c, err := s.lookup(ctx, key{kind: services, dc: s.other(dc), name: name}, o)
	return c.instances(), err
}

// Connect returns the endpoints through which the mesh reaches the service;
// nil if there are none.
func (s *Store) Connect(ctx context.Context, dc, name string, o Options) (*Service, error) {
	c, err := s.lookup(ctx, key{kind: connects, dc: s.other(dc), name: name}, o)
	return c.instances(), err
}

// Node returns the node of that name, compared without case; nil if there is
// none.
func (s *Store) Node(ctx context.Context, dc, name string, o Options) (*Node, error) {
	c, err := s.lookup(ctx, key{kind: nodes, dc: s.other(dc), name: name}, o)
	if c == nil {
		return nil, err
	}
	return c.node, err
}

// other returns dc, or nothing for the own datacenter.
func (s *Store) other(dc string) string {
	if strings.EqualFold(dc, s.cfg.Datacenter) {
		return ""
	}
	return dc
}

// kind is what a view is about.
type kind uint8

const (
	services kind = iota
	connects
	nodes
	// answers are kept as they are: the name is a path with a query.
	answers
)

// key is what a view answers: a name as a token sees it.
type key struct {
	kind            kind
	dc, name, token string
}

// target returns the path to ask, percent-encoded, and the parameters that
// belong to what is asked.
func (k key) target() (path string, q url.Values) {
	q = url.Values{}
	switch k.kind {
	case services:
		path = "/v1/health/service/" + url.PathEscape(k.name)
	case connects:
		path = "/v1/health/connect/" + url.PathEscape(k.name)
	case nodes:
		path = "/v1/catalog/node/" + url.PathEscape(k.name)
	case answers:
		var selection string
		path, selection, _ = strings.Cut(k.name, "?")
		q, _ = url.ParseQuery(selection) // was encoded from values
	}
	if k.dc != "" {
		q.Set("dc", k.dc)
	}
	if k.token != "" {
		q.Set("token", k.token)
	}
	return path, q
}

// reply is what a request said. content is nil for a path that does not exist.
type reply struct {
	*content
	index       uint64
	knownLeader bool
	lastContact time.Duration
}

// request asks for k once. An index other than 0 blocks until it passed. What is
// as it was is old.
func (s *Store) request(ctx context.Context, k key, index uint64, stale bool, old *content) (reply, error) {
	path, q := k.target()
	if stale {
		q.Set("stale", "")
	}
	if index > 0 {
		q.Set("index", strconv.FormatUint(index, 10))
		q.Set("wait", s.cfg.Wait.String())
	}
	body, header, err := s.get(ctx, path, q)
	if err != nil {
		if failure.Is(err, failure.NotFound) && k.kind != answers {
			return reply{content: &content{}}, nil
		}
		return reply{}, err
	}
	r := reply{knownLeader: header.Get("X-Consul-Knownleader") == "true"}
	r.index, _ = strconv.ParseUint(header.Get("X-Consul-Index"), 10, 64)
	contact, _ := strconv.ParseInt(header.Get("X-Consul-Lastcontact"), 10, 64)
	r.lastContact = time.Duration(contact) * time.Millisecond
	r.content, err = decode(k, body, old)
	return r, err
}

// get asks for path. An answer other than 200 is an error of its kind.
func (s *Store) get(ctx context.Context, path string, q url.Values) ([]byte, http.Header, error) {
	status, header, body, err := s.cfg.Requester.Do(ctx, http.MethodGet, path, q, nil)
	switch {
	case err != nil:
		return nil, nil, err
	case status == http.StatusOK:
		return body, header, nil
	case status == http.StatusNotFound:
		return nil, nil, failure.New(failure.NotFound, path)
	}
	text := strings.TrimSpace(string(body[:min(len(body), 300)]))
	switch {
	case status == http.StatusForbidden:
		return nil, nil, failure.New(failure.PermissionDenied, text)
	case strings.Contains(text, failure.TextNoPath):
		return nil, nil, failure.New(failure.NoPath, text)
	case strings.Contains(text, failure.TextNoLeader):
		return nil, nil, failure.New(failure.NoLeader, text)
	}
	return nil, nil, failure.Newf(failure.Unavailable, "%s answered %d: %s", path, status, text)
}

// decode reads the body of an answer.
func decode(k key, body []byte, old *content) (*content, error) {
	if old != nil && old.body != nil && string(old.body.Bytes()) == string(body) {
		return old, nil
	}
	c := &content{body: httpapi.NewShared(body)}
	var err error
	switch k.kind {
	case services, connects:
		var was *catalogapi.Found
		if old != nil {
			was = old.found
		}
		if c.found, err = catalogapi.ReadFound(body, was); err != nil {
			return nil, failure.Newf(failure.Internal, "read service %q: %w", k.name, err)
		}
		c.exists = len(c.found.Rows()) > 0
	case nodes:
		var n *struct{ Node *catalog.Node }
		if err = json.Unmarshal(body, &n); err != nil {
			return nil, failure.Newf(failure.Internal, "read node %q: %w", k.name, err)
		}
		if n != nil && n.Node != nil {
			c.node, c.exists = newNode(n.Node), true
		}
	case answers:
		text := string(body[:min(len(body), len(noNode)+1)])
		c.exists = text != "null" && text != noNode
	}
	return c, nil
}

// noNode is the answer of catalog/node-services for a node that does not exist.
const noNode = `{"Node":null,"Services":null}`

// wait returns how long a blocking read that asked for d blocks, as a server
// would.
func (s *Store) wait(d time.Duration) time.Duration {
	if d <= 0 {
		d = s.cfg.DefaultWait
	}
	d = min(d, s.cfg.MaxWait)
	return d + rand.N(d/16+1)
}
