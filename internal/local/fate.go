package local

import (
	"github.com/ctl-sh/ctl/internal/journal"
	"github.com/ctl-sh/ctl/internal/logging"
)

// fate is what is known of a registration's way to the catalog. It tells what
// somebody removed there from what the catalog does not know yet, or again: only
// a registration that was told can have been removed.
type fate struct {
	told       bool // the catalog has had this registration
	keptUntold bool // what is kept says that it was not told
}

// renews takes over the fate of the same registration. One that comes again over
// HTTP is looked up before it counts as told: it may have been removed in the
// meantime, and is wanted anew. One of a file is only read again.
func (f *fate) renews(old fate, from Source) {
	f.told = old.told && from == FromFile
}

// Removed names what was removed from the catalog by others, by id.
type Removed struct{ Services, Checks map[string]bool }

// Lacks reports whether the catalog lacks something that it has had.
func (s *State) Lacks(r *Remote) bool {
	services, checks := r.ids()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, i := range s.services {
		if i.told && !services[id] {
			return true
		}
	}
	for id, c := range s.checks {
		if c.told && !checks[id] {
			return true
		}
	}
	return false
}

// ids returns the ids of what the catalog has.
func (r *Remote) ids() (services, checks map[string]bool) {
	services, checks = make(map[string]bool, len(r.Services)), make(map[string]bool, len(r.Checks))
	for _, s := range r.Services {
		services[s.ID] = true
	}
	for _, c := range r.Checks {
		checks[c.CheckID] = true
	}
	return services, checks
}

// letGo drops what others removed from the catalog. registering and mu are held.
func (s *State) letGo(r *Remote) {
	if len(r.Removed.Services)+len(r.Removed.Checks) == 0 {
		return
	}
	services, checks := r.ids()
	var records []journal.Record
	for id, i := range s.services {
		if i.told && !services[id] && r.Removed.Services[id] {
			s.log.Info("letting go of a service that was removed from the catalog", logging.KeyService, id)
			records = append(records, s.whole(id)...)
			s.dropService(id)
		}
	}
	for id, c := range s.checks {
		if c.told && !checks[id] && r.Removed.Checks[id] {
			s.log.Info("letting go of a check that was removed from the catalog", logging.KeyCheck, id)
			records = append(records, withoutCheck(id)...)
			s.dropCheck(id)
		}
	}
	// Not flushed: what comes back after a power cut is let go of again.
	if _, err := s.keep.write(records); err != nil {
		s.log.Warn("a registration that was removed from the catalog may come back when this agent restarts: its removal cannot be kept", logging.KeyError, err)
	}
	s.mirror()
}

// Renewal is what was registered again as it was, and may have been removed from
// the catalog before.
type Renewal struct {
	services map[string]*instance
	checks   map[string]*check
}

// Renewed returns what was registered again as it was; nil for nothing.
func (s *State) Renewed() *Renewal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.renewed {
		return nil
	}
	var r Renewal
	for id, i := range s.services {
		if !i.told && s.drift.services[id] == 0 {
			if r.services == nil {
				r.services = map[string]*instance{}
			}
			r.services[id] = i
		}
	}
	for id, c := range s.checks {
		if !c.told && s.drift.checks[id] == 0 && c.deferred == nil {
			if r.checks == nil {
				r.checks = map[string]*check{}
			}
			r.checks[id] = c
		}
	}
	if r.services == nil && r.checks == nil {
		s.renewed = false
		return nil
	}
	return &r
}

// Confirm takes note of what the catalog has removed, as read after Renewed: of
// what was renewed, that has to be told again and the rest is known there.
// What has been registered yet again since then waits for the next.
func (s *State) Confirm(r *Renewal, gone Removed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, i := range r.services {
		switch {
		case s.services[id] != i:
		case gone.Services[id]:
			s.markService(id)
			for checkID := range s.ofService[id] { // went with it
				s.markCheck(checkID)
			}
		default:
			i.told = true
		}
	}
	for id, c := range r.checks {
		switch {
		case s.checks[id] != c || s.drift.checks[id] != 0:
		case gone.Checks[id]:
			s.markCheck(id)
		default:
			c.told = true
		}
	}
}

// KeepUntold has the data directory say what was not told, so that it is not taken for
// removed after a restart. It is called where telling failed, before that is
// answered.
func (s *State) KeepUntold() error {
	s.mu.Lock()
	s.untold = true
	s.mu.Unlock()
	return s.keepFate()
}

// KeepTold has the data directory say what was told by now, where it says
// otherwise.
func (s *State) KeepTold() error {
	s.mu.Lock()
	untold := s.untold
	s.mu.Unlock()
	if !untold {
		return nil
	}
	return s.keepFate()
}

// untoldServices returns copies of those that are to be kept anew.
func (s *State) untoldServices() (list []instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.untold = false
	for _, i := range s.services {
		if i.source == FromAPI && i.keptUntold == i.told {
			i.keptUntold = !i.told
			list = append(list, *i)
		}
		s.untold = s.untold || i.keptUntold
	}
	return list
}

func (s *State) untoldChecks() (list []check) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.checks {
		if c.source == FromAPI && c.keptUntold == c.told {
			c.keptUntold = !c.told
			list = append(list, *c)
		}
		s.untold = s.untold || c.keptUntold
	}
	return list
}
