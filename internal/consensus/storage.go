package consensus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/consensus/durable"
	"github.com/ctl-sh/ctl/internal/consensus/raftlog"
	"github.com/ctl-sh/ctl/internal/consensus/snapshot"
	"github.com/ctl-sh/ctl/internal/logging"
)

// A log in memory is cut much shorter than one on disk: it only has to cover a
// peer's short absence, and its bytes are the process's.
const (
	memoryTrailing = 512
	memoryEntries  = 16384
	memoryBytes    = 16 << 20
)

// storage is what a server keeps between restarts.
type storage struct {
	logs   raft.LogStore
	stable raft.StableStore
	snaps  raft.SnapshotStore

	disk      *raftlog.Disk   // nil in memory
	memory    *raftlog.Memory // nil on disk
	probation *probation      // nil when this server may vote
	again     chan struct{}   // a snapshot turned out damaged: take another
}

func openStorage(c *Config, log *slog.Logger) (*storage, error) {
	if c.Dir == "" {
		m := &raftlog.Memory{}
		return &storage{logs: m, stable: m, snaps: snapshot.NewMemory(), memory: m, again: make(chan struct{}, 1)}, nil
	}
	if err := finishQuarantine(c.Dir); err != nil {
		return nil, err
	}
	s, err := openDisk(c, log)
	var d *durable.Damage
	if !errors.As(err, &d) {
		return s, err
	}
	if c.OnDamage == Refuse {
		return nil, fmt.Errorf("%w; this server has no peers to learn from and does not start: "+
			"restore the directory from a backup, or move %s away to begin empty", err, c.Dir)
	}
	aside, err := quarantine(c.Dir, d)
	if err != nil {
		return nil, err
	}
	log.Error("stored raft state is damaged; starting empty, without a vote until caught up with the leader",
		logging.KeyError, d, "set_aside_as", aside)
	return openDisk(c, log)
}

// openDisk opens and verifies everything before raft sees it.
func openDisk(c *Config, log *slog.Logger) (_ *storage, err error) {
	start := time.Now()
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	s := &storage{again: make(chan struct{}, 1)}
	if s.probation, err = loadProbation(c.Dir); err != nil {
		return nil, err
	}
	s.disk, err = raftlog.Open(raftlog.Config{Dir: c.Dir, SegmentBytes: c.SegmentBytes, Logger: log})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.disk.Close())
		}
	}()
	snaps, err := snapshot.Open(snapshot.Config{
		Dir: c.Dir, Retain: c.RetainSnapshots, Logger: log, Stored: s.disk.NoteSnapshot,
		Damaged: func(d *durable.Damage) {
			log.Error("snapshot is damaged and was set aside", logging.KeyError, d)
			poke(s.again)
		},
	})
	if err != nil {
		return nil, err
	}
	var newest raftlog.Point
	meta, err := snaps.Verify()
	if err != nil {
		return nil, err
	}
	if meta != nil {
		newest = raftlog.Point{Index: meta.Index, Term: meta.Term}
	}
	report, err := s.disk.Check(newest)
	if err != nil {
		return nil, err
	}
	if report.MarkMissing {
		log.Warn("the mark of how far the log reached is gone; the log is trusted as it is", logging.KeyPath, c.Dir)
	}
	log.Info("raft state verified", "snapshot", newest.Index, "first", report.First, "last", report.Last,
		"trimmed", report.Trimmed, logging.KeyDuration, time.Since(start))
	s.logs, s.stable, s.snaps = s.disk, s.disk, snaps
	return s, nil
}

func (s *storage) close() error {
	if s.disk == nil {
		return nil
	}
	return s.disk.Close()
}

// wantsSnapshot says whether a log in memory has grown too large, or a peer has
// come that may need a snapshot, of which a server alone keeps none.
func (s *storage) wantsSnapshot(r *raft.Raft) bool {
	if s.memory == nil {
		return false
	}
	if entries, bytes := s.memory.Size(); entries > memoryEntries || bytes > memoryBytes {
		return true
	}
	if first, _ := s.memory.FirstIndex(); first <= 1 || len(r.GetConfiguration().Configuration().Servers) < 2 {
		return false
	}
	kept, err := s.snaps.List()
	return err == nil && len(kept) == 0
}

// poke wakes whoever reads ch, a channel of size one, without waiting.
func poke(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// probation is what a server that lost its state must have again before it may
// vote. It lies in a file, so that a restart does not end it.
type probation struct {
	Index  uint64 // the log reached at least this far
	Term   uint64 // and this term may have been voted in
	Reason string

	path string
}

const probationName = "probation"

func loadProbation(dir string) (*probation, error) {
	p := &probation{path: filepath.Join(dir, probationName)}
	b, err := durable.Read(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(b, p)
	}
	if err != nil {
		// Not a Damage: another quarantine would forget what this one knew.
		return nil, fmt.Errorf("cannot tell when this server may vote again: %s; "+
			"remove the server from the cluster, move %s away, and let it join anew", err, dir)
	}
	return p, nil
}

// end lets the server vote again.
func (p *probation) end() error {
	if err := os.Remove(p.path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(p.path))
}

// quarantine renames the damaged directory and puts an empty one on probation in
// its place. It returns the new name of the damaged one.
func quarantine(dir string, d *durable.Damage) (string, error) {
	m := raftlog.Salvage(dir)
	p := probation{Index: m.Index(), Term: max(m.Term, m.LogTerm, m.SnapTerm), Reason: d.Error()}
	if old, err := loadProbation(dir); err != nil {
		return "", err
	} else if old != nil {
		p.Index, p.Term = max(p.Index, old.Index), max(p.Term, old.Term)
	}
	b, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	next := dir + ".new"
	if err := os.MkdirAll(next, 0o700); err != nil {
		return "", err
	}
	if err := durable.Write(filepath.Join(next, probationName), b); err != nil {
		return "", err
	}
	aside, err := freeName(dir + ".damaged-" + time.Now().UTC().Format("20060102T150405Z"))
	if err != nil {
		return "", err
	}
	if err := os.Rename(dir, aside); err != nil {
		return "", fmt.Errorf("set damaged state aside: %w", err)
	}
	return aside, finishQuarantine(dir)
}

// finishQuarantine puts the prepared directory in its place once the damaged one
// has left it, also when a crash came between.
func finishQuarantine(dir string) error {
	next := dir + ".new"
	if _, err := os.Stat(next); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := os.Stat(dir); err == nil {
		return os.RemoveAll(next) // the crash came before: the damage is found again
	}
	if err := os.Rename(next, dir); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(dir))
}

func freeName(name string) (string, error) {
	try := name
	for n := 2; ; n++ {
		_, err := os.Lstat(try)
		if errors.Is(err, fs.ErrNotExist) {
			return try, nil
		}
		if err != nil {
			return "", err
		}
		try = fmt.Sprintf("%s-%d", name, n)
	}
}
