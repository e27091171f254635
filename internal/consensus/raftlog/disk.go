package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/segment"

	"github.com/ctl-sh/ctl/internal/consensus/durable"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/plant"
)

// The names inside the directory given to Open.
const (
	logDir   = "wal"
	metaName = "meta"
	markName = "mark"
)

// keyCurrentTerm is the name under which raft stores the current term.
const keyCurrentTerm = "CurrentTerm"

// A Config says where a Disk lies.
type Config struct {
	Dir          string       // must exist; the log, its meta file and the mark lie inside
	SegmentBytes int          // size of a log file, taken at once; 0 means 64 MiB
	Logger       *slog.Logger // raft-wal's own messages; must be set
}

// Disk is a checked raft.LogStore and raft.StableStore. Reads may run beside
// each other and beside one writer, as raft does it. It is monotonic: entries
// follow each other without a gap.
//
// A read that finds damage fails with a durable.Damage. Appends return after the
// entries are flushed.
type Disk struct {
	dir    string
	wal    *wal.WAL
	files  *files
	meta   *metaFile
	mark   *markFile
	recent recent

	// The log was there but the mark was not: somebody removed it to trust the
	// log as it is.
	markMissing bool

	mu     sync.Mutex // one writer
	sealer sealer
	held   []*raft.Log // planted fault only: acknowledged, not yet stored
}

// Open opens the log in c.Dir, or makes a new one. It fails with a
// durable.Damage when what it finds cannot be what was written, and with another
// error when it could not look (permissions, no space). Nothing is deleted from
// a damaged directory. Call Check before using it.
func Open(c Config) (*Disk, error) {
	d := &Disk{dir: c.Dir, files: newFiles()}
	if err := os.MkdirAll(d.logPath(), 0o700); err != nil {
		return nil, err
	}
	var err error
	if d.meta, err = openMeta(filepath.Join(d.logPath(), metaName)); err != nil {
		return nil, err
	}
	if err := d.refuseOrphans(); err != nil {
		return nil, err
	}
	var found bool
	if d.mark, found, err = openMark(filepath.Join(c.Dir, markName)); err != nil {
		return nil, err
	}
	d.markMissing = d.meta.found && !found
	if err := d.openWAL(c); err != nil {
		d.files.closeAll()
		_ = d.mark.close() // nothing was written
		return nil, err
	}
	return d, nil
}

func (d *Disk) logPath() string { return filepath.Join(d.dir, logDir) }

// segmentOf returns the file that holds the entry at index: of those that begin
// no later, the last. Names begin with their first index. It returns the
// directory where none does.
func (d *Disk) segmentOf(index uint64) string {
	files, err := filepath.Glob(filepath.Join(d.logPath(), "*.wal"))
	if err != nil {
		return d.logPath()
	}
	found := d.logPath()
	for _, f := range files { // in the order of names, which is that of indexes
		first, _, _ := strings.Cut(filepath.Base(f), "-")
		if n, err := strconv.ParseUint(first, 10, 64); err == nil && n <= index {
			found = f
		}
	}
	return found
}

// refuseOrphans stops before raft-wal, which deletes segments its meta file does
// not name.
func (d *Disk) refuseOrphans() error {
	if d.meta.found {
		return nil
	}
	lost := &durable.Damage{Path: d.meta.path, What: "missing beside a log that had one"}
	names, err := os.ReadDir(d.logPath())
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasSuffix(n.Name(), ".wal") {
			return lost
		}
	}
	if Salvage(d.dir) != (Mark{}) {
		return lost
	}
	return nil
}

func (d *Disk) openWAL(c Config) (err error) {
	defer func() {
		// raft-wal slices by lengths it read from disk.
		if r := recover(); r != nil {
			err = &durable.Damage{Path: d.logPath(), What: fmt.Sprint("log does not open: ", r)}
		}
	}()
	size := c.SegmentBytes
	if size == 0 {
		size = wal.DefaultSegmentSize
	}
	d.wal, err = wal.Open(d.logPath(), wal.WithLogger(logging.HCLog(c.Logger)), wal.WithSegmentSize(size),
		wal.WithMetaStore(d.meta), wal.WithSegmentFiler(segment.NewFiler(d.logPath(), d.files)))
	if err == nil || environmental(err) {
		return err
	}
	return &durable.Damage{Path: d.logPath(), What: "log does not open", Err: err}
}

// environmental tells an error of the machine around us (permissions, space,
// open files) from one that means the content is gone.
func environmental(err error) bool {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return false
	}
	return !errors.Is(err, fs.ErrNotExist) && no != syscall.EIO
}

// IsMonotonic implements raft.MonotonicLogStore.
func (d *Disk) IsMonotonic() bool { return true }

// FirstIndex implements raft.LogStore.
func (d *Disk) FirstIndex() (uint64, error) { return d.wal.FirstIndex() }

// LastIndex implements raft.LogStore.
func (d *Disk) LastIndex() (uint64, error) {
	if plant.Enabled {
		d.mu.Lock()
		defer d.mu.Unlock()
		if n := len(d.held); n > 0 {
			return d.held[n-1].Index, nil
		}
	}
	return d.wal.LastIndex()
}

// GetLog implements raft.LogStore. It fails with raft.ErrLogNotFound itself for
// an index outside the log.
func (d *Disk) GetLog(index uint64, out *raft.Log) error {
	if d.recent.get(index, out) {
		return nil
	}
	_, err := d.read(index, out)
	return err
}

// read takes an entry from disk and returns its checksum.
func (d *Disk) read(index uint64, out *raft.Log) (s uint32, err error) {
	defer func() {
		// raft-wal slices by lengths it read from disk.
		if r := recover(); r != nil {
			err = &durable.Damage{Path: d.segmentOf(index), Index: index, What: fmt.Sprint("entry does not decode: ", r)}
		}
	}()
	if err := d.wal.GetLog(index, out); err != nil {
		if err == raft.ErrLogNotFound || errors.Is(err, wal.ErrClosed) || environmental(err) { //nolint:errorlint // raft compares by identity
			return 0, err
		}
		return 0, &durable.Damage{Path: d.segmentOf(index), Index: index, What: "entry does not decode", Err: err}
	}
	s, wrong := unseal(index, out)
	if wrong != "" {
		return 0, &durable.Damage{Path: d.segmentOf(index), Index: index, What: wrong}
	}
	return s, nil
}

// StoreLog implements raft.LogStore.
func (d *Disk) StoreLog(l *raft.Log) error { return d.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore. The entries are on disk when it returns
// nil. When it fails they may or may not come back after a restart.
func (d *Disk) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if plant.On(plant.EarlyAck) {
		late := d.held
		d.held = append([]*raft.Log(nil), logs...)
		d.recent.add(logs)
		return d.store(late)
	}
	if err := d.store(logs); err != nil {
		return err
	}
	d.recent.add(logs)
	return nil
}

// store runs under mu.
func (d *Disk) store(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	sealed, s := d.sealer.seal(logs)
	defer d.sealer.release()
	if err := d.wal.StoreLogs(sealed); err != nil {
		return err
	}
	last := logs[len(logs)-1]
	return d.mark.set(func(m *Mark) { m.LogIndex, m.LogTerm, m.LogSum = last.Index, last.Term, s })
}

// DeleteRange implements raft.LogStore for a range at either end of the log.
// The mark is lowered, and flushed, before entries at the end go.
func (d *Disk) DeleteRange(from, to uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.store(d.held); err != nil {
		return err
	}
	d.held = nil
	d.recent.reset()
	first, err := d.wal.FirstIndex()
	if err != nil {
		return err
	}
	last, err := d.wal.LastIndex()
	if err != nil {
		return err
	}
	if to >= last && from <= last {
		if err := d.lowerMark(first, from); err != nil {
			return err
		}
	}
	return d.wal.DeleteRange(from, to)
}

// lowerMark prepares for the loss of every entry from index on.
func (d *Disk) lowerMark(first, index uint64) error {
	var m Mark
	if index > first {
		var l raft.Log
		s, err := d.read(index-1, &l)
		if err != nil {
			return err
		}
		m.LogIndex, m.LogTerm, m.LogSum = l.Index, l.Term, s
	}
	return d.mark.setFlushed(func(cur *Mark) { cur.LogIndex, cur.LogTerm, cur.LogSum = m.LogIndex, m.LogTerm, m.LogSum })
}

// Set implements raft.StableStore.
func (d *Disk) Set(key, value []byte) error { return d.wal.Set(key, value) }

// Get implements raft.StableStore; an absent key is nil.
func (d *Disk) Get(key []byte) ([]byte, error) { return d.wal.Get(key) }

// SetUint64 implements raft.StableStore.
func (d *Disk) SetUint64(key []byte, value uint64) error {
	if err := d.wal.SetUint64(key, value); err != nil {
		return err
	}
	if string(key) != keyCurrentTerm || value <= d.mark.get().Term {
		return nil
	}
	// After the store itself: a mark above what is stored would read as damage.
	return d.mark.set(func(m *Mark) { m.Term = max(m.Term, value) })
}

// GetUint64 implements raft.StableStore; an absent key is 0.
func (d *Disk) GetUint64(key []byte) (uint64, error) { return d.wal.GetUint64(key) }

// NoteSnapshot raises the mark to a snapshot that is safely on disk, and flushes
// it: the entries it covers may be deleted next.
func (d *Disk) NoteSnapshot(index, term uint64) error {
	if index <= d.mark.get().SnapIndex {
		return nil
	}
	return d.mark.setFlushed(func(m *Mark) { m.SnapIndex, m.SnapTerm = index, term })
}

// Mark returns the mark as it stands.
func (d *Disk) Mark() Mark { return d.mark.get() }

// Sync flushes the mark. Called about once a second it bounds what a power cut
// can take from the mark; the log itself is always flushed.
func (d *Disk) Sync() error { return d.mark.sync() }

// Close flushes the mark and closes all files.
func (d *Disk) Close() error { return errors.Join(d.wal.Close(), d.mark.close()) }

// Salvage reads what a damaged directory still says about how far it had come,
// for whoever takes its place. It reads only, and returns zeros for what cannot
// be read.
func Salvage(dir string) Mark {
	var m Mark
	if f, err := os.Open(filepath.Join(dir, markName)); err == nil {
		mf := &markFile{path: f.Name(), f: f}
		if mf.load() == nil {
			m = mf.cur
		}
		_ = f.Close() // opened for reading
	}
	if meta, err := openMeta(filepath.Join(dir, logDir, metaName)); err == nil {
		if b := meta.content.Stable[keyCurrentTerm]; len(b) == 8 {
			m.Term = max(m.Term, binary.LittleEndian.Uint64(b))
		}
	}
	return m
}
