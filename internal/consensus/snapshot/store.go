package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/consensus/durable"
	"github.com/ctl-sh/ctl/internal/logging"
)

// Names that raft's FileSnapshotStore uses inside its directory, and where
// damaged snapshots go.
const (
	snapshotsDir = "snapshots"
	stateName    = "state.bin"
	metaName     = "meta.json"
	tmpSuffix    = ".tmp"
	asideDir     = "damaged-snapshots"
)

// A Config says where a Store lies and whom it tells.
type Config struct {
	Dir    string       // must exist; the snapshots lie in a directory inside
	Retain int          // how many are kept; at least 1
	Logger *slog.Logger // raft's own messages; must be set

	// Stored is called when a snapshot is safely on disk, before raft deletes
	// entries because of it. Its error fails the snapshot. It may be nil.
	Stored func(index, term uint64) error

	// Damaged is called with what is wrong after a snapshot was set aside. It
	// must not block. It may be nil.
	Damaged func(*durable.Damage)
}

// Store is a checked raft.SnapshotStore on disk. Its methods may be called by
// any number of goroutines, as far as raft does.
type Store struct {
	c     Config
	inner *raft.FileSnapshotStore
	dir   string
}

// Open opens the snapshots in c.Dir, or makes an empty store, and removes what a
// crash left half written.
func Open(c Config) (*Store, error) {
	s := &Store{c: c, dir: filepath.Join(c.Dir, snapshotsDir)}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	names, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if strings.HasSuffix(n.Name(), tmpSuffix) {
			if err := os.RemoveAll(filepath.Join(s.dir, n.Name())); err != nil {
				return nil, err
			}
		}
	}
	s.inner, err = raft.NewFileSnapshotStoreWithLogger(c.Dir, c.Retain, logging.HCLog(c.Logger))
	return s, err
}

// Verify reads every snapshot to its end, sets the damaged ones aside, and
// returns the newest good one: nil when there is none.
func (s *Store) Verify() (*raft.SnapshotMeta, error) {
	names, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if !n.IsDir() {
			continue
		}
		if _, err := s.checked(n.Name()); err != nil {
			return nil, err
		}
	}
	metas, err := s.inner.List()
	if err != nil || len(metas) == 0 {
		return nil, err
	}
	return metas[0], nil
}

// checked verifies a snapshot and sets it aside if it is damaged, which it
// returns; the error is for what prevented that.
func (s *Store) checked(id string) (*durable.Damage, error) {
	err := s.verify(id)
	var d *durable.Damage
	if !errors.As(err, &d) {
		return nil, err
	}
	return d, s.setAside(id, d)
}

func (s *Store) setAside(id string, d *durable.Damage) error {
	aside := filepath.Join(s.c.Dir, asideDir)
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	to := filepath.Join(aside, id)
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(s.dir, id), to); err != nil {
		return fmt.Errorf("set damaged snapshot aside: %w", err)
	}
	if s.c.Damaged != nil {
		s.c.Damaged(d)
	}
	return nil
}

// verify fails with a durable.Damage, or with what kept it from looking.
func (s *Store) verify(id string) error {
	path := filepath.Join(s.dir, id, metaName)
	damage := func(what string, err error) error {
		var no syscall.Errno
		if errors.As(err, &no) && !errors.Is(err, fs.ErrNotExist) && no != syscall.EIO {
			return err // the machine's fault, not the content's
		}
		return &durable.Damage{Path: path, What: what, Err: err}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return damage("not readable", err)
	}
	var meta struct {
		raft.SnapshotMeta
		CRC []byte // raft's own checksum of the state
	}
	if err := json.Unmarshal(b, &meta); err != nil {
		return damage("does not decode", err)
	}
	if meta.ID != id {
		return damage(fmt.Sprintf("names another snapshot, %q", meta.ID), nil)
	}
	path = filepath.Join(s.dir, id, stateName)
	f, err := os.Open(path)
	if err != nil {
		return damage("not readable", err)
	}
	defer f.Close() // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != meta.Size {
		return damage(fmt.Sprintf("has %d bytes instead of %d", info.Size(), meta.Size), nil)
	}
	crc := crc64.New(crc64.MakeTable(crc64.ECMA))
	if err := verify(io.TeeReader(f, crc), headerOf(&meta.SnapshotMeta)); err != nil {
		return damage("snapshot is not what was written", err)
	}
	if !bytes.Equal(crc.Sum(nil), meta.CRC) {
		return damage("checksum in meta.json is not that of the state", nil)
	}
	return nil
}

// Create implements raft.SnapshotStore.
func (s *Store) Create(version raft.SnapshotVersion, index, term uint64, conf raft.Configuration,
	confIndex uint64, trans raft.Transport) (raft.SnapshotSink, error) {
	inner, err := s.inner.Create(version, index, term, conf, confIndex, trans)
	if err != nil {
		return nil, err
	}
	// raft makes them with the process's umask, and keeps the modes later.
	tmp := filepath.Join(s.dir, inner.ID()+tmpSuffix)
	for path, mode := range map[string]fs.FileMode{"": 0o700, metaName: 0o600, stateName: 0o600} {
		if err := os.Chmod(filepath.Join(tmp, path), mode); err != nil {
			return nil, errors.Join(err, inner.Cancel())
		}
	}
	return newSink(inner, Header{version, index, term, conf, confIndex}, s.stored), nil
}

func (s *Store) stored(h Header) error {
	if s.c.Stored == nil {
		return nil
	}
	return s.c.Stored(h.Index, h.Term)
}

// List implements raft.SnapshotStore: newest first. Only the frames' beginnings
// are read; Open reads the rest.
func (s *Store) List() ([]*raft.SnapshotMeta, error) {
	metas, err := s.inner.List()
	if err != nil {
		return nil, err
	}
	good := metas[:0]
	for _, m := range metas {
		if s.headerMatches(m) {
			good = append(good, m)
			continue
		}
		if _, err := s.checked(m.ID); err != nil {
			return nil, err
		}
	}
	return good, nil
}

func (s *Store) headerMatches(m *raft.SnapshotMeta) bool {
	f, err := os.Open(filepath.Join(s.dir, m.ID, stateName))
	if err != nil {
		return false
	}
	defer f.Close() // only read
	h, _, err := NewReader(f)
	return err == nil && h.equal(headerOf(m))
}

// Open implements raft.SnapshotStore. It reads the snapshot twice: the first
// time to be sure of it. It fails with a durable.Damage, and the snapshot is set
// aside, when it is not what was written.
func (s *Store) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	d, err := s.checked(id)
	if err != nil {
		return nil, nil, err
	}
	if d != nil {
		return nil, nil, d
	}
	return s.inner.Open(id)
}
