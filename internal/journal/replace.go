package journal

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ctl-sh/ctl/internal/consensus/durable"
)

// frameTarget is about how much goes into a frame of a file that is written at
// once.
const frameTarget = 32 << 10

// writer writes a whole file.
type writer struct {
	f       *os.File
	end     int64
	pending []Record
	size    int64
	j       *Journal // whose places are set
}

func (w *writer) put(r Record) error {
	w.pending, w.size = append(w.pending, r), w.size+r.size()
	if w.size < frameTarget {
		return nil
	}
	return w.write()
}

func (w *writer) write() error {
	if len(w.pending) == 0 {
		return nil
	}
	b, err := frameOf(w.pending, w.end, 0)
	if err != nil {
		return err
	}
	if _, err := w.f.Write(b); err != nil {
		return err
	}
	w.j.enter(w.pending, w.end+headerSize)
	w.end += int64(len(b))
	w.pending, w.size = w.pending[:0], 0
	return nil
}

// replaceWith puts a file in place that holds what fill puts. It is whole and on
// disk before it gets its name, and when this fails what was there still is. Of
// the Journal places, live, end and f are changed. flushing and mu are held, or
// nobody else knows the Journal.
func (j *Journal) replaceWith(fill func(*writer) error) (err error) {
	defer func() {
		if err != nil {
			_ = os.Remove(j.temporary()) // removed by Open otherwise
			err = fmt.Errorf("write %s anew: %w", j.path, err)
		}
	}()
	f, err := os.OpenFile(j.temporary(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	fresh := &Journal{path: j.path, places: make(map[string]place, len(j.places))}
	w := &writer{f: f, end: headSize, j: fresh}
	_, err = f.Write(make([]byte, headSize))
	if err == nil {
		err = fill(w)
	}
	if err == nil {
		err = w.write()
	}
	if err == nil {
		_, err = f.WriteAt(head(w.end), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return j.adopt(fresh, w.end)
}

// adopt gives the temporary file the name and goes on with it.
func (j *Journal) adopt(fresh *Journal, end int64) error {
	if j.f != nil {
		// Some systems rename over no open file. An error tells nothing new: what
		// matters was flushed, or is why the file is replaced.
		_ = j.f.Close()
	}
	renamed := os.Rename(j.temporary(), j.path)
	f, err := j.open(j.path)
	if err = errors.Join(renamed, err); renamed == nil && err == nil {
		err = durable.SyncDir(j.dir())
	}
	if renamed != nil && f != nil {
		j.f = f // the old one, and everything else as it was
		return err
	}
	if renamed == nil {
		j.end, j.safe, j.places, j.live = end, end, fresh.places, fresh.live
		j.setTidyAt()
	}
	if j.f = f; f == nil {
		j.f = closedFile{}
	}
	if err != nil {
		// Which of the two is there after a power cut nobody knows.
		j.broken = fmt.Errorf("replace %s: %w", j.path, err)
		return err
	}
	j.broken, j.flushed = nil, j.last
	return nil
}

// replace writes the file anew with what is up to date of it. Each frame is
// checked again on the way, so that damage is not copied. flushing and mu are
// held.
func (j *Journal) replace() error {
	if _, closed := j.f.(closedFile); closed {
		f, err := j.open(j.path)
		if err != nil {
			return err
		}
		j.f = f
	}
	return j.replaceWith(func(w *writer) error {
		return j.eachFrame(func(f frame, at int64) error {
			at += headerSize
			for _, r := range f.records {
				if p, ok := j.places[r.Key]; ok && p.at == at {
					if err := w.put(r); err != nil {
						return err
					}
				}
				at += r.size()
			}
			return nil
		})
	})
}

// eachFrame calls visit for each frame of the file. mu is held.
func (j *Journal) eachFrame(visit func(f frame, at int64) error) error {
	header := make([]byte, headerSize)
	for at := int64(headSize); at < j.end; {
		if _, err := j.f.ReadAt(header, at); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		length, ok := payloadOf(header, at)
		if !ok || at+headerSize+length > j.end {
			return j.damageAt(at)
		}
		b := make([]byte, headerSize+length) // what is put points into it
		if _, err := j.f.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		f, ok := readFrame(b, at)
		if !ok {
			return j.damageAt(at)
		}
		if err := visit(f, at); err != nil {
			return err
		}
		at += f.size
	}
	return nil
}

func (j *Journal) damageAt(at int64) error {
	return &durable.Damage{Path: j.path, What: fmt.Sprintf("at offset %d: not what was written; it is put aside when the agent is started again", at)}
}

// closedFile is in the place of a file that could not be opened again.
type closedFile struct{}

func (closedFile) ReadAt([]byte, int64) (int, error)  { return 0, os.ErrClosed }
func (closedFile) WriteAt([]byte, int64) (int, error) { return 0, os.ErrClosed }
func (closedFile) Sync() error                        { return os.ErrClosed }
func (closedFile) Truncate(int64) error               { return os.ErrClosed }
func (closedFile) Close() error                       { return nil }
