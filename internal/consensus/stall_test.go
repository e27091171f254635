package consensus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/failure"
)

// disk is a log whose appends can be held or made to fail.
type disk struct {
	raft.LogStore

	mu   sync.Mutex
	held chan struct{}
	err  error
}

func (d *disk) IsMonotonic() bool { return true }

func (d *disk) StoreLogs(logs []*raft.Log) error {
	d.mu.Lock()
	held, err := d.held, d.err
	d.mu.Unlock()
	if held != nil {
		<-held
	}
	if err != nil {
		return err
	}
	return d.LogStore.StoreLogs(logs)
}

func (d *disk) hold() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	held := make(chan struct{})
	d.held = held
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.held = nil
		close(held)
	}
}

func (d *disk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func threeOnDisks(t *testing.T) (*cluster, map[string]*disk) {
	disks := map[string]*disk{}
	c := newCluster(t)
	c.prepare = func(s *server) {
		d := &disk{}
		disks[s.id] = d
		s.WrapLogs(func(l raft.LogStore) raft.LogStore { d.LogStore = l; return d })
	}
	bootstrap3(t, c)
	return c, disks
}

func TestStalledLeaderIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, disks := threeOnDisks(t)
		defer c.stopAll()
		old := c.leader()
		old.apply(t, "before")
		release := disks[old.id].hold()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		result := make(chan error, 1)
		go func() {
			_, _, err := old.Apply(ctx, []byte("held"))
			result <- err
		}()
		time.Sleep(4 * time.Second)
		if !old.Leadership().Get().IsLeader {
			t.Error("a pause within the limit cost the leadership")
		}
		next := c.leader(old.id)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("a stalled leader was replaced after %s", took)
		}
		next.apply(t, "after")
		time.Sleep(2 * time.Second)
		if l := old.Leadership().Get(); l.IsLeader {
			t.Errorf("the stalled server says %+v", l)
		}
		release()
		if err := <-result; !failure.Is(err, failure.OutcomeUnknown) {
			t.Errorf("the held write ended with %v", err)
		}
		for _, s := range c.servers {
			s.mustSee(t, "before", "after")
		}
	})
}

func TestStalledFollowerCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, disks := threeOnDisks(t)
		defer c.stopAll()
		l := c.leader()
		l.apply(t, "0")
		f := c.others(l)[0]
		release := disks[f.id].hold()
		for i := range 60 {
			l.apply(t, fmt.Sprint(i+1))
			time.Sleep(time.Second)
		}
		if now := c.leader(); now != l {
			t.Errorf("a stalled follower moved leadership to %s", now.id)
		}
		release()
		start := time.Now()
		f.mustSee(t, l.machine.Commands()...)
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("caught up after %s", took)
		}
	})
}

func TestFailingDiskEndsTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, disks := threeOnDisks(t)
		l := c.leader()
		disks[l.id].fail(syscall.EIO)
		if _, _, err := l.Apply(t.Context(), []byte("x")); !failure.Is(err, failure.OutcomeUnknown) {
			t.Errorf("Apply = %v", err)
		}
		if err := l.stop(); !errors.Is(err, syscall.EIO) {
			t.Errorf("Run ended with %v", err)
		}
		delete(c.servers, l.id)
		c.leader().apply(t, "y")
		c.stopAll()
	})
}

// No space is not the end: the write fails, and later ones succeed.
func TestFullDiskRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, disks := threeOnDisks(t)
		defer c.stopAll()
		l := c.leader()
		for _, d := range disks {
			d.fail(syscall.ENOSPC)
		}
		if _, _, err := l.Apply(t.Context(), []byte("x")); !failure.Is(err, failure.OutcomeUnknown) {
			t.Errorf("Apply = %v", err)
		}
		time.Sleep(5 * time.Second)
		for _, d := range disks {
			d.fail(nil)
		}
		c.leader().apply(t, "y")
	})
}
