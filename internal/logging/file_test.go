package logging

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFilePath(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, in, want string
	}{
		{"no file", "", ""},
		{"ends in a separator", dir + "/new/", filepath.Join(dir, "new", "ctl.log")},
		{"existing directory without a separator", dir, filepath.Join(dir, "ctl.log")},
		{"file name", filepath.Join(dir, "agent.log"), filepath.Join(dir, "agent.log")},
		{"missing path without a separator is a file", filepath.Join(dir, "log"), filepath.Join(dir, "log")},
		{"relative name", "agent.log", "agent.log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := FilePath(c.in); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// write makes lines of exactly ten bytes: "line 0001\n".
func tenBytes(i int) queued { return queued{line: fmt.Appendf(nil, "line %04d\n", i)} }

// testFile is a file sink whose words go to said.
func testFile(t *testing.T, c Config) (*rotatingFile, *[]string) {
	t.Helper()
	f, err := openFile(c)
	if err != nil {
		t.Fatal(err)
	}
	said := &[]string{}
	f.say = func(l slog.Level, msg string, attrs ...slog.Attr) { *said = append(*said, LevelName(l)+" "+msg) }
	f.format = func(l slog.Level, msg string, attrs ...slog.Attr) []byte {
		return fmt.Appendf(nil, "%s %s %v\n", LevelName(l), msg, attrs)
	}
	t.Cleanup(func() { _ = f.close() })
	return f, said
}

// listing describes the directory: names with digits of archives as N, and sizes.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range list {
		st, err := d.Info()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %d", regexp.MustCompile(`\d{15,}`).ReplaceAllString(d.Name(), "N"), st.Size()))
	}
	return out
}

func TestRotateByBytes(t *testing.T) {
	for _, c := range []struct {
		name  string
		file  string
		conf  Config
		lines int
		batch int // lines a write
		want  []string
	}{
		{"never without a limit", "ctl.log", Config{}, 100, 1, []string{"ctl.log 1000"}},
		{"before the write after the limit was reached", "ctl.log", Config{RotateBytes: 30}, 7, 1, []string{"ctl-N.log 30", "ctl-N.log 30", "ctl.log 10"}},
		{"a line is never split and may pass the limit", "ctl.log", Config{RotateBytes: 25}, 7, 1, []string{"ctl-N.log 30", "ctl-N.log 30", "ctl.log 10"}},
		{"the same in batches", "ctl.log", Config{RotateBytes: 25}, 7, 7, []string{"ctl-N.log 30", "ctl-N.log 30", "ctl.log 10"}},
		{"limit just reached is not yet rotated", "ctl.log", Config{RotateBytes: 30}, 3, 2, []string{"ctl.log 30"}},
		{"keep two", "ctl.log", Config{RotateBytes: 10, RotateMaxFiles: 2}, 6, 1, []string{"ctl-N.log 10", "ctl-N.log 10", "ctl.log 10"}},
		{"keep none", "ctl.log", Config{RotateBytes: 10, RotateMaxFiles: -1}, 6, 1, []string{"ctl.log 10"}},
		{"name without extension", "agent", Config{RotateBytes: 10}, 2, 1, []string{"agent 10", "agent-N.log 10"}},
		{"another extension", "agent.txt", Config{RotateBytes: 10}, 2, 1, []string{"agent-N.txt 10", "agent.txt 10"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.conf.File = filepath.Join(dir, c.file)
			f, said := testFile(t, c.conf)
			for i := 0; i < c.lines; {
				var b []queued
				for ; len(b) < c.batch && i < c.lines; i++ {
					b = append(b, tenBytes(i))
				}
				f.write(b, 0, nil)
			}
			if d := cmp.Diff(c.want, listing(t, dir)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if len(*said) > 0 {
				t.Errorf("said %q", *said)
			}
		})
	}
}

func TestRotateByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f, _ := testFile(t, Config{File: dir, RotateDuration: 24 * time.Hour})
		f.write([]queued{tenBytes(1)}, 0, nil)
		time.Sleep(24*time.Hour - 1)
		f.write([]queued{tenBytes(2)}, 0, nil)
		if got := listing(t, dir); len(got) != 1 {
			t.Errorf("a nanosecond early: %q", got)
		}
		time.Sleep(time.Nanosecond)
		f.write([]queued{tenBytes(3)}, 0, nil)
		f.write([]queued{tenBytes(4)}, 0, nil)
		if d := cmp.Diff([]string{"ctl-N.log 20", "ctl.log 20"}, listing(t, dir)); d != "" {
			t.Errorf("after a day (-want +got):\n%s", d)
		}
		want := filepath.Join(dir, fmt.Sprintf("ctl-%d.log", time.Now().UnixNano()))
		if _, err := os.Stat(want); err != nil {
			t.Errorf("the archive is not named by unix nanoseconds: %v", err)
		}
	})
}

func TestRestartAppendsCountsAndPrunes(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"ctl-100.log", "ctl-200.log", "ctl-300.log", "ctl-foreign.log", "ctl-0400.log", "other-500.log"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ctl.log"), []byte("line 0000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, _ := testFile(t, Config{File: dir, RotateBytes: 20, RotateMaxFiles: 1})
	want := []string{"ctl-0400.log 0", "ctl-300.log 0", "ctl-foreign.log 0", "ctl.log 10", "other-500.log 0"}
	if d := cmp.Diff(want, listing(t, dir)); d != "" {
		t.Errorf("at start (-want +got):\n%s", d)
	}
	f.write([]queued{tenBytes(1), tenBytes(2)}, 0, nil)
	want = []string{"ctl-0400.log 0", "ctl-N.log 20", "ctl-foreign.log 0", "ctl.log 10", "other-500.log 0"}
	if d := cmp.Diff(want, listing(t, dir)); d != "" {
		t.Errorf("after a rotation (-want +got):\n%s", d)
	}
}

func TestFileIsCreatedPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	l := open(t, Config{File: dir + "/"})
	l.Logger().Info("hello")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o750, filepath.Join(dir, "ctl.log"): 0o640} {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := st.Mode().Perm(); got&^want != 0 {
			t.Errorf("%s has mode %o, want at most %o", path, got, want)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "ctl.log"))
	if err != nil || !strings.HasSuffix(string(b), "[INFO]  agent: hello\n") {
		t.Errorf("file holds %q, %v", b, err)
	}
}

// faulty is a live file that fails at will, after part of the write.
type faulty struct {
	bytes.Buffer
	err     error
	partial int
}

func (f *faulty) Write(p []byte) (int, error) {
	if f.err != nil {
		n, _ := f.Buffer.Write(p[:f.partial])
		return n, f.err
	}
	return f.Buffer.Write(p)
}

func (*faulty) Close() error { return nil }

func TestFullDiskIsSaidOnceAndCounted(t *testing.T) {
	f, said := testFile(t, Config{File: t.TempDir()})
	_ = f.live.Close()
	disk := &faulty{}
	f.live = disk
	f.write([]queued{tenBytes(1)}, 0, nil)
	disk.err, disk.partial = errors.New("no space left on device"), 4
	f.write([]queued{tenBytes(2), tenBytes(3)}, 0, nil)
	disk.partial = 0
	f.write([]queued{tenBytes(4)}, 0, nil)
	disk.err = nil
	f.write([]queued{tenBytes(5)}, 0, nil)
	f.write([]queued{tenBytes(6)}, 0, nil)
	want := "line 0001\nline\nWARN log lines lost because this file could not be written [lines=3]\nline 0005\nline 0006\n"
	if d := cmp.Diff(want, disk.String()); d != "" {
		t.Errorf("file (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{
		"ERROR log file cannot be written, lines are lost until it can: free space or change log_file",
		"INFO log file can be written again",
	}, *said); d != "" {
		t.Errorf("said (-want +got):\n%s", d)
	}
}

func TestFullDiskDoesNotStopTheAgent(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	var out screen
	l, err := Open(Config{File: "/dev/full", RotateBytes: 1, Console: &out})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		l.Logger().Info("hello")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if got := strings.Count(out.String(), "log file cannot be written"); got != 1 {
		t.Errorf("said %d times, want once", got)
	}
	if got := strings.Count(out.String(), "hello"); got != 1000 {
		t.Errorf("console has %d lines, want 1000", got)
	}
}

func TestHangingDiskNeverHoldsUpLogging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out screen
		l := &Logs{console: &out}
		l.subs.Store(&[]*Subscription{})
		disk := &hanging{release: make(chan struct{}), got: make(chan int, 10)}
		l.file = newOutput(disk, 10_000)
		l.file.start()
		log := l.Logger()
		log.Info("first")
		synctest.Wait()
		for range 1000 {
			log.Info("hello") // would deadlock the bubble if it waited
		}
		began := time.Now()
		if err := l.Close(); err == nil || !strings.Contains(err.Error(), "log file: still writing") {
			t.Errorf("Close = %v, want it to give up on the file", err)
		}
		if took := time.Since(began); took != closeTimeout {
			t.Errorf("Close took %v, want %v", took, closeTimeout)
		}
		close(disk.release)
		synctest.Wait()
		if first, dropped := <-disk.got, <-disk.got; first != 0 || dropped < 500 {
			t.Errorf("dropped %d then %d, want none, then most", first, dropped)
		}
	})
}

// hanging is a sink whose first write hangs until released.
type hanging struct {
	release chan struct{}
	got     chan int
}

func (h *hanging) write(_ []queued, dropped int, _ <-chan struct{}) {
	<-h.release
	h.got <- dropped
}

func (*hanging) close() error { return nil }

func TestArchiveThatCannotBeMadeIsTriedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f, said := testFile(t, Config{File: dir, RotateBytes: 10, RotateMaxFiles: 1})
		// A name too long for an archive makes the rename fail.
		real := f.path
		f.path = filepath.Join(dir, strings.Repeat("x", 250)+".log")
		_ = f.close()
		if err := f.open(); err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			f.write([]queued{tenBytes(i)}, 0, nil)
		}
		if got := listing(t, dir); len(got) != 2 || !strings.HasSuffix(got[1], "x.log 40") {
			t.Errorf("got %q, want all lines in the live file", got)
		}
		if len(*said) != 1 || !strings.Contains((*said)[0], "cannot be archived") {
			t.Errorf("said %q, want one warning", *said)
		}
		time.Sleep(rotateRetry)
		f.write([]queued{tenBytes(9)}, 0, nil)
		if len(*said) != 2 {
			t.Errorf("said %q, want a second warning after a minute", *said)
		}
		f.path = real
	})
}

func TestDroppedLinesAreNotedInTheFile(t *testing.T) {
	dir := t.TempDir()
	f, said := testFile(t, Config{File: dir})
	f.write([]queued{tenBytes(8)}, 7, nil)
	b, err := os.ReadFile(filepath.Join(dir, "ctl.log"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "WARN log lines dropped because this file was too slow [lines=7]\nline 0008\n"; string(b) != want {
		t.Errorf("file holds %q, want %q", b, want)
	}
	if len(*said) != 1 {
		t.Errorf("said %q, want one warning", *said)
	}
}
