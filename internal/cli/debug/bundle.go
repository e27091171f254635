package debug

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
)

// errFull ends a capture at its size.
var errFull = errors.New("the bundle has reached its size")

// bundle is the directory a capture is written to. Its writers may be used by
// several goroutines, each for a file of its own.
type bundle struct {
	dir   string
	scrub *scrubber
	bar   *cli.Bar // told what is written, then what is packed

	mu    sync.Mutex
	left  int64 // bytes that may still be written
	files []file
	index index
}

// file is one file of a bundle as the index lists it.
type file struct {
	Name  string
	Bytes int64
}

// problem is something that could not be captured.
type problem struct {
	What   string
	Error  string
	Advice string `json:",omitempty"`
}

// index is index.json: what was captured, when and how, and what is missing.
type index struct {
	AgentVersion string
	ToolVersion  string
	Node         string
	Datacenter   string
	Interval     string
	Duration     string
	Targets      []string
	Started      time.Time
	Ended        time.Time
	Intervals    int
	Interrupted  bool
	Full         bool // ended by -max-size
	Scrubbed     int  // entries in scrubbed.json
	Files        []file
	Problems     []problem
}

// fail records that what could not be captured.
func (b *bundle) fail(what string, err error, advice string) {
	text := b.scrub.text("index.json", what, err.Error())
	b.mu.Lock()
	defer b.mu.Unlock()
	b.index.Problems = append(b.index.Problems, problem{what, text, advice})
}

// writer is one file of a bundle.
type writer struct {
	b    *bundle
	name string
	f    *os.File
	n    int64
}

// create makes a file; name has slashes.
func (b *bundle) create(name string) (*writer, error) {
	target := filepath.Join(b.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &writer{b: b, name: name, f: f}, nil
}

// Write writes p whole, or nothing of it and errFull.
func (w *writer) Write(p []byte) (int, error) {
	w.b.mu.Lock()
	if int64(len(p)) > w.b.left {
		w.b.index.Full = true
		w.b.mu.Unlock()
		return 0, errFull
	}
	w.b.left -= int64(len(p))
	w.b.mu.Unlock()
	n, err := w.f.Write(p)
	w.n += int64(n)
	w.b.bar.Add(0, int64(n))
	return n, err
}

// Close lists the file.
func (w *writer) Close() error {
	w.b.mu.Lock()
	w.b.files = append(w.b.files, file{w.name, w.n})
	w.b.mu.Unlock()
	return w.f.Close()
}

// write makes a whole file.
func (b *bundle) write(name string, data []byte) error {
	w, err := b.create(name)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return errors.Join(err, w.Close())
}

// finish writes the lists. They are small and count for no limit: without them
// the rest cannot be judged.
func (b *bundle) finish() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := b.scrub.found
	if found == nil {
		found = []removal{}
	}
	b.index.Scrubbed = len(found)
	b.index.Files = append(b.files, file{Name: "index.json"}, file{Name: "scrubbed.json"})
	for name, v := range map[string]any{"scrubbed.json": found, "index.json": b.index} {
		data, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(b.dir, name), append(data, '\n'), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// archive packs the directory into target, which must not exist, and removes
// it. The archive appears whole or not at all.
func (b *bundle) archive(target string) (err error) {
	part := target + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // the first error is the one to tell
			_ = os.Remove(part)
		}
	}()
	buffered := bufio.NewWriter(f)
	zipped := gzip.NewWriter(buffered)
	packed := tar.NewWriter(zipped)
	root := path.Base(filepath.ToSlash(b.dir))
	for _, entry := range b.index.Files {
		if err := pack(packed, filepath.Join(b.dir, filepath.FromSlash(entry.Name)), path.Join(root, entry.Name), b.index.Ended); err != nil {
			return fmt.Errorf("%s: %w", entry.Name, err)
		}
		b.bar.Add(0, entry.Bytes)
	}
	if err := errors.Join(packed.Close(), zipped.Close(), buffered.Flush()); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, does not replace what has come there meanwhile.
	if err := os.Link(part, target); err != nil {
		if errors.Is(err, os.ErrExist) {
			return err
		}
		if err := os.Rename(part, target); err != nil { // no links here
			return err
		}
	} else if err := os.Remove(part); err != nil {
		return err
	}
	return os.RemoveAll(b.dir)
}

func pack(to *tar.Writer, source, name string, at time.Time) error {
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := to.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: at}); err != nil {
		return err
	}
	_, err = io.Copy(to, f)
	return err
}

// log writes the lines of r without secrets until r ends.
func (b *bundle) log(name string, r io.Reader) (err error) {
	w, err := b.create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	scrub := &lines{s: b.scrub, file: name}
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		if _, err := io.WriteString(w, scrub.scrub(scan.Text())+"\n"); err != nil {
			return err
		}
	}
	return scan.Err()
}

// line is a JSON document on one line.
func line(document []byte) []byte {
	var out bytes.Buffer
	if json.Compact(&out, document) != nil {
		return document // a text; it stands as it is
	}
	return append(out.Bytes(), '\n')
}

// room returns how many bytes may still be written.
func (b *bundle) room() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left
}

// full marks the bundle full.
func (b *bundle) full() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.index.Full = true
	return errFull
}
