package local

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/logging"
)

// keeper keeps registrations below a directory, each in a file of its own; none
// for "". Names are the SHA-256 of the id, as Consul has them.
type keeper struct{ dir string }

const (
	servicesDir = "services"
	checksDir   = "checks"
	stateDir    = "checks/state"
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

func (k keeper) path(sub, id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(k.dir, filepath.FromSlash(sub), hex.EncodeToString(sum[:]))
}

func (k keeper) saveService(i *instance) (*draft, error) {
	return k.draft(servicesDir, i.row.ID, keptService{Token: i.token, Service: i.row, Source: sourceRemote, Untold: i.keptUntold}, true)
}

func (k keeper) saveCheck(c *check) (*draft, error) {
	return k.draft(checksDir, c.row.CheckID, keptCheck{Check: c.row, ChkType: c.def, Token: c.token, Source: sourceRemote, Untold: c.keptUntold}, true)
}

// draft is a file that is written and not in its place yet.
type draft struct{ id, temporary, path string }

// draft writes a file that is whole whenever it is there. With durable it
// survives a power cut. Keep or drop it; the one of a keeper that keeps nothing
// is nil.
func (k keeper) draft(sub, id string, v any, durable bool) (*draft, error) {
	if k.dir == "" {
		return nil, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("keep %s: %w", id, err)
	}
	path := k.path(sub, id)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("keep %s: %w", id, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "*.tmp")
	if err != nil {
		return nil, fmt.Errorf("keep %s: %w", id, err)
	}
	d := &draft{id: id, temporary: f.Name(), path: path}
	_, err = f.Write(b)
	if err == nil && durable {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		d.drop()
		return nil, fmt.Errorf("keep %s: %w", id, err)
	}
	return d, nil
}

// keep puts the file into its place.
func (d *draft) keep() error {
	if d == nil {
		return nil
	}
	if err := os.Rename(d.temporary, d.path); err != nil {
		d.drop()
		return fmt.Errorf("keep %s: %w", d.id, err)
	}
	return nil
}

func (d *draft) drop() {
	if d != nil {
		_ = os.Remove(d.temporary) // a leftover is skipped by load
	}
}

func (k keeper) removeService(id string) error { return k.remove(servicesDir, id) }

func (k keeper) removeCheck(id string) error {
	return errors.Join(k.remove(checksDir, id), k.remove(stateDir, id))
}

func (k keeper) remove(sub, id string) error {
	if k.dir == "" {
		return nil
	}
	err := os.Remove(k.path(sub, id))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget %s: %w", id, err)
	}
	return nil
}

// each calls f with the content of every file of a kind.
func (k keeper) each(sub string, f func(path string, b []byte) error) error {
	dir := filepath.Join(k.dir, filepath.FromSlash(sub))
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() || len(e.Name()) != 2*sha256.Size {
			continue
		}
		path := filepath.Join(dir, e.Name())
		b, err := os.ReadFile(path)
		if err == nil {
			err = f(path, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Load takes in what the data directory keeps. What cannot be read is left
// where it is, logged and not registered. Call it once, before Reload and
// before anybody else registers.
func (s *State) Load() error {
	if s.keep.dir == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.keep.each(servicesDir, func(path string, b []byte) error {
		var k keptService
		if err := json.Unmarshal(b, &k); err != nil || k.Service == nil || k.Service.ID == "" {
			s.unreadable(path, err)
			return nil
		}
		s.putService(&instance{row: k.Service, tags: k.Service.Tags, token: k.Token, source: FromAPI, fate: fate{told: !k.Untold, keptUntold: k.Untold}})
		return nil
	})
	if err != nil {
		return fmt.Errorf("load kept services: %w", err)
	}
	if err := s.keep.each(checksDir, s.loadCheck); err != nil {
		return fmt.Errorf("load kept checks: %w", err)
	}
	s.untold = true // some may be
	s.mirror()
	return nil
}

func (s *State) loadCheck(path string, b []byte) error {
	var k keptCheck
	if err := json.Unmarshal(b, &k); err != nil || k.Check == nil || k.Check.CheckID == "" {
		s.unreadable(path, err)
		return nil
	}
	if k.Check.ServiceID != "" && s.services[k.Check.ServiceID] == nil {
		return os.Remove(path) // its service is gone
	}
	if k.ChkType != nil && k.ChkType.Runs() && !s.cfg.AllowScripts {
		s.log.Warn("a kept check runs a program, which is not allowed any more: it is left out", logging.KeyCheck, k.Check.CheckID)
		return nil
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
			s.loadTTL(c)
		}
	}
	s.putCheck(k.Check.CheckID, c)
	return nil
}

func (s *State) unreadable(path string, err error) {
	s.log.Warn("a kept registration cannot be read and is left out", logging.KeyFile, path, logging.KeyError, err)
}

// loadTTL restores the last result of a TTL check, if it holds still.
func (s *State) loadTTL(c *check) {
	b, err := os.ReadFile(s.keep.path(stateDir, c.row.CheckID))
	if err != nil {
		return // most have none
	}
	var k keptState
	if err := json.Unmarshal(b, &k); err != nil || !checks.ValidStatus(k.Status) {
		s.unreadable(s.keep.path(stateDir, c.row.CheckID), err)
		return
	}
	if time.Now().Unix() < k.Expires {
		c.row.Status, c.row.Output = k.Status, k.Output
	}
}

// saveTTL keeps the last result of a TTL check. The same result is written again
// only when half of its time has passed, and holds that much longer on disk, so
// that thousands of checks that go on passing write little.
func (s *State) saveTTL(id string, differs bool) {
	now := time.Now()
	s.mu.Lock()
	c := s.checks[id]
	if c == nil || c.def == nil {
		s.mu.Unlock()
		return
	}
	ttl := time.Duration(c.def.TTL)
	if !differs && now.Sub(c.saved) < ttl/2 {
		s.mu.Unlock()
		return
	}
	c.saved = now
	k := keptState{CheckID: id, Output: c.row.Output, Status: c.row.Status, Expires: now.Add(ttl + ttl/2).Unix()}
	s.mu.Unlock()
	d, err := s.keep.draft(stateDir, id, k, false)
	if err == nil {
		err = d.keep()
	}
	if err != nil {
		s.log.Warn("the state of a check could not be kept", logging.KeyCheck, id, logging.KeyError, err)
	}
}
