package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ctl-sh/ctl/internal/consensus/durable"
)

// Found is what Open found in a file.
type Found struct {
	// Values is what the file keeps, by key. It is the caller's.
	Values map[string][]byte
	// New says that there was no file.
	New bool
	// Cut is the length in bytes of what stood at the end of the file and was not
	// whole, and CutAt where: a write that the end of the process or a power cut
	// broke off, and whose Flush cannot have succeeded. It was cut off.
	Cut, CutAt int64
	// Damage says what of the file is not as it was written, one for each place,
	// with the offset in its text. What stood there is lost, and everything else
	// is in Values. The damaged file is at Aside.
	Damage []error
	Aside  string
}

// Open opens the file at path, or makes one, readable by the owner alone. What a
// crash left half written is cut off; what is damaged is put aside, and a new file
// made of the rest; Found says so. It fails where the file cannot be read or
// written, or is one of a later version.
func Open(path string) (*Journal, *Found, error) {
	j := &Journal{path: path, open: openFile, places: map[string]place{}}
	// Left from a process that died while it replaced the file.
	if err := os.Remove(j.temporary()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("open %s: %w", path, err)
	}
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = j.create()
		return j, &Found{New: true, Values: map[string][]byte{}}, err
	case err != nil:
		return nil, nil, fmt.Errorf("open %s: %w", path, err)
	}
	if len(b) > len(magic) && string(b[:len(magic)]) == magic && b[len(magic)] > version {
		return nil, nil, fmt.Errorf("open %s: it was written by a newer ctl (format %d, this one knows %d): run that, or move the file away and register anew", path, b[len(magic)], version)
	}
	found := j.read(b)
	if len(found.Damage) > 0 {
		err = j.salvage(found)
	} else {
		err = j.resume(found)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", path, err)
	}
	return j, found, nil
}

// resume goes on writing to the file that was read.
func (j *Journal) resume(found *Found) error {
	f, err := j.open(j.path)
	if err != nil {
		return err
	}
	if found.Cut > 0 {
		err = f.Truncate(j.end)
	}
	// What the process before wrote last may not be on disk yet.
	if err = errors.Join(err, f.Sync()); err != nil {
		return errors.Join(err, f.Close())
	}
	j.f, j.safe = f, j.end
	j.setTidyAt()
	return nil
}

// create makes a file without frames.
func (j *Journal) create() error { return j.replaceWith(func(*writer) error { return nil }) }

// salvage puts the damaged file aside and makes one of what was found.
func (j *Journal) salvage(found *Found) error {
	found.Aside = fmt.Sprintf("%s.damaged-%s", j.path, time.Now().UTC().Format("20060102T150405.000"))
	if err := os.Rename(j.path, found.Aside); err != nil {
		return err
	}
	return j.replaceWith(func(w *writer) error {
		for key, value := range found.Values {
			if err := w.put(Record{Key: key, Value: value}); err != nil {
				return err
			}
		}
		return nil
	})
}

// read takes in the content of a file.
func (j *Journal) read(b []byte) *Found {
	found := &Found{Values: map[string][]byte{}}
	certain, ok := headOf(b)
	if !ok {
		found.Damage = append(found.Damage, &durable.Damage{Path: j.path, What: "at offset 0: not the beginning of a journal"})
	}
	at := int64(min(headSize, len(b)))
	for at < int64(len(b)) {
		if f, ok := readFrame(b[at:], at); ok {
			j.take(f, at, found.Values)
			at += f.size
			continue
		}
		next, flushed := nextFrame(b, at)
		if max(flushed, certain) <= at {
			// Nobody knew this to be on disk, nor anything behind it.
			found.Cut, found.CutAt = int64(len(b))-at, at
			break
		}
		found.Damage = append(found.Damage, &durable.Damage{
			Path: j.path, What: fmt.Sprintf("at offset %d: %d bytes are not what was written", at, next-at),
		})
		at = next
	}
	j.end = at
	return found
}

// take applies a frame at an offset.
func (j *Journal) take(f frame, at int64, values map[string][]byte) {
	for _, r := range f.records {
		if r.Value == nil {
			delete(values, r.Key)
		} else {
			values[r.Key] = r.Value
		}
	}
	j.enter(f.records, at+headerSize)
}

// nextFrame returns the offset of the next right frame behind from, or the end,
// and up to where the file had been flushed by what frames from there on say.
func nextFrame(b []byte, from int64) (next, flushed int64) {
	next = int64(len(b))
	for at := from + 1; at < int64(len(b)); {
		i := bytes.Index(b[at:], marker)
		if i < 0 {
			break
		}
		at += int64(i)
		f, ok := readFrame(b[at:], at)
		if !ok {
			at++
			continue
		}
		next, flushed = min(next, at), max(flushed, f.flushed)
		at += f.size
	}
	return next, flushed
}

func (j *Journal) temporary() string { return j.path + ".tmp" }

// setTidyAt sets when the file is looked at again: when it is twice what is
// needed. mu is held.
func (j *Journal) setTidyAt() { j.tidyAt = max(2*j.live, j.live+slack) }

// tidy replaces the file, or lets it grow where that fails. flushing and mu are
// held.
func (j *Journal) tidy() {
	if j.end < max(2*j.live, j.live+slack) {
		j.setTidyAt() // more is up to date than was when the limit was set
		return
	}
	if err := j.replace(); err != nil && j.broken == nil {
		j.tidyAt = j.end + max(j.end/2, slack)
	}
}

func (j *Journal) dir() string { return filepath.Dir(j.path) }
