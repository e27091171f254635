package consensus

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// watchdog stands between raft and what it stores. It knows how long the append
// that is running now has taken, and ends the Node when the disk fails in a way
// that must not be tried again.
type watchdog struct {
	raft.LogStore
	raft.StableStore

	epoch   time.Time
	begun   atomic.Int64 // since epoch, of the append that is running; 0: none
	failure chan error   // size one: the first fatal failure
	parked  chan struct{}
}

func newWatchdog(s *storage) *watchdog {
	return &watchdog{
		LogStore: s.logs, StableStore: s.stable,
		epoch: time.Now(), failure: make(chan error, 1), parked: make(chan struct{}),
	}
}

// IsMonotonic implements raft.MonotonicLogStore for the store behind, on which
// raft's handling of an installed snapshot depends.
func (w *watchdog) IsMonotonic() bool {
	m, ok := w.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// StoreLog implements raft.LogStore.
func (w *watchdog) StoreLog(l *raft.Log) error { return w.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (w *watchdog) StoreLogs(logs []*raft.Log) error {
	w.begun.Store(max(int64(time.Since(w.epoch)), 1))
	err := w.LogStore.StoreLogs(logs)
	w.begun.Store(0)
	if errors.Is(err, syscall.EIO) {
		// The page may be marked clean although it never reached the disk: a
		// second try would report success for nothing.
		w.fail(fmt.Errorf("append to raft log: %w", err))
	}
	return err
}

// Set implements raft.StableStore.
func (w *watchdog) Set(key, value []byte) error {
	return w.must(key, w.StableStore.Set(key, value))
}

// SetUint64 implements raft.StableStore.
func (w *watchdog) SetUint64(key []byte, value uint64) error {
	return w.must(key, w.StableStore.SetUint64(key, value))
}

// must ends the Node when a term or vote cannot be stored. raft would panic in
// the middle of its work; instead its goroutine is held here and Run returns the
// error.
func (w *watchdog) must(key []byte, err error) error {
	if err == nil {
		return nil
	}
	w.fail(fmt.Errorf("store raft's %s: %w", key, err))
	<-w.parked
	return err
}

func (w *watchdog) fail(err error) {
	select {
	case w.failure <- err:
	default:
	}
}

// running returns how long the append that is running now has taken.
func (w *watchdog) running() time.Duration {
	begun := w.begun.Load()
	if begun == 0 {
		return 0
	}
	return time.Since(w.epoch) - time.Duration(begun)
}
