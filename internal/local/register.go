package local

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/journal"
	"github.com/ctl-sh/ctl/internal/logging"
)

// RegisterService registers a service that Validate accepted, with its checks,
// in place of one with the id. Checks the service has from before stay unless
// replace is set; those registered anew keep their state.
//
// It returns when the registration survives a power cut; those that come at the
// same time wait for the disk together. When it cannot be written nothing has
// changed; when it was written and cannot be flushed, it holds, and fails because
// nobody knows whether it is there after a restart.
//
// Unless it is nil, meanwhile is called once the registration holds here, while
// the disk is waited for or, where others wait for it, too, afterwards. The catalog may be told of it then: after a power cut
// what was kept decides, and the next full sync corrects the catalog.
func (s *State) RegisterService(d *ServiceDefinition, from Source, replace bool, meanwhile func()) error {
	if what := d.Unfindable(); what != "" && s.Service(d.ID) == nil {
		s.log.Warn("a service cannot be found by DNS: "+what+" is no DNS label", logging.KeyService, d.ID)
	}
	i := &instance{row: d.service(), tags: d.Tags, token: d.Token, source: from}
	list := s.checksOf(d, i, from)
	records, err := s.records(i, list)
	if err != nil {
		return err
	}
	mark, err := s.enterService(i, list, records, replace)
	if err != nil {
		return err
	}
	return s.keep.flush(mark, meanwhile)
}

// enterService writes a registration and takes it in.
func (s *State) enterService(i *instance, list map[string]*check, records []journal.Record, replace bool) (journal.Mark, error) {
	s.registering.Lock()
	defer s.registering.Unlock()
	if replace {
		records = append(records, s.others(i.row.ID, list)...)
	}
	mark, err := s.keep.write(records)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putService(i)
	for id, c := range list {
		s.putCheck(id, c)
	}
	if replace {
		for _, id := range s.otherChecks(i.row.ID, list) {
			s.dropCheck(id)
		}
	}
	s.mirror()
	return mark, nil
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

// enterCheck writes a check and takes it in. registering is held.
func (s *State) enterCheck(id string, c *check) (journal.Mark, error) {
	records, err := s.records(nil, map[string]*check{id: c})
	if err != nil {
		return 0, err
	}
	mark, err := s.keep.write(records)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putCheck(id, c)
	s.mirror()
	return mark, nil
}

// dropCheck removes a check that is there. mu is held.
func (s *State) dropCheck(id string) {
	c := s.checks[id]
	c.cancelDeferred()
	if c.mirrors(s.cfg.Node.Name) {
		s.aliases--
	}
	s.runner.Stop(id)
	s.strike(id)
	s.goneCheck(id, c.token)
}

// DeregisterService removes a service with its checks, for good when it returns.
// It fails with NotFound for an unknown one. meanwhile is as with RegisterService.
func (s *State) DeregisterService(id string, meanwhile func()) error {
	mark, err := s.leave(func() (records []journal.Record, drop func(), err error) {
		if s.services[id] == nil {
			return nil, nil, errUnknownService(id)
		}
		return s.whole(id), func() { s.dropService(id) }, nil
	})
	if err != nil {
		return err
	}
	return s.keep.flush(mark, meanwhile)
}

// leave writes the removals that what returns, and makes them with drop. It is
// called, as drop is, with mu held.
func (s *State) leave(what func() (records []journal.Record, drop func(), err error)) (journal.Mark, error) {
	s.registering.Lock()
	defer s.registering.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	records, drop, err := what()
	if err != nil {
		return 0, err
	}
	mark, err := s.keep.write(records)
	if err != nil {
		return 0, err
	}
	drop()
	s.mirror()
	return mark, nil
}

// dropService removes a service that is there, with its checks. mu is held.
func (s *State) dropService(id string) {
	token := s.services[id].token
	delete(s.services, id)
	for checkID := range s.ofService[id] {
		s.dropCheck(checkID)
	}
	s.goneService(id, token)
}

// RegisterCheck registers a check that ValidateCheck accepted, in place of one
// with the id, whose state it keeps. It fails with NotFound when the service it
// is for is not here, and as RegisterService does, whose meanwhile it has.
func (s *State) RegisterCheck(d *checks.Definition, from Source, meanwhile func()) error {
	mark, err := func() (journal.Mark, error) {
		s.registering.Lock()
		defer s.registering.Unlock()
		c, err := s.standalone(d, from)
		if err != nil {
			return 0, err
		}
		return s.enterCheck(d.ID, c)
	}()
	if err != nil {
		return err
	}
	return s.keep.flush(mark, meanwhile)
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

// DeregisterCheck removes a check, for good when it returns. It fails with
// NotFound for an unknown one. meanwhile is as with RegisterService.
func (s *State) DeregisterCheck(id string, meanwhile func()) error {
	mark, err := s.leave(func() (records []journal.Record, drop func(), err error) {
		if s.checks[id] == nil {
			return nil, nil, errUnknownCheck(id)
		}
		return withoutCheck(id), func() { s.dropCheck(id) }, nil
	})
	if err != nil {
		return err
	}
	return s.keep.flush(mark, meanwhile)
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
		if err := s.RegisterService(d, FromFile, false, nil); err != nil {
			return err
		}
		known[d.ID] = true
		for _, id := range d.CheckIDs() {
			defined[id] = true
		}
	}
	for _, d := range list {
		if err := s.RegisterCheck(d, FromFile, nil); err != nil {
			return err
		}
		defined[d.ID] = true
	}
	return s.dropUndefined(known, defined)
}

// dropUndefined removes what files defined once and no longer do.
func (s *State) dropUndefined(services, defined map[string]bool) error {
	mark, err := s.leave(func() ([]journal.Record, func(), error) {
		var records []journal.Record
		gone := map[string]bool{}
		for id, i := range s.services {
			if i.source == FromFile && !services[id] {
				records, gone[id] = append(records, s.whole(id)...), true
			}
		}
		list := map[string]bool{}
		for id, c := range s.checks {
			if c.source == FromFile && c.def != nil && !defined[id] && !gone[c.row.ServiceID] {
				records, list[id] = append(records, withoutCheck(id)...), true
			}
		}
		return records, func() {
			for id := range gone {
				s.dropService(id)
			}
			for id := range list {
				s.dropCheck(id)
			}
		}, nil
	})
	if err != nil {
		return err
	}
	return s.keep.flush(mark, nil)
}

// Default reasons of maintenance.
const (
	nodeReason    = "Maintenance mode is enabled for this node, but no reason was provided. This is a default message."
	serviceReason = "Maintenance mode is enabled for this service, but no reason was provided. This is a default message."
)

// SetNodeMaintenance takes the node out of service, or back in. Asking for what
// is so already changes nothing. meanwhile is as with RegisterService.
func (s *State) SetNodeMaintenance(on bool, reason string, meanwhile func()) error {
	if reason == "" {
		reason = nodeReason
	}
	return s.maintain(NodeMaintenance, "Node Maintenance Mode", reason, on, nil, meanwhile)
}

// SetServiceMaintenance takes a service out, or back in. It fails with NotFound
// for an unknown one. meanwhile is as with RegisterService.
func (s *State) SetServiceMaintenance(serviceID string, on bool, reason string, meanwhile func()) error {
	of := s.Service(serviceID)
	if of == nil {
		return errUnknownService(serviceID)
	}
	if reason == "" {
		reason = serviceReason
	}
	return s.maintain(serviceMaintenance+serviceID, "Service Maintenance Mode", reason, on, of, meanwhile)
}

func (s *State) maintain(id, name, reason string, on bool, of *Service, meanwhile func()) error {
	if !on {
		if err := s.DeregisterCheck(id, meanwhile); !failure.Is(err, failure.NotFound) {
			return err
		}
		return nil
	}
	mark, err := func() (journal.Mark, error) {
		s.registering.Lock()
		defer s.registering.Unlock()
		if s.Check(id) != nil {
			return 0, nil
		}
		c := s.newCheck(id, &checks.Definition{Name: name, Notes: reason}, of, FromAPI)
		c.def = nil
		c.row.Type, c.row.Interval, c.row.Timeout = typeMaintenance, "", ""
		if of != nil {
			c.token = s.tokenOf(of.ID)
		}
		return s.enterCheck(id, c)
	}()
	if err != nil {
		return err
	}
	return s.keep.flush(mark, meanwhile)
}

func (s *State) tokenOf(serviceID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.services[serviceID]; i != nil {
		return i.token
	}
	return ""
}
