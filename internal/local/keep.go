package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/journal"
	"github.com/ctl-sh/ctl/internal/logging"
)

// keptFile is the file in the data directory that keeps what was registered over
// HTTP and the results of TTL checks.
const keptFile = "registrations"

// What a key of the file is of is its first byte; the id is behind it.
const (
	keptServices = "s"
	keptChecks   = "c"
	keptStates   = "t"
)

type keptService struct {
	Token   string
	Service *Service
	Source  string
	Untold  bool `json:",omitempty"`
}

type keptCheck struct {
	Check   *Check
	ChkType *checks.Definition
	Token   string
	Source  string
	Untold  bool `json:",omitempty"`
}

// keptState is the last result of a TTL check. Expires is a Unix time.
type keptState struct {
	CheckID string
	Output  string
	Status  string
	Expires int64
}

const sourceRemote = "remote"

// keeper keeps registrations in the data directory; none for "".
type keeper struct {
	dir     string
	file    file         // nil before Load
	waiting atomic.Int32 // how many wait for a flush
}

// file is what a keeper needs of a *journal.Journal.
type file interface {
	Append(records ...journal.Record) (journal.Mark, error)
	Flush(m journal.Mark) error
	Tidy()
	Close() error
}

var errNotLoaded = errors.New("what the data directory keeps was not taken in yet")

// write adds changes to the file, as one. They survive a power cut when flush
// returned for the mark.
func (k *keeper) write(records []journal.Record) (journal.Mark, error) {
	switch {
	case k.dir == "" || len(records) == 0:
		return 0, nil
	case k.file == nil:
		return 0, errNotLoaded
	}
	return k.file.Append(records...)
}

// flush returns when what is before the mark survives a power cut. Unless it is
// nil, meanwhile is called while the disk is waited for, and waited for, too.
// Where others wait for the disk already it is called afterwards, and not where
// that fails: those whom one flush ends for go on together, so that the catalog is
// told of them in one request.
func (k *keeper) flush(m journal.Mark, meanwhile func()) error {
	if meanwhile == nil {
		meanwhile = func() {}
	}
	if k.file == nil || m == 0 {
		meanwhile()
		return nil
	}
	if k.waiting.Add(1) > 1 {
		err := k.file.Flush(m)
		k.waiting.Add(-1)
		if err == nil {
			meanwhile()
		}
		return err
	}
	flushed := make(chan error, 1)
	go func() { // awaited below
		err := k.file.Flush(m)
		k.waiting.Add(-1)
		flushed <- err
	}()
	meanwhile()
	return <-flushed
}

func record(kind, id string, v any) (journal.Record, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return journal.Record{}, fmt.Errorf("keep %s: %w", id, err)
	}
	return journal.Record{Key: kind + id, Value: b}, nil
}

func (i *instance) record() (journal.Record, error) {
	return record(keptServices, i.row.ID, keptService{Token: i.token, Service: i.row, Source: sourceRemote, Untold: i.keptUntold})
}

func (c *check) record() (journal.Record, error) {
	return record(keptChecks, c.row.CheckID, keptCheck{Check: c.row, ChkType: c.def, Token: c.token, Source: sourceRemote, Untold: c.keptUntold})
}

// withoutService and withoutCheck are what the file forgets with either.
func withoutService(id string) []journal.Record { return []journal.Record{{Key: keptServices + id}} }

func withoutCheck(id string) []journal.Record {
	return []journal.Record{{Key: keptChecks + id}, {Key: keptStates + id}}
}

// records are the changes of the file when i, or nil, and checks are registered:
// what configuration files define is not kept.
func (s *State) records(i *instance, list map[string]*check) ([]journal.Record, error) {
	if s.keep.dir == "" {
		return nil, nil
	}
	var records []journal.Record
	switch {
	case i == nil:
	case i.source != FromAPI:
		records = withoutService(i.row.ID)
	default:
		r, err := i.record()
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	for id, c := range list {
		if c.source != FromAPI {
			records = append(records, withoutCheck(id)...)
			continue
		}
		r, err := c.record()
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

// whole are the changes of the file when a service goes with its checks. mu is
// held.
func (s *State) whole(id string) []journal.Record {
	records := withoutService(id)
	for checkID := range s.ofService[id] {
		records = append(records, withoutCheck(checkID)...)
	}
	return records
}

// keepFate has the file say what was told and what was not. registering is not
// held.
func (s *State) keepFate() error {
	s.registering.Lock()
	mark, err := s.writeFate()
	s.registering.Unlock()
	if err != nil {
		return err
	}
	return s.keep.flush(mark, nil)
}

func (s *State) writeFate() (journal.Mark, error) {
	var records []journal.Record
	for _, i := range s.untoldServices() {
		r, err := i.record()
		if err != nil {
			return 0, err
		}
		records = append(records, r)
	}
	for _, c := range s.untoldChecks() {
		r, err := c.record()
		if err != nil {
			return 0, err
		}
		records = append(records, r)
	}
	return s.keep.write(records)
}

// saveTTL keeps the last result of a TTL check. The same result is written again
// only when half of its time has passed, and holds that much longer on disk, so
// that thousands of checks that go on passing write little. It is not flushed: a
// power cut takes back a result or two, and the check is reported on again.
func (s *State) saveTTL(id string, differs bool) {
	if s.keep.file == nil {
		return
	}
	s.registering.Lock()
	r, err := s.ttlState(id, differs)
	if err == nil && r.Value != nil {
		_, err = s.keep.write([]journal.Record{r})
	}
	s.registering.Unlock()
	if err != nil {
		s.log.Warn("the state of a check could not be kept", logging.KeyCheck, id, logging.KeyError, err)
		return
	}
	s.keep.file.Tidy()
}

// ttlState returns what to keep of a TTL check, without a value for nothing.
func (s *State) ttlState(id string, differs bool) (r journal.Record, err error) {
	now := time.Now()
	s.mu.Lock()
	c := s.checks[id]
	if c == nil || c.def == nil {
		s.mu.Unlock()
		return r, nil
	}
	ttl := time.Duration(c.def.TTL)
	if !differs && now.Sub(c.saved) < ttl/2 {
		s.mu.Unlock()
		return r, nil
	}
	c.saved = now
	k := keptState{CheckID: id, Output: c.row.Output, Status: c.row.Status, Expires: now.Add(ttl + ttl/2).Unix()}
	s.mu.Unlock()
	return record(keptStates, id, k)
}

// others are the changes of the file when a service keeps only the checks of a
// list.
func (s *State) others(serviceID string, list map[string]*check) (records []journal.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.otherChecks(serviceID, list) {
		records = append(records, withoutCheck(id)...)
	}
	return records
}

// otherChecks returns the checks of a service that are not in list, but for its
// maintenance. mu is held.
func (s *State) otherChecks(serviceID string, list map[string]*check) (ids []string) {
	for id, c := range s.ofService[serviceID] {
		if _, stays := list[id]; !stays && c.def != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
