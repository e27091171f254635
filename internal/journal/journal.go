// Package journal keeps values by key in one file that is only appended to, so
// that keeping one more costs a write and a share in a flush, however many are
// kept.
//
// It is for what one process keeps of its own: some thousands of small values.
// It knows nothing of their meaning, answers no reads once it is open, and does
// not keep two processes from one file (package dirlock does).
//
// Rules that keep it right: changes made together are in one frame, which counts
// wholly or not at all; a frame says how much of the file had been flushed before
// it was written, so what a power cut left half written is told from damage; the
// file is replaced only by a finished one, when more than half of it is out of
// date.
package journal

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
)

// Record is a change of one key.
type Record struct {
	Key string
	// Value is what the key has from now on; nil removes the key. An empty
	// value that is not nil is kept.
	Value []byte
}

// Mark is a point in a Journal's life. The zero Mark is before everything.
type Mark uint64

// file is what a Journal needs of an *os.File.
type file interface {
	ReadAt(b []byte, at int64) (int, error)
	WriteAt(b []byte, at int64) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// place is where the value of a key is in the file.
type place struct{ at, size int64 }

// Journal is an open file. Make it with Open and end it with Close. Its methods
// may be called by any number of goroutines.
type Journal struct {
	path string
	open func(path string) (file, error)

	// flushing is held by who flushes or replaces the file, so that those who
	// come meanwhile share the next flush. It is taken before mu.
	flushing sync.Mutex
	flushed  Mark // nothing before it can be lost

	mu     sync.Mutex
	f      file
	end    int64 // where the next frame goes
	safe   int64 // what is below it was flushed
	last   Mark  // of the newest frame
	places map[string]place
	live   int64 // bytes of what places names
	// broken is why the content of the file is not certain any more. The file is
	// replaced before anything else is written.
	broken error
	closed bool
	// tidyAt is the size from which the file is not worth keeping.
	tidyAt int64
}

// ErrClosed is the error of a Journal that was closed.
var ErrClosed = errors.New("the journal is closed: the agent is stopping")

// slack is how much of a file may be out of date before its size matters.
const slack = 4 << 20

// Append writes changes behind all others, as one. When it fails nothing has
// changed. They survive the end of the process when it returns, and a power cut
// once Flush returned for the Mark. Removing what is not there writes nothing;
// where nothing is to be written it returns the newest Mark. Values may change
// afterwards.
//
// It does not wait for the disk, but where the file has to be replaced because a
// flush failed before.
func (j *Journal) Append(records ...Record) (Mark, error) {
	j.mu.Lock()
	broken := j.broken
	j.mu.Unlock()
	if broken != nil {
		if err := j.renew(); err != nil {
			return 0, err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return 0, ErrClosed
	case j.broken != nil:
		return 0, j.broken
	}
	if records = j.effective(records); len(records) == 0 {
		return j.last, nil
	}
	return j.append(records)
}

// effective leaves out removals of what is not there. mu is held.
func (j *Journal) effective(records []Record) []Record {
	list := make([]Record, 0, len(records))
	for i, r := range records {
		_, there := j.places[r.Key]
		earlier := func(e Record) bool { return e.Key == r.Key }
		if r.Value != nil || there || slices.ContainsFunc(records[:i], earlier) {
			list = append(list, r)
		}
	}
	return list
}

// append writes a frame. mu is held.
func (j *Journal) append(records []Record) (Mark, error) {
	b, err := frameOf(records, j.end, j.safe)
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", j.path, err)
	}
	if _, err := j.f.WriteAt(b, j.end); err != nil {
		// A rest of it would be written over, or cut off when the file is opened.
		_ = j.f.Truncate(j.end)
		return 0, fmt.Errorf("write %s: %w", j.path, err)
	}
	j.enter(records, j.end+headerSize)
	j.end += int64(len(b))
	j.last++
	return j.last, nil
}

// enter notes where records are that begin at an offset. mu is held.
func (j *Journal) enter(records []Record, at int64) {
	for _, r := range records {
		size := r.size()
		j.live -= j.places[r.Key].size
		delete(j.places, r.Key)
		if r.Value != nil {
			j.places[r.Key] = place{at, size}
			j.live += size
		}
		at += size
	}
}

// Flush returns when everything up to the Mark survives a power cut. Those who
// wait at the same time share the flush. When it fails the changes may or may not
// be there after a restart; the file is written anew before the next change.
func (j *Journal) Flush(m Mark) error {
	j.flushing.Lock()
	defer j.flushing.Unlock()
	if m <= j.flushed {
		return nil
	}
	if err := j.flush(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.closed && j.end >= j.tidyAt {
		j.tidy()
	}
	return nil
}

// flush flushes what is written by now. flushing is held.
func (j *Journal) flush() error {
	j.mu.Lock()
	f, end, last, err := j.f, j.end, j.last, j.broken
	if j.closed {
		err = ErrClosed
	}
	j.mu.Unlock()
	if err != nil {
		return err
	}
	err = f.Sync() // others may append meanwhile
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		// What the system could not write it may have forgotten: a second flush
		// that succeeds would prove nothing.
		j.broken = fmt.Errorf("flush %s: %w", j.path, err)
		return j.broken
	}
	j.safe, j.flushed = end, last
	return nil
}

// Tidy replaces the file where most of it is out of date. It is for who appends
// without flushing; Flush does it by itself. A failure is not lost: the file
// grows on, and it is tried again later.
func (j *Journal) Tidy() {
	j.mu.Lock()
	due := !j.closed && j.end >= j.tidyAt
	j.mu.Unlock()
	if !due {
		return
	}
	j.flushing.Lock()
	defer j.flushing.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.closed && j.end >= j.tidyAt {
		j.tidy()
	}
}

// renew replaces a file whose content is not certain.
func (j *Journal) renew() error {
	j.flushing.Lock()
	defer j.flushing.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed || j.broken == nil {
		return nil // somebody else did
	}
	if err := j.replace(); err != nil {
		return errors.Join(j.broken, err)
	}
	return nil
}

// Size returns the length of the file, and how much of it is up to date, in
// bytes.
func (j *Journal) Size() (whole, live int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.end, j.live
}

// Close flushes and closes the file. A frame without changes at its end says that
// all before it was flushed. Closing again is fine.
func (j *Journal) Close() error {
	j.flushing.Lock()
	defer j.flushing.Unlock()
	j.mu.Lock()
	closed := j.closed
	j.mu.Unlock()
	if closed {
		return nil
	}
	err := j.flush()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	if err == nil {
		_, err = j.append(nil)
	}
	if err == nil {
		err = j.f.Sync()
	}
	return errors.Join(err, j.f.Close())
}

func openFile(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}
