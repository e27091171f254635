package logging

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultFileName is the live file in a log_file that names a directory.
// (Consul's is consul.log.)
const DefaultFileName = "ctl.log"

const (
	filePerm = 0o640
	dirPerm  = 0o750
	// rotateRetry spaces out attempts to archive a file that cannot be
	// renamed; lines go on into the live file meanwhile.
	rotateRetry = time.Minute
)

// FilePath returns the live file that a log_file setting means: DefaultFileName
// inside it if it ends in a separator or is an existing directory, else the
// path itself. (Consul refuses an existing directory without the separator.)
func FilePath(setting string) string {
	if setting == "" {
		return ""
	}
	if os.IsPathSeparator(setting[len(setting)-1]) {
		return filepath.Join(setting, DefaultFileName)
	}
	if st, err := os.Stat(setting); err == nil && st.IsDir() {
		return filepath.Join(setting, DefaultFileName)
	}
	return filepath.Clean(setting)
}

// rotatingFile is the sink that writes the log file and archives it. The live
// file always has the configured name; archives are <base>-<unix nanoseconds>
// <ext>, with .log where the name has no extension.
type rotatingFile struct {
	path     string
	maxBytes int64
	maxAge   time.Duration
	keep     int

	say    sayer // on the other outputs
	format func(slog.Level, string, ...slog.Attr) []byte

	live    io.WriteCloser // nil while it cannot be opened
	regular bool           // devices and pipes are never archived
	size    int64
	opened  time.Time
	notYet  time.Time // no rotation is tried before
	torn    bool      // the last write ended inside a line
	lost    int       // lines that could not be written since the last success
}

func openFile(c Config) (*rotatingFile, error) {
	f := &rotatingFile{
		path:     FilePath(c.File),
		maxBytes: int64(c.RotateBytes),
		maxAge:   c.RotateDuration,
		keep:     c.RotateMaxFiles,
	}
	if err := os.MkdirAll(filepath.Dir(f.path), dirPerm); err != nil {
		return nil, err
	}
	if err := f.open(); err != nil {
		return nil, err
	}
	if err := f.prune(); err != nil {
		_ = f.live.Close()
		return nil, err
	}
	return f, nil
}

// open opens the live file for appending and counts what it holds.
func (f *rotatingFile) open() error {
	live, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, filePerm)
	if err != nil {
		return err
	}
	st, err := live.Stat()
	if err != nil {
		_ = live.Close()
		return err
	}
	f.live, f.size, f.opened, f.regular = live, st.Size(), time.Now(), st.Mode().IsRegular()
	return nil
}

// write implements sink. Lines that fit one file go in one write.
func (f *rotatingFile) write(lines []queued, dropped int, _ <-chan struct{}) {
	if dropped > 0 {
		f.say(slog.LevelWarn, "log file is too slow, lines were dropped", slog.String(KeyFile, f.path), slog.Int("lines", dropped))
		note := f.format(slog.LevelWarn, "log lines dropped because this file was too slow", slog.Int("lines", dropped))
		lines = slices.Insert(lines, 0, queued{line: note, level: slog.LevelWarn})
	}
	var chunk []byte
	count := 0
	for _, q := range lines {
		if f.due(int64(len(chunk))) {
			f.put(chunk, count)
			chunk, count = chunk[:0], 0
			f.rotate()
		}
		chunk = append(chunk, q.line...)
		count++
	}
	f.put(chunk, count)
}

// due reports whether the file is to be archived before the next line, when
// pending bytes are about to be written before it.
func (f *rotatingFile) due(pending int64) bool {
	if !f.regular || f.live == nil {
		return false
	}
	now := time.Now()
	full := f.maxBytes > 0 && f.size+pending >= f.maxBytes
	old := f.maxAge > 0 && now.Sub(f.opened) >= f.maxAge
	return (full || old) && !now.Before(f.notYet)
}

// put writes chunk, which holds count lines. An error is said once, on the
// other outputs, until a write succeeds again.
func (f *rotatingFile) put(chunk []byte, count int) {
	if count == 0 {
		return
	}
	if f.live == nil {
		if err := f.open(); err != nil {
			f.fail(err, count)
			return
		}
	}
	var head []byte
	if f.torn {
		head = []byte{'\n'}
	}
	if f.lost > 0 {
		head = append(head, f.format(slog.LevelWarn, "log lines lost because this file could not be written", slog.Int("lines", f.lost))...)
	}
	n, err := f.live.Write(append(head, chunk...))
	f.size += int64(n)
	if err != nil {
		if n > 0 {
			f.torn = true
		}
		f.fail(err, count)
		return
	}
	if f.lost > 0 {
		f.say(slog.LevelInfo, "log file can be written again", slog.String(KeyFile, f.path), slog.Int("lines_lost", f.lost))
	}
	f.torn, f.lost = false, 0
}

func (f *rotatingFile) fail(err error, count int) {
	if f.lost == 0 {
		f.say(slog.LevelError, "log file cannot be written, lines are lost until it can: free space or change log_file",
			slog.String(KeyFile, f.path), slog.Any(KeyError, err))
	}
	f.lost += count
}

// rotate archives the live file, prunes, and opens a new one. If the file cannot
// be renamed it stays live.
func (f *rotatingFile) rotate() {
	now := time.Now()
	_ = f.live.Close() // its writes succeeded; Windows cannot rename an open file
	f.live = nil
	err := os.Rename(f.path, f.archiveName(now))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // somebody took it away: a new one is all that is needed
	}
	if err == nil {
		err = f.prune()
	}
	if err != nil {
		f.notYet = now.Add(rotateRetry)
		f.say(slog.LevelWarn, "log file cannot be archived, it grows on and is tried again in a minute",
			slog.String(KeyFile, f.path), slog.Any(KeyError, err))
	}
	_ = f.open() // put tries again, and says what it gets
}

// stem returns what archives begin and end with.
func (f *rotatingFile) stem() (prefix, ext string) {
	base := filepath.Base(f.path)
	ext = filepath.Ext(base)
	prefix = strings.TrimSuffix(base, ext) + "-"
	if ext == "" {
		ext = ".log"
	}
	return prefix, ext
}

// archiveName returns a name that is not taken: archives are never overwritten,
// even if the clock stood still.
func (f *rotatingFile) archiveName(now time.Time) string {
	prefix, ext := f.stem()
	for ns := now.UnixNano(); ; ns++ {
		name := filepath.Join(filepath.Dir(f.path), prefix+strconv.FormatInt(ns, 10)+ext)
		if _, err := os.Lstat(name); err != nil { // free, or Rename will say
			return name
		}
	}
}

// prune deletes the archives beyond those to keep, oldest first.
func (f *rotatingFile) prune() error {
	if f.keep == 0 {
		return nil
	}
	stamps, err := f.archives()
	if err != nil {
		return fmt.Errorf("prune archives: %w", err)
	}
	prefix, ext := f.stem()
	var errs []error
	for _, ns := range stamps[:max(0, len(stamps)-max(0, f.keep))] {
		name := filepath.Join(filepath.Dir(f.path), prefix+strconv.FormatInt(ns, 10)+ext)
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// archives returns the time stamps of this file's archives, oldest first.
// Files that only look alike are not ours.
func (f *rotatingFile) archives() ([]int64, error) {
	list, err := os.ReadDir(filepath.Dir(f.path))
	if err != nil {
		return nil, err
	}
	prefix, ext := f.stem()
	var stamps []int64
	for _, d := range list {
		s, begins := strings.CutPrefix(d.Name(), prefix)
		s, ends := strings.CutSuffix(s, ext)
		if !begins || !ends || !d.Type().IsRegular() {
			continue
		}
		if ns, err := strconv.ParseInt(s, 10, 64); err == nil && strconv.FormatInt(ns, 10) == s {
			stamps = append(stamps, ns)
		}
	}
	slices.Sort(stamps)
	return stamps, nil
}

// close implements sink.
func (f *rotatingFile) close() error {
	if f.live == nil {
		return nil
	}
	return f.live.Close()
}
