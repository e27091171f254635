// Package debug holds the command that packs what is needed to understand an
// agent into an archive, without its secrets: debug.
//
// A capture is written to a directory as it comes, scrubbed before it touches
// the disk, and packed at the end; whatever ends it early, what was captured is
// kept. What cannot be captured is recorded and does not stop the rest.
package debug

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/spf13/cobra"
)

const (
	minDuration = 10 * time.Second
	minInterval = 5 * time.Second
	// requestTime bounds the wait for one answer, beyond what it takes itself.
	requestTime = 30 * time.Second
	// profileTime is how long the processor is watched at most: the profile of
	// a capture that is ended early is lost.
	profileTime = 30 * time.Second
	traceTime   = time.Second
)

// targets are what -capture names, in the order of their capture.
var targets = []string{"agent", "host", "members", "raft", "metrics", "logs", "pprof"}

// static are the documents that are read once. Those of raft are asked of any
// server, so that they are there when the leader is not.
var static = []struct {
	target, file, path string
	query              url.Values
}{
	{"agent", "agent.json", selfPath, nil},
	{"host", "host.json", "/v1/agent/host", nil},
	{"members", "members.json", "/v1/agent/members", nil},
	{"raft", "raft.json", "/v1/operator/raft/configuration", url.Values{"stale": {""}}},
	{"raft", "autopilot.json", "/v1/operator/autopilot/state", url.Values{"stale": {""}}},
}

const selfPath = "/v1/agent/self"

type options struct {
	f    *cli.Factory
	conn *cli.Conn
	// progress shows how much of the time is over, then the packing.
	progress *cli.Progress

	capture            []string
	duration, interval time.Duration
	since              time.Duration
	output             string
	archive            bool
	maxSize            string

	// What tests replace.

	now   func() time.Time
	sleep func(context.Context, time.Duration)
	// logEnded is closed when the stream of log lines has ended.
	logEnded chan struct{}
}

// NewCommand returns `ctl debug`.
func NewCommand(f *cli.Factory) *cobra.Command {
	return newCommand(f, &options{now: time.Now, sleep: func(ctx context.Context, d time.Duration) { backoff.Pause(ctx, d) }})
}

func newCommand(f *cli.Factory, o *options) *cobra.Command {
	o.f, o.logEnded = f, make(chan struct{})
	cmd := &cobra.Command{
		Use:   "debug [options]",
		Short: "Pack what is needed to understand an agent, without secrets",
		Long: `Capture the agent's settings, members, raft state, metrics, log and profiles for
a while and pack them into an archive. Secrets are taken out; scrubbed.json lists
the places. What could not be captured is in index.json. Ctrl-C ends the capture
early and keeps what there is. Look through the archive before you give it away:
names and addresses stay in it.`,
		Example: `ctl debug
ctl debug -duration 1m -interval 10s -output slow-agent
ctl debug -capture metrics,logs -archive=false`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			defer context.AfterFunc(ctx, stop)() // a second Ctrl-C ends at once
			return o.run(ctx)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.capture, "capture", nil, "`TARGET` to capture, repeatable: "+strings.Join(targets, ", ")+" (default all)")
	flags.DurationVar(&o.duration, "duration", 5*time.Minute, "`TIME` to capture, at least 10s")
	flags.DurationVar(&o.interval, "interval", 30*time.Second, "`TIME` between metrics and between profiles, at least 5s")
	flags.DurationVar(&o.since, "since", 0, "`TIME` of the log before the capture; agents keep none, which is recorded")
	flags.StringVar(&o.output, "output", "", "`PATH` of the archive, .tar.gz is added (default consul-debug-TIME)")
	flags.BoolVar(&o.archive, "archive", true, "pack the capture; false leaves a directory")
	flags.StringVar(&o.maxSize, "max-size", "512MiB", "end the capture when it has this `SIZE`, before it is packed")
	o.conn = f.Connect(cmd)
	o.progress = f.Progress(cmd)
	return cmd
}

// validate checks the flags and returns the size limit.
func (o *options) validate() (int64, error) {
	invalid := func(format string, args ...any) (int64, error) {
		return 0, cli.Failf("Capture validation failed: "+format, args...)
	}
	switch {
	case o.duration < minDuration:
		return invalid("-duration %v is too short, it must be at least %v", o.duration, minDuration)
	case o.interval < minInterval:
		return invalid("-interval %v is too short, it must be at least %v", o.interval, minInterval)
	case o.interval > o.duration:
		return invalid("-interval %v is longer than -duration %v", o.interval, o.duration)
	case o.since < 0:
		return invalid("-since %v is negative", o.since)
	}
	for _, name := range o.capture {
		if !slices.Contains(targets, name) {
			return invalid("unknown capture target %q: use %s", name, strings.Join(targets, ", "))
		}
	}
	size, err := parseSize(o.maxSize)
	if err != nil {
		return invalid("-max-size %q: %w", o.maxSize, err)
	}
	if len(o.capture) == 0 {
		o.capture = targets
	}
	return size, nil
}

// parseSize reads "64MiB", "1g" or "1000000".
func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "kKmMgGiIbB")
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	shift, ok := map[string]uint{"": 0, "b": 0, "k": 10, "kib": 10, "m": 20, "mib": 20, "g": 30, "gib": 30}[strings.ToLower(text[len(digits):])]
	if err != nil || !ok || n <= 0 || n > 1<<62>>shift {
		return 0, errors.New("use a number of bytes or of KiB, MiB or GiB, such as 64MiB")
	}
	return n << shift, nil
}

func (o *options) wants(target string) bool { return slices.Contains(o.capture, target) }

func (o *options) run(ctx context.Context) error {
	size, err := o.validate()
	if err != nil {
		return err
	}
	if _, err := o.conn.Client(); err != nil {
		return err
	}
	b := &bundle{scrub: &scrubber{}, left: size}
	for _, secret := range o.conn.Secrets() {
		b.scrub.know(secret)
	}
	// An agent that cannot be reached is found out before anything is written.
	self, err := o.fetch(ctx, size, selfPath, nil)
	if err != nil && !cli.Answered(err) {
		return cli.Failf("Error querying the agent: %w", err)
	}
	o.describe(b, self)
	target, err := o.place(b)
	if err != nil {
		return err
	}
	if err := o.announce(b, target); err != nil {
		return errors.Join(err, os.RemoveAll(b.dir))
	}
	b.bar = o.progress.Start(cli.Work{What: "Capturing", Time: o.duration})
	o.captureAll(ctx, b)
	b.bar.End()
	return o.save(b, target)
}

// describe fills in what the index says about the agent and the capture.
func (o *options) describe(b *bundle, self []byte) {
	var agent struct {
		Config struct{ Version, NodeName, Datacenter string }
	}
	_ = json.Unmarshal(self, &agent) // an agent that does not say is unknown
	b.index = index{
		AgentVersion: agent.Config.Version, Node: agent.Config.NodeName, Datacenter: agent.Config.Datacenter,
		ToolVersion: o.f.Build.Version, Interval: o.interval.String(), Duration: o.duration.String(),
		Targets: o.capture, Started: o.now().UTC(), Problems: []problem{},
	}
}

// place makes the directory and returns the name of what will be left: it or
// the archive.
func (o *options) place(b *bundle) (string, error) {
	b.dir = strings.TrimSuffix(o.output, ".tar.gz")
	if b.dir == "" {
		b.dir = "consul-debug-" + b.index.Started.Format("2006-01-02T15-04-05Z")
	}
	target := b.dir
	if o.archive {
		target += ".tar.gz"
		if _, err := os.Lstat(target); err == nil {
			return "", cli.Failf("Capture validation failed: %s exists; name another file with -output", target)
		}
	}
	if err := os.Mkdir(b.dir, 0o700); err != nil {
		return "", cli.Failf("Capture validation failed: make the directory of the capture: %w; name another with -output", err)
	}
	return target, nil
}

func (o *options) announce(b *bundle, target string) error {
	version := b.index.AgentVersion
	if version == "" {
		version = "unknown"
	}
	_, err := fmt.Fprintf(o.f.Streams.Out, `==> Starting debugger and capturing static information...
     Agent Version: '%s'
          Interval: '%v'
          Duration: '%v'
            Output: '%s'
           Capture: '%s'
`, version, o.interval, o.duration, target, strings.Join(o.capture, ", "))
	return err
}

// captureAll captures until the time is over, ctx ends or the bundle is full.
func (o *options) captureAll(outer context.Context, b *bundle) {
	ctx, end := context.WithCancelCause(outer)
	var running, profiling sync.WaitGroup
	defer func() {
		end(nil)
		running.Wait()
		b.index.Interrupted = outer.Err() != nil
		b.index.Ended = o.now().UTC()
	}()
	// note records a failure, but not that the capture is over.
	note := func(what string, err error) {
		switch {
		case err == nil:
		case errors.Is(err, errFull):
			end(errFull)
		case ctx.Err() == nil:
			b.fail(what, err, advice(what, err))
		}
	}
	for _, doc := range static {
		if o.wants(doc.target) && ctx.Err() == nil {
			note(doc.file, o.document(ctx, b, doc.file, doc.path, doc.query))
		}
	}
	if o.wants("logs") {
		if o.since > 0 {
			b.fail("logs", fmt.Errorf("lines of the last %v: the agent keeps none", o.since), "Read the agent's log file, where it writes one.")
		}
		running.Go(func() {
			defer close(o.logEnded)
			note("logs", o.log(ctx, b))
		})
	}
	profiles := o.wants("pprof")
	if profiles {
		// One of them shows whether there are any.
		if _, err := o.fetch(ctx, 1<<20, "/debug/pprof/", nil); err != nil {
			profiles = false
			note("pprof", err)
		}
	}
	if profiles {
		for _, p := range []struct {
			name, file string
			time       time.Duration
		}{{"profile", "profile.prof", min(o.interval, profileTime)}, {"trace", "trace.out", traceTime}} {
			profiling.Go(func() {
				query := url.Values{"seconds": {strconv.FormatFloat(p.time.Seconds(), 'f', -1, 64)}}
				note(p.file, o.binary(ctx, b, p.file, "/debug/pprof/"+p.name, query, p.time))
			})
		}
	}
	o.repeat(ctx, b, profiles, note)
	profiling.Wait() // they began with the capture and end by now, but for their way here
}

// repeat takes metrics and profiles every interval.
func (o *options) repeat(ctx context.Context, b *bundle, profiles bool, note func(string, error)) {
	var metrics *writer
	if o.wants("metrics") {
		w, err := b.create("metrics.json")
		if err != nil {
			note("metrics.json", err)
		} else {
			metrics = w
			defer func() { note("metrics.json", w.Close()) }()
		}
	}
	start := o.now()
	for i := 0; ctx.Err() == nil; i++ {
		o.say("==> Beginning capture interval %s (%d)", o.now().UTC().Format(time.RFC3339), i)
		if metrics != nil {
			data, err := o.fetch(ctx, b.room(), "/v1/agent/metrics", nil)
			if err == nil {
				_, err = metrics.Write(line(b.scrub.json("metrics.json", data)))
			}
			note("metrics.json", err)
		}
		if profiles {
			for _, name := range []string{"heap", "goroutine"} {
				file := path.Join(strconv.Itoa(i), name+".prof")
				note(file, o.binary(ctx, b, file, "/debug/pprof/"+name, nil, 0))
			}
		}
		if ctx.Err() == nil {
			o.say("==> Capture successful %s (%d)", o.now().UTC().Format(time.RFC3339), i)
			b.index.Intervals = i + 1
		}
		next := min(time.Duration(i+1)*o.interval, o.duration)
		if wait := next - o.now().Sub(start); wait > 0 {
			o.sleep(ctx, wait)
		}
		if next == o.duration {
			return
		}
	}
}

// say writes a line of progress. A reader that went away ends no capture; the
// failure is told at the end.
func (o *options) say(format string, args ...any) {
	_, _ = fmt.Fprintf(o.f.Streams.Out, format+"\n", args...)
}

// fetch reads an answer of at most limit bytes, or a little more: a bundle has
// no room for it then.
func (o *options) fetch(ctx context.Context, limit int64, path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTime, fmt.Errorf("no answer within %v", requestTime))
	defer cancel()
	return o.read(ctx, limit, path, query)
}

func (o *options) read(ctx context.Context, limit int64, path string, query url.Values) ([]byte, error) {
	resp, err := o.conn.Get(ctx, path, query)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, limit+1))
}

func (o *options) document(ctx context.Context, b *bundle, file, path string, query url.Values) error {
	room := b.room()
	data, err := o.fetch(ctx, room, path, query)
	if err != nil {
		return err
	}
	if int64(len(data)) > room {
		return b.full()
	}
	return b.write(file, b.scrub.json(file, data))
}

// binary captures a file that takes d to make. Profiles hold names of functions
// and no data, so they are not scrubbed.
func (o *options) binary(ctx context.Context, b *bundle, file, path string, query url.Values, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d+requestTime)
	defer cancel()
	data, err := o.read(ctx, b.room(), path, query)
	if err != nil {
		return err
	}
	return b.write(file, data)
}

// log copies the agent's log until ctx ends.
func (o *options) log(ctx context.Context, b *bundle) error {
	resp, err := o.conn.Get(ctx, "/v1/agent/monitor", url.Values{"loglevel": {"TRACE"}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := b.log("consul.log", resp.Body); err != nil {
		return err
	}
	return errors.New("the agent ended the log stream: it was stopped or the connection was lost")
}

// advice says what to do about a failure, where that is known.
func advice(what string, err error) string {
	switch {
	case what == "pprof" && cli.IsNotFound(err):
		return "Profiles are off. Set enable_debug to true in the agent's configuration, run `ctl reload`, and capture again."
	case cli.IsNotFound(err):
		return "The agent does not have this."
	default:
		return ""
	}
}

// save completes the bundle and says where it is.
func (o *options) save(b *bundle, target string) error {
	if len(b.files) == 0 || onlyEmpty(b.files) {
		err := errors.New("the capture was ended before anything was captured")
		if len(b.index.Problems) > 0 {
			err = errors.New(b.index.Problems[0].What + ": " + b.index.Problems[0].Error)
		}
		return errors.Join(cli.Failf("Nothing could be captured: %w", err), os.RemoveAll(b.dir))
	}
	if err := b.finish(); err != nil {
		return cli.Failf("Error completing the capture: %w; what there is is in %s", err, b.dir)
	}
	if o.archive {
		if err := o.pack(b, target); err != nil {
			return cli.Failf("Error writing %s: %w; the capture is in %s", target, err, b.dir)
		}
	}
	for _, p := range b.index.Problems {
		fmt.Fprintf(o.f.Streams.Err, "Not captured: %s: %s\n", p.What, p.Error)
		if p.Advice != "" {
			fmt.Fprintln(o.f.Streams.Err, p.Advice)
		}
	}
	switch {
	case b.index.Full:
		fmt.Fprintf(o.f.Streams.Err, "The capture ended early: it has reached %s (-max-size).\n", o.maxSize)
	case b.index.Interrupted:
		fmt.Fprintln(o.f.Streams.Err, "The capture was interrupted; what was captured until then is kept.")
	}
	o.say("Secrets taken out in %d places, see scrubbed.json", b.index.Scrubbed)
	if o.archive {
		o.say("==> Saved debug archive: %s", target)
	} else {
		o.say("==> Saved debug directory: %s", target)
	}
	return nil
}

// pack archives the bundle and shows how far that is.
func (o *options) pack(b *bundle, target string) error {
	work := cli.Work{What: "Packing"}
	for _, f := range b.index.Files {
		work.Bytes += f.Bytes
	}
	b.bar = o.progress.Start(work)
	defer b.bar.End()
	return b.archive(target)
}

func onlyEmpty(files []file) bool {
	return !slices.ContainsFunc(files, func(f file) bool { return f.Bytes > 0 })
}
