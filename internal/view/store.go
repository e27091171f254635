package view

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/logging"
)

// Requester asks this agent's own HTTP API. A request that could not be asked
// is an error; an answer of any status is none.
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
	// Wait is how long a blocking query may wait. Default 2m.
	Wait time.Duration
	// IdleAfter is how long a view is kept after its last use. Default 5m.
	IdleAfter time.Duration
	// MaxViews bounds the views kept; names beyond it are loaded at every use.
	// Default 8192.
	MaxViews int
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
	running context.Context //nolint:containedctx // the life of the views, which outlive the lookup that began them
	wg      sync.WaitGroup
}

// New returns a Store that keeps nothing yet.
func New(c Config) *Store {
	if c.LoadTimeout <= 0 {
		c.LoadTimeout = 5 * time.Second
	}
	if c.Wait <= 0 {
		c.Wait = 2 * time.Minute
	}
	if c.IdleAfter <= 0 {
		c.IdleAfter = 5 * time.Minute
	}
	if c.MaxViews <= 0 {
		c.MaxViews = 8192
	}
	if c.MaxLoads <= 0 {
		c.MaxLoads = 64
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
		s.running = nil
		clear(s.views)
		s.mu.Unlock()
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
	return lookup[Service](ctx, s, key{services, s.other(dc), name}, o)
}

// Connect returns the endpoints through which the mesh reaches the service;
// nil if there are none.
func (s *Store) Connect(ctx context.Context, dc, name string, o Options) (*Service, error) {
	return lookup[Service](ctx, s, key{connects, s.other(dc), name}, o)
}

// Node returns the node of that name, compared without case; nil if there is
// none.
func (s *Store) Node(ctx context.Context, dc, name string, o Options) (*Node, error) {
	return lookup[Node](ctx, s, key{nodes, s.other(dc), name}, o)
}

// other returns dc, or nothing for the own datacenter.
func (s *Store) other(dc string) string {
	if dc == s.cfg.Datacenter {
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
)

type key struct {
	kind     kind
	dc, name string
}

func (k key) path() string {
	switch k.kind {
	case services:
		return "/v1/health/service/" + url.PathEscape(k.name)
	case connects:
		return "/v1/health/connect/" + url.PathEscape(k.name)
	}
	return "/v1/catalog/node/" + url.PathEscape(k.name)
}

// answer is what a request said: a *Service or a *Node, or nil.
type answer struct {
	data  any
	index uint64
}

// request asks for k once. An index other than 0 blocks until it passed.
func (s *Store) request(ctx context.Context, k key, index uint64, stale bool) (answer, error) {
	q := url.Values{}
	if k.dc != "" {
		q.Set("dc", k.dc)
	}
	if stale {
		q.Set("stale", "")
	}
	if index > 0 {
		q.Set("index", strconv.FormatUint(index, 10))
		q.Set("wait", s.cfg.Wait.String())
	}
	body, header, err := s.get(ctx, k.path(), q)
	if err != nil {
		if failure.Is(err, failure.NotFound) {
			return answer{}, nil
		}
		return answer{}, err
	}
	at, _ := strconv.ParseUint(header.Get("X-Consul-Index"), 10, 64)
	data, err := decode(k, body)
	return answer{data, at}, err
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
	case strings.Contains(text, failure.TextNoPath):
		return nil, nil, failure.New(failure.NoPath, text)
	case strings.Contains(text, failure.TextNoLeader):
		return nil, nil, failure.New(failure.NoLeader, text)
	}
	return nil, nil, failure.Newf(failure.Unavailable, "%s answered %d: %s", path, status, text)
}

// decode reads the body of an answer.
func decode(k key, body []byte) (any, error) {
	if k.kind == nodes {
		var n *struct{ Node *nodeShape }
		if err := json.Unmarshal(body, &n); err != nil {
			return nil, failure.Newf(failure.Internal, "read node %q: %w", k.name, err)
		}
		if n == nil || n.Node == nil {
			return nil, nil
		}
		return n.Node.node(), nil
	}
	var rows []instanceShape
	if err := json.Unmarshal(body, &rows); err != nil {
		return nil, failure.Newf(failure.Internal, "read service %q: %w", k.name, err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	seen := make(map[string]*Node, len(rows))
	out := &Service{Instances: make([]Instance, 0, len(rows))}
	for i := range rows {
		if in, ok := rows[i].instance(seen); ok {
			out.Instances = append(out.Instances, in)
		}
	}
	return out, nil
}

// follow keeps e current until ctx ends.
func (s *Store) follow(ctx context.Context, k key, e *entry, index uint64) {
	pause := backoff.New(time.Second, 30*time.Second)
	for ctx.Err() == nil {
		got, err := s.request(ctx, k, index, true)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			e.fails(time.Now())
			s.cfg.Logger.Debug("a view cannot be kept current", "path", k.path(), logging.KeyError, err)
			if pause.Wait(ctx) != nil {
				return
			}
			index = 0 // the next answer must not wait
			continue
		}
		e.set(got.data)
		// An index that went back belongs to another history of the state.
		if got.index < index {
			got.index = 0
		}
		if index = got.index; index > 0 {
			pause.Reset()
		} else if pause.Wait(ctx) != nil { // without an index nothing can be waited for
			return
		}
	}
}
