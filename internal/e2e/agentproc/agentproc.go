// Package agentproc runs real ctl agents as child processes, for tests and
// measurements that need the whole program: sockets, files and signals.
//
// It knows the program only from outside: its command line, its configuration
// file, its signals and its HTTP API. Rules that keep it right: an agent's
// output always goes to a file in its directory; every process started here is
// ended by Close of whoever started it; nothing is shared with the caller's
// environment but PATH and what Spec names.
package agentproc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Spec describes one agent.
type Spec struct {
	Binary string // path of the ctl program
	Dir    string // holds config/, data/ and agent.log; created by Start
	Name   string // node name
	Bind   string // address of Raft, RPC and gossip
	Client string // address of the HTTP API; "" is Bind
	Server bool
	Expect int      // bootstrap_expect; 0 leaves it out
	Join   []string // retry_join
	// Dev starts `ctl agent -dev` with no data directory; Server, Expect and
	// Join are then ignored.
	Dev bool
	// Extra are further keys of the configuration file; they win.
	Extra map[string]any
	Env   []string // further environment variables, NAME=value
	// Spawn starts the command; nil is (*exec.Cmd).Start. A network fabric
	// uses it to start the agent in another namespace.
	Spawn func(*exec.Cmd) error
}

// Config returns the agent's configuration file.
func (s Spec) Config() ([]byte, error) {
	conf := map[string]any{
		"node_name":   s.Name,
		"bind_addr":   s.Bind,
		"client_addr": s.client(),
		"log_level":   "INFO",
	}
	if !s.Dev {
		conf["data_dir"] = filepath.Join(s.Dir, "data")
		conf["server"] = s.Server
		if s.Expect > 0 {
			conf["bootstrap_expect"] = s.Expect
		}
		if len(s.Join) > 0 {
			conf["retry_join"] = s.Join
		}
	}
	maps.Copy(conf, s.Extra)
	return json.MarshalIndent(conf, "", "  ")
}

func (s Spec) client() string {
	if s.Client == "" {
		return s.Bind
	}
	return s.Client
}

// HTTPAddr returns host:port of the agent's HTTP API.
func (s Spec) HTTPAddr() string { return net.JoinHostPort(s.client(), "8500") }

// Process is one run of an agent.
type Process struct {
	Spec    Spec
	Started time.Time // just before the program was executed
	cmd     *exec.Cmd
	exited  chan struct{}

	mu  sync.Mutex
	err error // how it ended; set before exited is closed
}

// Start writes the configuration and executes the agent. It does not wait for
// it to serve. The caller ends it with Kill or Stop. The log is appended to, so
// that several runs of one directory stand in one file.
func Start(s Spec) (*Process, error) {
	conf, err := s.Config()
	if err != nil {
		return nil, fmt.Errorf("encode configuration of %s: %w", s.Name, err)
	}
	confDir := filepath.Join(s.Dir, "config")
	if err := os.MkdirAll(confDir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(confDir, "agent.json"), conf, 0o600); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(s.Dir, "agent.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own descriptor

	args := []string{"agent", "-config-dir", confDir}
	if s.Dev {
		args = []string{"agent", "-dev", "-config-dir", confDir}
	}
	cmd := exec.Command(s.Binary, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.Dir, "TMPDIR=" + os.TempDir()}, s.Env...)
	p := &Process{Spec: s, Started: time.Now(), cmd: cmd, exited: make(chan struct{})}
	if s.Spawn != nil {
		err = s.Spawn(cmd)
	} else {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Name, err)
	}
	go func() { // ends with the process, which Kill and Stop wait for
		err := cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(p.exited)
	}()
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended; Err then says how.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Err returns how the process ended, nil for exit code 0 or while it runs.
func (p *Process) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Kill ends the process at once (SIGKILL) and waits for its end. Ending an
// ended process is not an error.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // fails only if it has ended
	<-p.exited
}

// Stop asks the process to end (SIGTERM) and waits; after grace it is killed,
// which is reported as an error.
func (p *Process) Stop(grace time.Duration) error {
	if err := p.terminate(); err != nil {
		p.Kill()
		return err
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.exited:
		return nil
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("%s did not end within %v of SIGTERM", p.Spec.Name, grace)
	}
}

// LogPath returns the file that has the agent's output.
func (p *Process) LogPath() string { return filepath.Join(p.Spec.Dir, "agent.log") }

// LogTail returns about the last n bytes of the agent's output, for messages.
func (p *Process) LogTail(n int64) string {
	f, err := os.Open(p.LogPath())
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-n), io.SeekStart) // from the start is fine too
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// errNoClock is why StartWithClock does not work on other machines.
var errNoClock = errors.New("a program's clock can be shifted only on Linux on amd64")

// ErrEnded is in the chain of AwaitHTTP's error when the agent ended instead of
// serving.
var ErrEnded = errors.New("agent ended")

// Await calls try every interval until it reports true, the agent ends or ctx
// is done. It returns nil only after true.
func (p *Process) Await(ctx context.Context, interval time.Duration, try func(context.Context) bool) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if try(ctx) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w\n%s", p.Spec.Name, ctx.Err(), p.LogTail(2000))
		case <-p.exited:
			return fmt.Errorf("%w: %s: %w\n%s", ErrEnded, p.Spec.Name, p.Err(), p.LogTail(2000))
		case <-tick.C:
		}
	}
}

// Put writes one key through the agent with client and reports whether it was
// acknowledged.
func (p *Process) Put(ctx context.Context, client *http.Client, key, value string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	url := "http://" + p.Spec.HTTPAddr() + "/v1/kv/" + key
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader(value))
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK && strings.TrimSpace(string(body)) == "true"
}
