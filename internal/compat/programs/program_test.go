package programs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tool returns the path of a program that a package of Debian has. The test is
// skipped without it, unless tests may not be skipped.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if err == nil {
			break
		}
		path, err = exec.LookPath(filepath.Join(dir, name))
	}
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed: scripts/test-deps.sh installs it", name)
	} else if err != nil {
		t.Skipf("%s is not installed: scripts/test-deps.sh installs it", name)
	}
	return path
}

// program is a foreign program that runs in the background. It ends with the
// test.
type program struct {
	cmd    *exec.Cmd
	log    string
	exited chan struct{}
}

// launch starts a program that stays in the foreground, with its output in a
// file of dir.
func launch(t *testing.T, dir, path string, args ...string) *program {
	t.Helper()
	p := &program{log: filepath.Join(dir, filepath.Base(path)+".log"), exited: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer log.Close() // the child has its own descriptor
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = log, log
	must(t, p.cmd.Start())
	go func() { // ends with the process, which stop waits for
		_ = p.cmd.Wait() // how it ended is not asked
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.stop(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(path), p.tail())
		}
	})
	return p
}

// stop sends a signal and waits for the end.
func (p *program) stop(signal os.Signal) {
	_ = p.cmd.Process.Signal(signal) // fails only if it has ended
	<-p.exited
}

// alive fails when the program has ended by itself.
func (p *program) alive() error {
	select {
	case <-p.exited:
		return fmt.Errorf("it ended by itself: %v", p.cmd.ProcessState)
	default:
		return nil
	}
}

func (p *program) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// output runs a program to its end and returns what it printed.
func output(path string, args ...string) (string, error) {
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(path), strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// shown returns the n-th code block of a language on a page of docs/how-to, with
// the page's addresses, ports and times replaced. Every replacement must have
// something to replace: a page that changes must not leave its test behind.
func shown(t *testing.T, page, language string, n int, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../docs/how-to", page))
	must(t, err)
	var blocks []string
	for i, part := range strings.Split("\n"+string(text), "\n```") { // outside and inside of fences by turns
		if named, block, ok := strings.Cut(part, "\n"); ok && i%2 == 1 && named == language {
			blocks = append(blocks, block+"\n")
		}
	}
	if n >= len(blocks) {
		t.Fatalf("docs/how-to/%s has %d blocks of %q, want number %d", page, len(blocks), language, n)
	}
	block := blocks[n]
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(block, replace[i]) {
			t.Fatalf("docs/how-to/%s no longer shows %q in\n%s", page, replace[i], block)
		}
		block = strings.ReplaceAll(block, replace[i], replace[i+1])
	}
	return block
}

// write makes a file of a test.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
