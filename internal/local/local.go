// Package local is what this agent knows of its own: the services and checks of
// this node, with the state of each check, and what of them the catalog has not
// been told yet.
//
// It is the truth the catalog is corrected by; package antientropy compares and
// tells. It runs no check (package checks does) and speaks to nobody.
//
// Rules: what was registered over HTTP is kept in the data directory before it
// is answered, and is there again after a restart; a definition of the
// configuration files is not kept, the files are. Rows are replaced, never
// changed, so that they can be handed out. A change marks what it concerns and
// wakes who watches Changed; a change of a check's output alone waits.
//
// Source: the public documentation of the agent's services and checks and of
// anti-entropy.
package local

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/signal"
)

// Service is an instance on this node, as the agent's HTTP API shows it.
type Service struct {
	Kind              string `json:",omitempty"`
	ID                string
	Service           string
	Tags              []string
	Meta              map[string]string
	Port              int
	Address           string
	SocketPath        string             `json:",omitempty"`
	TaggedAddresses   map[string]Address `json:",omitempty"`
	Weights           Weights
	EnableTagOverride bool
	Proxy             *Proxy  `json:",omitempty" bexpr:"-"`
	Connect           *Native `json:",omitempty"`
}

// Native says that a service speaks the mesh's protocol itself.
type Native struct {
	Native bool `json:",omitempty"`
}

// Check is a check of this node with its state, as the HTTP API shows it.
type Check struct {
	Node        string
	CheckID     string
	Name        string
	Status      string
	Notes       string
	Output      string
	ServiceID   string
	ServiceName string
	ServiceTags []string
	Type        string
	Interval    string
	Timeout     string
	ExposedPort int
	Definition  struct{} `bexpr:"-"`
	CreateIndex uint64   `bexpr:"-"`
	ModifyIndex uint64   `bexpr:"-"`
}

// Ids of checks that mean something by themselves.
const (
	NodeMaintenance    = "_node_maintenance"
	serviceMaintenance = "_service_maintenance:"
	serfHealth         = "serfHealth"
	typeMaintenance    = "maintenance"
)

// Source says where a definition came from.
type Source uint8

// The sources.
const (
	FromAPI  Source = iota // kept in the data directory
	FromFile               // of the configuration files
)

// Runner runs checks. It must not call back before Start returned.
type Runner interface {
	Start(id string, d *checks.Definition, to checks.Notifier)
	Stop(id string)
	Report(id, status, output string) error
}

// Config is what a State is made of.
type Config struct {
	// Node is this node as the catalog should have it.
	Node Node
	// Dir is the data directory; "" keeps nothing.
	Dir string
	// AllowScripts says that checks registered over HTTP may run programs. Of
	// those kept from a time when they might, none starts without it.
	AllowScripts bool
	// CheckUpdateInterval is how long changes of output alone are held back:
	// half of it and a random part of it more. 0 holds nothing back.
	CheckUpdateInterval time.Duration
	// Logger; nil discards.
	Logger *slog.Logger
}

// State is what is registered here. Make it with New, fill it with Load and
// Reload, let it live in Run. Its methods may be called by any number of
// goroutines; none but those that register and remove wait for the disk.
type State struct {
	cfg    Config
	log    *slog.Logger
	runner Runner
	keep   keeper
	// registering is held while something is registered or removed, so that
	// what is kept and memory agree; the disk is waited for without it. It is
	// taken before mu.
	registering sync.Mutex
	changed     signal.Value[uint64]

	mu       sync.Mutex
	services map[string]*instance
	checks   map[string]*check
	// ofService has the same by the service they are of, "" for the node: an
	// agent may hold thousands, and each registration looks here.
	ofService map[string]map[string]*check
	drift     drift
	aliases   int // checks that follow from others here
	// renewed may be on without anything renewed, and untold where nothing kept
	// says so; off, there is none for certain.
	renewed, untold bool
}

// instance is a service with what is not shown of it.
type instance struct {
	row    *Service
	tags   []string // as defined; those of row may be the catalog's
	token  string
	source Source
	fate
}

// check is a check with what is not shown of it.
type check struct {
	row    *Check
	def    *checks.Definition // nil for maintenance
	token  string
	source Source
	fate

	criticalSince time.Time   // zero while it is not
	deferred      *time.Timer // its output waits to be told
	saved         time.Time   // when the state of a TTL check was kept last
}

// New returns an empty State whose checks run in runner.
func New(cfg Config, runner Runner) *State {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &State{
		cfg: cfg, log: cfg.Logger, runner: runner, keep: keeper{dir: cfg.Dir},
		services: map[string]*instance{}, checks: map[string]*check{}, ofService: map[string]map[string]*check{}, drift: newDrift(),
	}
}

// Services returns the services by id. The map is the caller's, the rows are
// shared.
func (s *State) Services() map[string]*Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := make(map[string]*Service, len(s.services))
	for id, i := range s.services {
		m[id] = i.row
	}
	return m
}

// Service returns the service of that id, or nil. The row is shared.
func (s *State) Service(id string) *Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.services[id]; i != nil {
		return i.row
	}
	return nil
}

// Checks returns the checks by id. The map is the caller's, the rows are shared.
func (s *State) Checks() map[string]*Check {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := make(map[string]*Check, len(s.checks))
	for id, c := range s.checks {
		m[id] = c.row
	}
	return m
}

// Check returns the check of that id, or nil. The row is shared.
func (s *State) Check(id string) *Check {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.checks[id]; c != nil {
		return c.row
	}
	return nil
}

// concerning yields the checks of the node and, unless that is "", those of the
// service. mu is held.
func (s *State) concerning(serviceID string) iter.Seq2[string, *check] {
	return func(yield func(string, *check) bool) {
		for id, c := range s.ofService[""] {
			if !yield(id, c) {
				return
			}
		}
		if serviceID == "" {
			return
		}
		for id, c := range s.ofService[serviceID] {
			if !yield(id, c) {
				return
			}
		}
	}
}

// ChecksOf returns the checks that say how an instance is: those of the node
// and those of the service.
func (s *State) ChecksOf(serviceID string) []*Check {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []*Check{}
	for _, c := range s.concerning(serviceID) {
		list = append(list, c.row)
	}
	slices.SortFunc(list, func(a, b *Check) int { return compareText(a.CheckID, b.CheckID) })
	return list
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Changed is a number that rises with every change the catalog should know, and
// with every change of a service's row.
func (s *State) Changed() *signal.Value[uint64] { return &s.changed }

// Times of Run.
const (
	reapEvery = 30 * time.Second
	reapFloor = time.Minute
)

// Run deregisters services whose checks were critical for too long, until ctx
// ends.
func (s *State) Run(ctx context.Context, ready func()) error {
	ready()
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	defer s.stopTimers()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		for id, check := range s.overdue(time.Now()) {
			s.log.Info("deregistering a service that was critical for too long", logging.KeyService, id, logging.KeyCheck, check)
			if err := s.DeregisterService(id, nil); err != nil {
				s.log.Warn("a critical service could not be deregistered", logging.KeyService, id, logging.KeyError, err)
			}
		}
	}
}

// Close flushes what is kept and lets go of the data directory. Afterwards nothing
// can be registered any more where there is one.
func (s *State) Close() error {
	if s.keep.file == nil {
		return nil
	}
	return s.keep.file.Close()
}

func (s *State) stopTimers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.checks {
		c.cancelDeferred()
	}
}

// overdue returns the services to deregister, each with the check that says so.
func (s *State) overdue(now time.Time) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := map[string]string{}
	for id, c := range s.checks {
		if c.def == nil || c.def.DeregisterCriticalServiceAfter <= 0 || c.row.ServiceID == "" || c.criticalSince.IsZero() {
			continue
		}
		if now.Sub(c.criticalSince) >= max(time.Duration(c.def.DeregisterCriticalServiceAfter), reapFloor) {
			list[c.row.ServiceID] = id
		}
	}
	return list
}

// Update implements checks.Notifier.
func (s *State) Update(id, status, output string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set(id, status, output) {
		s.mirror()
	}
}

// set gives a check a state and reports whether the state differs. mu is held.
func (s *State) set(id, status, output string) bool {
	c := s.checks[id]
	if c == nil || (c.row.Status == status && c.row.Output == output) {
		return false
	}
	row := *c.row
	row.Status, row.Output = status, output
	moved := row.Status != c.row.Status
	c.row = &row
	c.note(time.Now())
	if !moved && s.cfg.CheckUpdateInterval > 0 {
		s.deferOutput(id, c)
		return false
	}
	c.cancelDeferred()
	s.markCheck(id)
	return moved
}

// note keeps the time a check became critical.
func (c *check) note(now time.Time) {
	switch {
	case c.row.Status != checks.Critical:
		c.criticalSince = time.Time{}
	case c.criticalSince.IsZero():
		c.criticalSince = now
	}
}

func (c *check) cancelDeferred() {
	if c.deferred != nil {
		c.deferred.Stop()
		c.deferred = nil
	}
}

// deferOutput has the catalog told of a new output later. mu is held.
func (s *State) deferOutput(id string, c *check) {
	if c.deferred != nil || s.drift.checks[id] != 0 {
		return // on its way already
	}
	wait := s.cfg.CheckUpdateInterval/2 + rand.N(s.cfg.CheckUpdateInterval)
	c.deferred = time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.checks[id] == c && c.deferred != nil {
			c.deferred = nil
			s.markCheck(id)
		}
	})
}

// mirror brings the aliases of local services up to date. Aliases of aliases
// settle in as many rounds as the chain is long. mu is held.
func (s *State) mirror() {
	if s.aliases == 0 {
		return
	}
	for range s.aliases + 1 {
		settled := true
		for id, c := range s.checks {
			if !c.mirrors(s.cfg.Node.Name) {
				continue
			}
			status, output := s.mirrored(id, c.def.AliasService)
			if s.set(id, status, output) {
				settled = false
			}
		}
		if settled {
			return
		}
	}
}

// mirrors reports whether the check is an alias of something of this node.
func (c *check) mirrors(node string) bool {
	return c.def != nil && c.def.Kind() == checks.Alias && (c.def.AliasNode == "" || c.def.AliasNode == node)
}

func (s *State) mirrored(id, serviceID string) (status, output string) {
	if serviceID != "" && s.services[serviceID] == nil {
		return checks.Critical, fmt.Sprintf("Service %s could not be found on node %s", serviceID, s.cfg.Node.Name)
	}
	var seen []checks.Seen
	for other, c := range s.concerning(serviceID) {
		if other != id {
			seen = append(seen, checks.Seen{Name: c.row.Name, Status: c.row.Status, Output: c.row.Output, ServiceID: c.row.ServiceID})
		}
	}
	sort.Slice(seen, func(i, j int) bool { return compareText(seen[i].Name, seen[j].Name) < 0 })
	return checks.Mirror(seen)
}

// UpdateTTL reports the result of a TTL check. It fails with NotFound for an
// unknown check and with Invalid for one that has no TTL.
func (s *State) UpdateTTL(id, status, output string) error {
	row := s.Check(id)
	if row == nil {
		return errUnknownCheck(id)
	}
	if err := s.runner.Report(id, status, output); err != nil {
		return err
	}
	s.saveTTL(id, row.Status != status || row.Output != output)
	return nil
}

func errUnknownCheck(id string) error {
	return failure.Newf(failure.NotFound, "Unknown check ID %q. Ensure that the check ID is passed, not the check name.", id)
}

func errUnknownService(id string) error {
	return failure.Newf(failure.NotFound, "Unknown service ID %q. Ensure that the service ID is passed, not the service name.", id)
}
