package local

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/logging"
)

// RegisterService registers a service that Validate accepted, with its checks,
// in place of one with the id. Checks the service has from before stay unless
// replace is set; those registered anew keep their state. On failure, which is
// that of a file, nothing has changed.
func (s *State) RegisterService(d *ServiceDefinition, from Source, replace bool) error {
	if what := d.Unfindable(); what != "" && s.Service(d.ID) == nil {
		s.log.Warn("a service cannot be found by DNS: "+what+" is no DNS label", logging.KeyService, d.ID)
	}
	i := &instance{row: d.service(), tags: d.Tags, token: d.Token, source: from}
	list := s.checksOf(d, i, from)
	files, err := s.draft(i, list)
	if err != nil {
		return err
	}
	s.registering.Lock()
	defer s.registering.Unlock()
	if err := s.settle(files, i, list); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putService(i)
	for id, c := range list {
		s.putCheck(id, c)
	}
	if replace {
		err = s.dropOthers(d.ID, list)
	}
	s.mirror()
	return err
}

// draft writes the files of what is to be registered, i or nil and checks, all
// at the same time and in nobody's way: they wait for the disk.
func (s *State) draft(i *instance, list map[string]*check) ([]*draft, error) {
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		files []*draft
		first error
	)
	write := func(save func() (*draft, error)) {
		group.Go(func() {
			file, err := save()
			mu.Lock()
			defer mu.Unlock()
			if files = append(files, file); first == nil {
				first = err
			}
		})
	}
	if i != nil && i.source == FromAPI {
		write(func() (*draft, error) { return s.keep.saveService(i) })
	}
	for _, c := range list {
		if c.source == FromAPI {
			write(func() (*draft, error) { return s.keep.saveCheck(c) })
		}
	}
	group.Wait()
	if first != nil {
		for _, file := range files {
			file.drop()
		}
	}
	return files, first
}

// settle puts files into their places, and removes those of what configuration
// files define now. registering is held.
func (s *State) settle(files []*draft, i *instance, list map[string]*check) error {
	var err error
	for _, file := range files {
		if err != nil {
			file.drop()
			continue
		}
		err = file.keep()
	}
	if err != nil {
		return err
	}
	if i != nil && i.source != FromAPI {
		err = s.keep.removeService(i.row.ID)
	}
	for id, c := range list {
		if c.source != FromAPI {
			err = errors.Join(err, s.keep.removeCheck(id))
		}
	}
	return err
}

// checksOf returns the checks of a definition by id.
func (s *State) checksOf(d *ServiceDefinition, i *instance, from Source) map[string]*check {
	list := map[string]*check{}
	ids := d.CheckIDs()
	for n, def := range d.definitions() {
		c := s.newCheck(ids[n], def, i.row, from)
		if c.token == "" {
			c.token = d.Token
		}
		if c.row.Name == "" {
			c.row.Name = fmt.Sprintf("Service '%s' check", d.Name)
		}
		if def.Kind() == checks.TTL {
			c.row.Interval, c.row.Timeout = "", ""
		}
		list[ids[n]] = c
	}
	return list
}

// newCheck makes a check of a service, or of the node for nil.
func (s *State) newCheck(id string, def *checks.Definition, of *Service, from Source) *check {
	c := &check{def: def, token: def.Token, source: from, row: &Check{
		Node: s.cfg.Node.Name, CheckID: id, Name: def.Name, Notes: def.Notes, Status: def.Status, ServiceTags: []string{}, Type: string(def.Kind()),
	}}
	c.row.Interval, c.row.Timeout = def.Intervals()
	if c.row.Status == "" {
		c.row.Status = checks.Critical
	}
	if of != nil {
		c.row.ServiceID, c.row.ServiceName, c.row.ServiceTags = of.ID, of.Service, of.Tags
	}
	return c
}

// putService takes a service in. mu is held.
func (s *State) putService(i *instance) {
	old := s.services[i.row.ID]
	if old != nil && old.row.EnableTagOverride && i.row.EnableTagOverride && slices.Equal(old.tags, i.tags) {
		row := *i.row
		row.Tags, i.row = old.row.Tags, &row // the catalog's hold on
	}
	s.services[i.row.ID] = i
	if old != nil && old.token == i.token && reflect.DeepEqual(old.row, i.row) {
		i.renews(old.fate, i.source)
		s.renewed = s.renewed || !i.told
		return
	}
	s.markService(i.row.ID)
	for id, c := range s.ofService[i.row.ID] {
		if c.row.ServiceName == i.row.Service && slices.Equal(c.row.ServiceTags, i.row.Tags) {
			continue
		}
		row := *c.row
		row.ServiceName, row.ServiceTags = i.row.Service, i.row.Tags
		c.row = &row
		s.markCheck(id)
	}
}

// putCheck takes a check in and starts it. A check that was there keeps its
// state. mu is held.
func (s *State) putCheck(id string, c *check) {
	old := s.checks[id]
	if old != nil {
		c.row.Status, c.row.Output = old.row.Status, old.row.Output
		c.criticalSince, c.saved = old.criticalSince, old.saved
		old.cancelDeferred()
		if old.mirrors(s.cfg.Node.Name) {
			s.aliases--
		}
	}
	c.note(time.Now())
	s.enter(id, c)
	if c.mirrors(s.cfg.Node.Name) {
		s.aliases++
	}
	if old == nil || old.token != c.token || !reflect.DeepEqual(old.row, c.row) {
		s.markCheck(id)
	} else {
		c.renews(old.fate, c.source)
		s.renewed = s.renewed || !c.told
	}
	switch {
	case c.def == nil, old != nil && old.def != nil && reflect.DeepEqual(old.def, c.def) && c.def.Kind() != checks.TTL:
		// The schedule goes on.
	case c.mirrors(s.cfg.Node.Name):
		s.runner.Stop(id)
	default:
		s.runner.Start(id, c.def, s)
	}
}

// enter puts a check in the place of another with its id. mu is held.
func (s *State) enter(id string, c *check) {
	s.strike(id)
	s.checks[id] = c
	of := s.ofService[c.row.ServiceID]
	if of == nil {
		of = map[string]*check{}
		s.ofService[c.row.ServiceID] = of
	}
	of[id] = c
}

// strike takes a check out, if it is there. mu is held.
func (s *State) strike(id string) {
	c := s.checks[id]
	if c == nil {
		return
	}
	delete(s.checks, id)
	of := s.ofService[c.row.ServiceID]
	if delete(of, id); len(of) == 0 {
		delete(s.ofService, c.row.ServiceID)
	}
}

// keepCheck keeps or forgets the file of a check. registering is held.
func (s *State) keepCheck(c *check) error {
	list := map[string]*check{c.row.CheckID: c}
	files, err := s.draft(nil, list)
	if err != nil {
		return err
	}
	return s.settle(files, nil, list)
}

// dropOthers removes the checks of a service that are not in list. mu is held.
func (s *State) dropOthers(serviceID string, list map[string]*check) error {
	var err error
	for id, c := range s.ofService[serviceID] {
		if _, stays := list[id]; !stays && c.def != nil {
			err = errors.Join(err, s.dropCheck(id))
		}
	}
	return err
}

// dropCheck removes a check. mu is held.
func (s *State) dropCheck(id string) error {
	c := s.checks[id]
	if c == nil {
		return nil
	}
	c.cancelDeferred()
	if c.mirrors(s.cfg.Node.Name) {
		s.aliases--
	}
	s.runner.Stop(id)
	s.strike(id)
	s.goneCheck(id, c.token)
	return s.keep.removeCheck(id)
}

// DeregisterService removes a service with its checks. It fails with NotFound
// for an unknown one.
func (s *State) DeregisterService(id string) error {
	s.registering.Lock()
	defer s.registering.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.services[id] == nil {
		return errUnknownService(id)
	}
	err := s.dropService(id)
	s.mirror()
	return err
}

// dropService removes a service with its checks. mu is held.
func (s *State) dropService(id string) error {
	token := s.services[id].token
	delete(s.services, id)
	err := s.keep.removeService(id)
	for checkID := range s.ofService[id] {
		err = errors.Join(err, s.dropCheck(checkID))
	}
	s.goneService(id, token)
	return err
}

// RegisterCheck registers a check that ValidateCheck accepted, in place of one
// with the id, whose state it keeps. It fails with NotFound when the service it
// is for is not here.
func (s *State) RegisterCheck(d *checks.Definition, from Source) error {
	s.registering.Lock()
	defer s.registering.Unlock()
	c, err := s.standalone(d, from)
	if err != nil {
		return err
	}
	if err := s.keepCheck(c); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putCheck(d.ID, c)
	s.mirror()
	return nil
}

func (s *State) standalone(d *checks.Definition, from Source) (*check, error) {
	var of *Service
	if d.ServiceID != "" {
		if of = s.Service(d.ServiceID); of == nil {
			return nil, failure.Newf(failure.NotFound, "ServiceID %q does not exist", d.ServiceID)
		}
	}
	return s.newCheck(d.ID, d, of, from), nil
}

// DeregisterCheck removes a check. It fails with NotFound for an unknown one.
func (s *State) DeregisterCheck(id string) error {
	s.registering.Lock()
	defer s.registering.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.checks[id] == nil {
		return errUnknownCheck(id)
	}
	err := s.dropCheck(id)
	s.mirror()
	return err
}

// Usable reports why Reload would refuse the definitions, and changes nothing.
func (s *State) Usable(services []*ServiceDefinition, list []*checks.Definition) error {
	known := map[string]bool{}
	for _, d := range services {
		if err := d.Validate(); err != nil {
			return fmt.Errorf("service %q: %w", d.Name, err)
		}
		if known[d.ID] {
			return fmt.Errorf("service id %q is defined twice", d.ID)
		}
		known[d.ID] = true
	}
	for _, d := range list {
		err := ValidateCheck(d)
		if err == nil && d.ServiceID != "" && !known[d.ServiceID] && s.Service(d.ServiceID) == nil {
			err = fmt.Errorf("ServiceID %q does not exist", d.ServiceID)
		}
		if err != nil {
			return fmt.Errorf("check %q: %w", d.Name, err)
		}
	}
	return nil
}

// Reload makes the definitions of the configuration files those given: others
// of files go, and what stays keeps its state. Nothing changes when a
// definition cannot be used.
func (s *State) Reload(services []*ServiceDefinition, list []*checks.Definition) error {
	if err := s.Usable(services, list); err != nil {
		return err
	}
	known, defined := map[string]bool{}, map[string]bool{}
	for _, d := range services {
		if err := s.RegisterService(d, FromFile, false); err != nil {
			return err
		}
		known[d.ID] = true
		for _, id := range d.CheckIDs() {
			defined[id] = true
		}
	}
	for _, d := range list {
		if err := s.RegisterCheck(d, FromFile); err != nil {
			return err
		}
		defined[d.ID] = true
	}
	return s.dropUndefined(known, defined)
}

// dropUndefined removes what files defined once and no longer do.
func (s *State) dropUndefined(services, defined map[string]bool) error {
	s.registering.Lock()
	defer s.registering.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for id, i := range maps.Clone(s.services) {
		if i.source == FromFile && !services[id] {
			err = errors.Join(err, s.dropService(id))
		}
	}
	for id, c := range maps.Clone(s.checks) {
		if c.source == FromFile && c.def != nil && !defined[id] {
			err = errors.Join(err, s.dropCheck(id))
		}
	}
	s.mirror()
	return err
}

// Default reasons of maintenance.
const (
	nodeReason    = "Maintenance mode is enabled for this node, but no reason was provided. This is a default message."
	serviceReason = "Maintenance mode is enabled for this service, but no reason was provided. This is a default message."
)

// SetNodeMaintenance takes the node out of service, or back in. Asking for what
// is so already changes nothing.
func (s *State) SetNodeMaintenance(on bool, reason string) error {
	if reason == "" {
		reason = nodeReason
	}
	return s.maintain(NodeMaintenance, "Node Maintenance Mode", reason, on, nil)
}

// SetServiceMaintenance takes a service out, or back in. It fails with NotFound
// for an unknown one.
func (s *State) SetServiceMaintenance(serviceID string, on bool, reason string) error {
	of := s.Service(serviceID)
	if of == nil {
		return errUnknownService(serviceID)
	}
	if reason == "" {
		reason = serviceReason
	}
	return s.maintain(serviceMaintenance+serviceID, "Service Maintenance Mode", reason, on, of)
}

func (s *State) maintain(id, name, reason string, on bool, of *Service) error {
	s.registering.Lock()
	defer s.registering.Unlock()
	if is := s.Check(id) != nil; is == on {
		return nil
	}
	if !on {
		s.mu.Lock()
		defer s.mu.Unlock()
		err := s.dropCheck(id)
		s.mirror()
		return err
	}
	c := s.newCheck(id, &checks.Definition{Name: name, Notes: reason}, of, FromAPI)
	c.def = nil
	c.row.Type, c.row.Interval, c.row.Timeout = typeMaintenance, "", ""
	if of != nil {
		c.token = s.tokenOf(of.ID)
	}
	if err := s.keepCheck(c); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putCheck(id, c)
	s.mirror()
	return nil
}

func (s *State) tokenOf(serviceID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.services[serviceID]; i != nil {
		return i.token
	}
	return ""
}
