//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
	"github.com/ctl-sh/ctl/internal/tui/ptyterm"
)

const patience = 20 * time.Second

// leads reports whether the agent has a leader.
func (b *bench) leads(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.shown+"/v1/status/leader", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK && len(body) > 4
}

// register writes one service with a tag and a check to the catalog.
func (b *bench) register(ctx context.Context, i int, tag string) error {
	name := fmt.Sprintf("svc-%05d", i)
	node := fmt.Sprintf("node-%03d", i%100)
	body, err := json.Marshal(map[string]any{
		"Node": node, "Address": fmt.Sprintf("10.1.0.%d", i%100),
		"Service": map[string]any{"ID": name, "Service": name, "Port": 8080, "Tags": []string{tag}},
		"Check":   map[string]any{"Node": node, "CheckID": "service:" + name, "Name": "alive", "Status": "passing", "ServiceID": name},
	})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+b.agent+"/v1/catalog/register", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body) // only for the message
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("register %s: %s: %s", name, resp.Status, text)
	}
	return nil
}

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}

// fill registers all services.
func (b *bench) fill(ctx context.Context) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, 16)
	for range 16 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.services; i = int(next.Add(1)) - 1 {
				if err := b.register(ctx, i, "first"); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// dash is a running dashboard and its terminal.
type dash struct {
	*ptyterm.Terminal
	cmd   *exec.Cmd
	began time.Time
}

// open starts the dashboard on a screen.
func (b *bench) open(screen string) (*dash, error) {
	pty, err := ptyterm.Open(200, 60)
	if err != nil {
		return nil, err
	}
	args := []string{"dash", screen}
	if b.noStream {
		args = append(args, "--no-stream")
	}
	cmd := exec.Command(b.binary, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir, "TERM=xterm-256color", "LANG=C.UTF-8", "CTL_HTTP_ADDR=" + b.shown}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = pty.Slave, pty.Slave, pty.Slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	d := &dash{Terminal: pty, cmd: cmd, began: time.Now()}
	if err := cmd.Start(); err != nil {
		pty.Close()
		return nil, fmt.Errorf("start the dashboard: %w", err)
	}
	return d, nil
}

func (d *dash) close() {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait() // killed: its end is no news
	d.Close()
}

// ready opens the services and waits until they are there and quiet.
func (b *bench) ready() (*dash, error) {
	d, err := b.open("services")
	if err != nil {
		return nil, err
	}
	if !d.Await("svc-00000", patience) {
		defer d.close()
		return nil, fmt.Errorf("the services do not show: %q", last(d.Read()))
	}
	d.quiet(300 * time.Millisecond)
	return d, nil
}

func last(b []byte) []byte { return b[max(0, len(b)-300):] }

// quiet waits until nothing has been written for a while; the clock on the
// screen is written once a second.
func (d *dash) quiet(span time.Duration) {
	for {
		_, _, at := d.Traffic()
		if rest := span - time.Since(at); rest > 0 {
			time.Sleep(rest)
			continue
		}
		return
	}
}

// starting measures from the start of the program to its first frame and to the
// first rows.
func (b *bench) starting(context.Context) error {
	var frames, frameCPU, frameLate, rows, rowCPU, rowLate []time.Duration
	for range b.starts {
		d, err := b.open("services")
		if err != nil {
			return err
		}
		shown := d.Await("Services", patience)
		frames = append(frames, time.Since(d.began))
		frame, err := usageOf(d.cmd.Process.Pid)
		if err != nil {
			return err
		}
		shown = d.Await("svc-00000", patience) && shown
		rows = append(rows, time.Since(d.began))
		row, err := usageOf(d.cmd.Process.Pid)
		d.close()
		if !shown {
			return fmt.Errorf("the services do not show: %q", last(d.Read()))
		}
		if err != nil {
			return err
		}
		frameCPU, frameLate = append(frameCPU, frame.cpu), append(frameLate, frame.waited)
		rowCPU, rowLate = append(rowCPU, row.cpu), append(rowLate, row.waited)
	}
	report("start to first frame", spread(frames), "p95 50 ms")
	report("  CPU taken", spread(frameCPU), "")
	report("  waited for a CPU", spread(frameLate), "")
	report("start to rows", spread(rows), "p95 100 ms")
	report("  CPU taken", spread(rowCPU), "")
	report("  waited for a CPU", spread(rowLate), "")
	return nil
}

// token is a text no cell of which is that of the token before, so that all of
// it is written.
func token(i int) string {
	return strings.Repeat(string([]byte{'a' + byte(i%13), 'n' + byte(i%13)}), 5)
}

// changes measures from the request that changes a visible service to the
// change on the terminal.
func (b *bench) changes(ctx context.Context) error { return b.changesSeen(ctx, "change to terminal") }

// throughClient measures the same where the dashboard looks at a client agent,
// which passes on what a server tells it. Changes are made at the server.
func (b *bench) throughClient(ctx context.Context) error {
	agent, err := agentproc.Start(agentproc.Spec{
		Binary: b.binary, Dir: filepath.Join(b.dir, "client"), Name: "client", Bind: b.alloc.Loopback(1)[0], Join: []string{b.server},
	})
	if err != nil {
		return err
	}
	defer agent.Kill()
	there := *b
	there.shown = agent.Spec.HTTPAddr()
	if err := agent.Await(ctx, 20*time.Millisecond, there.leads); err != nil {
		return err
	}
	return there.changesSeen(ctx, "  through a client agent")
}

func (b *bench) changesSeen(ctx context.Context, what string) error {
	d, err := b.ready()
	if err != nil {
		return err
	}
	defer d.close()
	var all []time.Duration
	for i := range b.samples {
		d.Forget()
		began := time.Now()
		if err := b.register(ctx, 3, token(i)); err != nil {
			return err
		}
		if !d.Await(token(i), patience) {
			return fmt.Errorf("a change does not show: %q", last(d.Read()))
		}
		all = append(all, time.Since(began))
		time.Sleep(25 * time.Millisecond)
	}
	report(what, spread(all), "p95 50 ms")
	return nil
}

// scrolling holds a key down.
func (b *bench) scrolling(ctx context.Context) error {
	d, err := b.ready()
	if err != nil {
		return err
	}
	defer d.close()
	const keysPerSecond = 60
	tick := time.NewTicker(time.Second / keysPerSecond)
	defer tick.Stop()
	_, before, _ := d.Traffic()
	began := time.Now()
	for time.Since(began) < b.span {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := d.Type("j"); err != nil {
			return err
		}
	}
	released := time.Now()
	took := released.Sub(began)
	_, after, _ := d.Traffic()
	d.quiet(150 * time.Millisecond)
	_, _, at := d.Traffic()
	report("held key, 60/s", fmt.Sprintf("%.0f frames/s, %d ms behind", float64(after-before)/took.Seconds(), max(0, at.Sub(released).Milliseconds())), "55 frames/s, no backlog")
	return nil
}

// pace calls f rate times a second, over several goroutines, for a span.
func pace(ctx context.Context, rate int, span time.Duration, f func(i int) error) (done int, err error) {
	var n, failed atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, 1)
	began := time.Now()
	for range 16 {
		wg.Go(func() {
			for ctx.Err() == nil && time.Since(began) < span && failed.Load() == 0 {
				i := n.Add(1) - 1
				if wait := time.Duration(i)*time.Second/time.Duration(rate) - time.Since(began); wait > 0 {
					time.Sleep(wait)
				}
				if err := f(int(i)); err != nil && failed.Add(1) == 1 {
					errs <- err
				}
			}
		})
	}
	wg.Wait()
	select {
	case err = <-errs:
	default:
	}
	return int(n.Load()), err
}

const changesPerSecond = 1000

// load changes a thousand services a second while they are on the screen.
func (b *bench) load(ctx context.Context) error {
	d, err := b.ready()
	if err != nil {
		return err
	}
	defer d.close()
	done := 0
	spent, err := d.over(func() error {
		var err error
		done, err = pace(ctx, changesPerSecond, b.span, func(i int) error { return b.register(ctx, i%b.services, token(i)) })
		return err
	})
	if err != nil {
		return err
	}
	report(fmt.Sprintf("%.0f changes/s", float64(done)/b.span.Seconds()), spent.String(), "15% at 1,000/s")
	return nil
}

// idle does nothing.
func (b *bench) idle(ctx context.Context) error {
	alone, err := b.agentOver(ctx)
	if err != nil {
		return err
	}
	d, err := b.ready()
	if err != nil {
		return err
	}
	defer d.close()
	var agent usage
	spent, err := d.over(func() error {
		var err error
		agent, err = b.agentOver(ctx)
		return err
	})
	if err != nil {
		return err
	}
	report("idle", spent.String(), "1%")
	report("  the agent meanwhile", agent.String(), "")
	report("  the agent alone", alone.String(), "")
	return nil
}

// agentOver is what the agent takes while nothing happens.
func (b *bench) agentOver(ctx context.Context) (usage, error) {
	before, err := usageOf(b.process)
	if err != nil {
		return usage{}, err
	}
	if err := sleep(ctx, b.span); err != nil {
		return usage{}, err
	}
	after, err := usageOf(b.process)
	return after.since(before), err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// frozen does not read the terminal while things change, then reads again.
func (b *bench) frozen(ctx context.Context) error {
	d, err := b.ready()
	if err != nil {
		return err
	}
	defer d.close()
	before, err := usageOf(d.cmd.Process.Pid)
	if err != nil {
		return err
	}
	d.Hold()
	if _, err := pace(ctx, changesPerSecond, b.span, func(i int) error { return b.register(ctx, i%b.services, token(i)) }); err != nil {
		return err
	}
	after, err := usageOf(d.cmd.Process.Pid)
	if err != nil {
		return err
	}
	if err := b.register(ctx, 3, "zyzyzyzyzy"); err != nil {
		return err
	}
	d.Forget()
	began := time.Now()
	d.Release()
	if !d.Await("zyzyzyzyzy", patience) {
		return fmt.Errorf("a terminal that reads again does not show what is: %q", last(d.Read()))
	}
	report("frozen terminal", fmt.Sprintf("%+d MB, %d ms to be right again", (after.rss-before.rss)>>20, time.Since(began).Milliseconds()), "no growth")
	return nil
}
