package local

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/journal"
	"github.com/ctl-sh/ctl/internal/logging"
)

// Load takes in what the data directory keeps. What cannot be read is logged and
// not registered. Call it once, before anything else.
func (s *State) Load() error {
	if s.keep.dir == "" {
		return nil
	}
	if err := os.MkdirAll(s.keep.dir, 0o700); err != nil {
		return err
	}
	file, found, err := journal.Open(filepath.Join(s.keep.dir, keptFile))
	if err != nil {
		return err
	}
	s.registering.Lock()
	defer s.registering.Unlock()
	s.keep.file = file
	s.report(found)
	if err := s.moveFiles(found.Values); err != nil {
		return errors.Join(fmt.Errorf("move registrations from files of their own: %w", err), file.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := slices.Sorted(maps.Keys(found.Values))
	for _, key := range keys {
		if id, is := strings.CutPrefix(key, keptServices); is {
			s.loadService(id, found.Values[key])
		}
	}
	var orphans []journal.Record
	for _, key := range keys {
		if id, is := strings.CutPrefix(key, keptChecks); is && !s.loadCheck(id, found.Values) {
			orphans = append(orphans, withoutCheck(id)...)
		}
	}
	s.untold = true // some may be
	s.mirror()
	_, err = s.keep.write(orphans)
	return err
}

// report says what was wrong with the file.
func (s *State) report(found *journal.Found) {
	if found.Cut > 0 {
		s.log.Warn("the last registrations were not written completely when the agent or its machine stopped, and were not acknowledged: the rest is taken in",
			logging.KeyFile, filepath.Join(s.keep.dir, keptFile), "offset", found.CutAt, "bytes", found.Cut)
	}
	for _, damage := range found.Damage {
		s.log.Error("registrations are lost: the file that keeps them is damaged. What is still in order of it is taken in, the file is put aside; register again what is missing, and look after the disk",
			logging.KeyFile, found.Aside, logging.KeyError, damage)
	}
}

func (s *State) loadService(id string, b []byte) {
	var k keptService
	if err := json.Unmarshal(b, &k); err != nil || k.Service == nil || k.Service.ID != id || id == "" {
		s.unreadable(logging.KeyService, id, err)
		return
	}
	s.putService(&instance{row: k.Service, tags: k.Service.Tags, token: k.Token, source: FromAPI, fate: fate{told: !k.Untold, keptUntold: k.Untold}})
}

// loadCheck takes in a check and reports false if it is to be forgotten.
func (s *State) loadCheck(id string, values map[string][]byte) bool {
	var k keptCheck
	if err := json.Unmarshal(values[keptChecks+id], &k); err != nil || k.Check == nil || k.Check.CheckID != id || id == "" {
		s.unreadable(logging.KeyCheck, id, err)
		return true
	}
	if k.Check.ServiceID != "" && s.services[k.Check.ServiceID] == nil {
		return values[keptServices+k.Check.ServiceID] != nil // that may be read by another version
	}
	if k.ChkType != nil && k.ChkType.Runs() && !s.cfg.AllowScripts {
		s.log.Warn("a kept check runs a program, which is not allowed any more: it is left out", logging.KeyCheck, id)
		return true
	}
	k.Check.Node = s.cfg.Node.Name
	c := &check{row: k.Check, def: k.ChkType, token: k.Token, source: FromAPI, fate: fate{told: !k.Untold, keptUntold: k.Untold}}
	c.row.Output = ""
	if c.def != nil {
		c.row.Status = checks.Critical
		if c.def.Status != "" {
			c.row.Status = c.def.Status
		}
		if c.def.Kind() == checks.TTL {
			s.loadTTL(c, values[keptStates+id])
		}
	}
	s.putCheck(id, c)
	return true
}

func (s *State) unreadable(key, id string, err error) {
	s.log.Warn("a kept registration cannot be read and is left out", logging.KeyFile, filepath.Join(s.keep.dir, keptFile), key, id, logging.KeyError, err)
}

// loadTTL restores the last result of a TTL check, if it holds still; b is empty
// where there is none.
func (s *State) loadTTL(c *check, b []byte) {
	if len(b) == 0 {
		return
	}
	var k keptState
	if err := json.Unmarshal(b, &k); err != nil || !checks.ValidStatus(k.Status) {
		s.unreadable(logging.KeyCheck, c.row.CheckID, err)
		return
	}
	if time.Now().Unix() < k.Expires {
		c.row.Status, c.row.Output = k.Status, k.Output
	}
}

// The directories in which each registration was a file, named after the SHA-256
// of its id.
const (
	servicesDir = "services"
	checksDir   = "checks"
	stateDir    = "checks/state"
)

// moveFiles takes in what earlier versions kept as a file each, and removes these
// files. Where both are there the files are newer: an earlier version wrote them
// after this one, or moving them was broken off. A file that cannot be read is
// left where it is.
func (s *State) moveFiles(values map[string][]byte) error {
	var (
		records []journal.Record
		moved   []string
	)
	for _, kind := range []struct {
		dir, key string
		id       func(b []byte) (string, error)
	}{{servicesDir, keptServices, serviceIDOf}, {checksDir, keptChecks, checkIDOf}, {stateDir, keptStates, stateIDOf}} {
		err := s.eachFile(kind.dir, func(path string, b []byte) {
			id, err := kind.id(b)
			if err != nil || id == "" {
				s.log.Warn("a kept registration cannot be read and is left out", logging.KeyFile, path, logging.KeyError, err)
				return
			}
			records, moved = append(records, journal.Record{Key: kind.key + id, Value: b}), append(moved, path)
			values[kind.key+id] = b
		})
		if err != nil {
			return err
		}
	}
	mark, err := s.keep.write(records)
	if err == nil {
		err = s.keep.flush(mark, nil)
	}
	if err != nil {
		return err
	}
	for _, path := range moved {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	for _, dir := range []string{stateDir, checksDir, servicesDir} {
		// One that is not empty stays, with what could not be read.
		_ = os.Remove(filepath.Join(s.keep.dir, filepath.FromSlash(dir)))
	}
	if len(moved) > 0 {
		s.log.Info("registrations were moved from files of their own into one", logging.KeyFile, filepath.Join(s.keep.dir, keptFile), "registrations", len(moved))
	}
	return nil
}

func serviceIDOf(b []byte) (string, error) {
	var k struct{ Service struct{ ID string } }
	err := json.Unmarshal(b, &k)
	return k.Service.ID, err
}

func checkIDOf(b []byte) (string, error) {
	var k struct{ Check struct{ CheckID string } }
	err := json.Unmarshal(b, &k)
	return k.Check.CheckID, err
}

func stateIDOf(b []byte) (string, error) {
	var k keptState
	err := json.Unmarshal(b, &k)
	return k.CheckID, err
}

// eachFile calls take with the content of every file of a kind, and removes those
// that were never finished.
func (s *State) eachFile(sub string, take func(path string, b []byte)) error {
	dir := filepath.Join(s.keep.dir, filepath.FromSlash(sub))
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir():
		case strings.HasSuffix(e.Name(), ".tmp"):
			if err := os.Remove(path); err != nil {
				return err
			}
		case len(e.Name()) == 2*sha256.Size:
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			take(path, b)
		}
	}
	return nil
}
