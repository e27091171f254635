package raftlog

import (
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/ctl-sh/ctl/internal/consensus/durable"
)

// A Point is a place in the log's history.
type Point struct{ Index, Term uint64 }

// A Report says what Check read and mended.
type Report struct {
	First, Last uint64 // the log as it is now; 0 when it is empty
	Trimmed     uint64 // entries dropped because the snapshot has what they did
	MarkMissing bool   // the mark had been removed and was made anew
}

// Check reads every entry and holds the log against the mark and against snap,
// the newest snapshot known to be good (zero when there is none). It fails with
// a durable.Damage when the two together do not hold all that was once stored.
//
// It finishes what a crash interrupted: a log that ends below the snapshot, or
// parts from it, is left over from before the snapshot was installed and is
// dropped; a damaged entry below the snapshot is dropped with those before it.
// Run it before raft starts, which panics on an entry it cannot read.
func (d *Disk) Check(snap Point) (Report, error) {
	r := Report{MarkMissing: d.markMissing}
	mark := d.mark.get()
	if err := d.checkTerm(mark); err != nil {
		return r, err
	}
	v, err := d.scan(snap, mark)
	if err != nil {
		return r, err
	}
	if err := v.held(d, snap, mark); err != nil {
		return r, err
	}
	if v.drop > 0 {
		r.Trimmed = v.drop - v.first + 1
		if err := d.DeleteRange(v.first, v.drop); err != nil {
			return r, fmt.Errorf("drop log entries up to %d: %w", v.drop, err)
		}
	}
	if d.markMissing {
		err := d.mark.setFlushed(func(m *Mark) {
			*m = Mark{v.last, v.lastTerm, v.lastSum, snap.Index, snap.Term, v.term}
		})
		if err != nil {
			return r, err
		}
		d.markMissing = false
	}
	r.First, _ = d.wal.FirstIndex() // it is open: cannot fail
	r.Last, _ = d.wal.LastIndex()
	return r, nil
}

func (d *Disk) checkTerm(mark Mark) error {
	term, err := d.GetUint64([]byte(keyCurrentTerm))
	if err != nil {
		return &durable.Damage{Path: d.meta.path, What: "current term does not decode", Err: err}
	}
	if term < mark.Term {
		return &durable.Damage{Path: d.meta.path,
			What: fmt.Sprintf("current term is %d, but %d was stored once", term, mark.Term)}
	}
	return nil
}

// view is what scan found.
type view struct {
	first, last uint64
	lastTerm    uint64
	lastSum     uint32
	term        uint64 // stored current term
	drop        uint64 // the log is dropped up to and with this index; 0: nothing
	reachesMark bool   // the marked entry is there, as marked
}

func (d *Disk) scan(snap Point, mark Mark) (v view, err error) {
	if v.first, err = d.wal.FirstIndex(); err != nil {
		return v, err
	}
	if v.last, err = d.wal.LastIndex(); err != nil {
		return v, err
	}
	if v.term, err = d.GetUint64([]byte(keyCurrentTerm)); err != nil {
		return v, err
	}
	if v.last == 0 {
		return v, nil
	}
	for i := v.first; i <= v.last; i++ {
		var l raft.Log
		s, err := d.read(i, &l)
		switch {
		case err == nil && l.Term >= v.lastTerm && l.Term <= v.term:
			v.lastTerm, v.lastSum = l.Term, s
		case err == nil:
			return v, &durable.Damage{Path: d.segmentOf(i), Index: i,
				What: fmt.Sprintf("term %d follows term %d, current term %d", l.Term, v.lastTerm, v.term)}
		case i < snap.Index && durable.IsDamage(err):
			v.drop = i
			continue
		case durable.IsDamage(err) || environmental(err):
			return v, err
		default:
			return v, &durable.Damage{Path: d.segmentOf(i), Index: i, What: "entry is missing", Err: err}
		}
		if i == snap.Index && l.Term != snap.Term {
			v.drop = v.last // a snapshot of the leader's replaced this log
			return v, nil
		}
		if i == mark.LogIndex && s == mark.LogSum {
			v.reachesMark = true
		}
	}
	if v.last < snap.Index {
		v.drop = v.last
	}
	return v, nil
}

// held says whether log and snapshot together hold what the mark promises.
func (v view) held(d *Disk, snap Point, mark Mark) error {
	first, last := v.first, v.last
	if v.drop > 0 {
		first = v.drop + 1
	}
	if first > last {
		first, last = 0, 0
	}
	lost := func(index uint64, format string, args ...any) error {
		return &durable.Damage{Path: d.segmentOf(index), Index: index, What: fmt.Sprintf(format, args...)}
	}
	switch {
	case last > 0 && first > snap.Index+1:
		return lost(snap.Index+1, "log begins at %d, but the newest good snapshot ends at %d", first, snap.Index)
	case mark.LogIndex > snap.Index && v.last < mark.LogIndex:
		return lost(v.last+1, "log ends at %d, but reached %d once: its end is lost", v.last, mark.LogIndex)
	case mark.LogIndex > snap.Index && !v.reachesMark && v.drop != v.last:
		return lost(mark.LogIndex, "entry is not the one that was last stored there")
	case mark.SnapIndex > max(snap.Index, last):
		return lost(max(snap.Index, last)+1, "snapshot and log end at %d, but a snapshot reached %d once",
			max(snap.Index, last), mark.SnapIndex)
	}
	return nil
}
