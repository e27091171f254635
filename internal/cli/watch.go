package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

const (
	watchFlag   = "watch"
	timeoutFlag = "timeout"
	onceFlag    = "once"
)

// Pauses of a watch. A read that cannot block is repeated after pollTime;
// after a failure a watch waits retryTime, then twice as long each time, up to
// maxRetryTime.
const (
	pollTime     = time.Second
	retryTime    = 250 * time.Millisecond
	maxRetryTime = 10 * time.Second
)

// Watch is the flags --watch, --once and --timeout of a command that reads.
type Watch struct {
	f       *Factory
	out     *Output
	conn    *Conn
	on      bool
	once    bool
	timeout time.Duration
}

// Watch gives cmd the flags. They are used by Read.
func (f *Factory) Watch(cmd *cobra.Command, out *Output, conn *Conn) *Watch {
	w := &Watch{f: f, out: out, conn: conn}
	cmd.Flags().BoolVar(&w.on, watchFlag, false, "go on, and show every change as it comes, until Ctrl-C")
	cmd.Flags().BoolVar(&w.once, onceFlag, false, "with --watch, end after the first change")
	cmd.Flags().DurationVar(&w.timeout, timeoutFlag, 0, "give up after this `TIME`; 0 is never")
	return w
}

// On reports whether --watch was given.
func (w *Watch) On() bool { return w.on }

// Source is one read of a watch. It must use q, which says from which index to
// wait; the answer's index is in the meta. A nil meta, or one without an index,
// means that the read cannot wait: it is repeated every second. It is called
// from one goroutine.
type Source[T any] func(q *api.QueryOptions) ([]T, *api.QueryMeta, error)

// Document is what a read returns that is more than its rows.
type Document[T any] struct {
	// JSON is the shape the HTTP API has; nil is that of the rows.
	JSON any
	Rows []T
	// Text writes the pretty form; nil takes that of the rows.
	Text func(io.Writer) error
	// Head is what is told beside the rows, in JSON; nil for nothing. In a
	// watch its change is one too, whose key is empty.
	Head any
}

// DocumentSource is Source for documents.
type DocumentSource[T any] func(q *api.QueryOptions) (Document[T], *api.QueryMeta, error)

// Read shows the rows that source reads, once or, with --watch, again and again
// as they change: painted anew on a terminal, and otherwise as a line of JSON
// for every row that was added, changed or removed. key names a row. It reports
// the rows shown first.
//
// A watch goes on through failures: the first read after one answers at once and
// is compared with what was shown, so what changed meanwhile is told. It does not
// wait from the index known before, which an agent that lost its state reaches
// much later or never. Only a failure of the first read ends a watch.
func Read[T any](ctx context.Context, w *Watch, v View[T], key func(T) string, source Source[T]) ([]T, error) {
	first, err := ReadDocument(ctx, w, v, key, func(q *api.QueryOptions) (Document[T], *api.QueryMeta, error) {
		rows, meta, err := source(q)
		return Document[T]{Rows: rows}, meta, err
	})
	return first.Rows, err
}

// ReadDocument is Read for what is more than its rows.
func ReadDocument[T any](ctx context.Context, w *Watch, v View[T], key func(T) string, source DocumentSource[T]) (Document[T], error) {
	ctx, cancel, err := w.Bound(ctx)
	if err != nil {
		return Document[T]{}, err
	}
	defer cancel()
	w.out.filter.context = func() context.Context { return ctx }
	first, meta, err := source(w.conn.Query(ctx))
	if err != nil {
		return Document[T]{}, w.timedOut(ctx, err)
	}
	if !w.on {
		return first, w.timedOut(ctx, first.show(w.out, v))
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &watching[T]{Watch: w, view: v, key: key, source: source, events: w.events()}
	return first, s.run(ctx, first, meta)
}

// events reports whether each change of a row is told by itself: to programs,
// unless --jq makes something else of the whole.
func (w *Watch) events() bool {
	return w.out.form == formJSONL || !w.f.Streams.OutTerminal && w.out.shape() != formJQ
}

func (d Document[T]) show(o *Output, v View[T]) error {
	if d.JSON == nil {
		return Show(o, v, d.Rows)
	}
	return ShowDocument(o, v, d.JSON, d.Rows, d.Text)
}

// QueryJSON asks for path with q and what the settings say, and decodes the
// answer into v. It is for what the official client has no method for, or none
// that tells the index. Client must have been called.
func (c *Conn) QueryJSON(path string, q *api.QueryOptions, v any) (*api.QueryMeta, error) {
	return c.client.Raw().Query(path, v, q)
}

// Bound returns a context that --timeout ends, for a read that does not go
// through Read. cancel must be called. It fails where the flags make no sense.
func (w *Watch) Bound(ctx context.Context) (bound context.Context, cancel context.CancelFunc, err error) {
	switch {
	case w.once && !w.on:
		return nil, nil, Failf("--once needs --watch")
	case w.timeout < 0:
		return nil, nil, Failf("--timeout %v is negative", w.timeout)
	case w.timeout == 0:
		return ctx, func() {}, nil
	}
	bound, cancel = context.WithTimeout(ctx, w.timeout)
	return bound, cancel, nil
}

// timedOut says that time ran out, where that is why err came.
func (w *Watch) timedOut(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return Fail(failure.Timeout, "no answer within %v (--%s): %w", w.timeout, timeoutFlag, err)
	}
	return err
}

// watching is one watch that runs.
type watching[T any] struct {
	*Watch
	view   View[T]
	key    func(T) string
	source DocumentSource[T]
	events bool
	shown  map[string]any
	order  []string
}

func (s *watching[T]) run(ctx context.Context, first Document[T], meta *api.QueryMeta) error {
	if _, err := s.show(first, indexOf(meta)); err != nil {
		return s.endOr(ctx, err)
	}
	index, wait, failed := indexOf(meta), retryTime, false
	for {
		if index == 0 && !failed && !backoff.Pause(ctx, pollTime) {
			return s.end(ctx)
		}
		q := s.conn.Query(ctx)
		q.WaitIndex = index
		now, meta, err := s.source(q)
		switch {
		case ctx.Err() != nil:
			return s.end(ctx)
		case err != nil:
			fmt.Fprintf(s.f.Streams.Err, "%v; trying again in %v\n", err, wait)
			if !backoff.Pause(ctx, wait) {
				return s.end(ctx)
			}
			index, failed, wait = 0, true, min(2*wait, maxRetryTime)
			continue
		}
		failed, wait = false, retryTime
		// Where it is lower, the servers' state went back, as after a restore.
		index = indexOf(meta)
		changed, err := s.show(now, index)
		if err != nil {
			return s.endOr(ctx, err)
		}
		if changed && s.once {
			return nil
		}
	}
}

// end says how a watch ends that its context ended: by Ctrl-C, which is how one
// ends, or by --timeout, which is a failure only where a change was waited for.
func (s *watching[T]) end(ctx context.Context) error {
	if !errors.Is(context.Cause(ctx), context.DeadlineExceeded) && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ErrInterrupted
	}
	if s.once {
		return Fail(failure.Timeout, "Nothing changed within %v.", s.timeout)
	}
	return nil
}

// endOr is err, or the end of the watch where that is why it came.
func (s *watching[T]) endOr(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return s.end(ctx)
	}
	return err
}

func indexOf(meta *api.QueryMeta) uint64 {
	if meta == nil {
		return 0
	}
	return meta.LastIndex
}

// event is a change of a row, for programs.
type event struct {
	Event string // current, added, changed or removed
	Index uint64 `json:",omitempty"`
	Key   string
	Row   any // as it is, or as it was last
}

// show shows d and reports whether it differs from what was shown before.
func (s *watching[T]) show(d Document[T], index uint64) (changed bool, err error) {
	first := s.shown == nil
	now, order := make(map[string]any, len(d.Rows)+1), make([]string, 0, len(d.Rows)+1)
	var events []event
	add := func(k string, row any) {
		was, known := s.shown[k]
		switch {
		case first:
			events = append(events, event{"current", index, k, row})
		case !known:
			events = append(events, event{"added", index, k, row})
		case !reflect.DeepEqual(was, row):
			events = append(events, event{"changed", index, k, row})
		}
		now[k] = row
		order = append(order, k)
	}
	if d.Head != nil {
		add("", d.Head)
	}
	for _, r := range d.Rows {
		if s.view.JSON != nil {
			add(s.key(r), s.view.JSON(r))
		} else {
			add(s.key(r), r)
		}
	}
	for _, k := range s.order {
		if _, ok := now[k]; !ok {
			events = append(events, event{"removed", index, k, s.shown[k]})
		}
	}
	s.shown, s.order = now, order
	if len(events) == 0 && !first {
		return false, nil
	}
	if s.events {
		return true, s.out.writeEvents(events)
	}
	return true, s.repaint(d)
}

func (o *Output) writeEvents(events []event) error {
	w := o.f.Streams.Out
	for _, e := range events {
		if o.filter.On() {
			if err := o.writeFiltered(w, e, ""); err != nil {
				return err
			}
			continue
		}
		b, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encode output: %w", err)
		}
		if _, err := w.Write(append(b, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// repaint clears the screen, if it is one, and shows d with the time of the
// change.
func (s *watching[T]) repaint(d Document[T]) error {
	if !s.f.Streams.OutTerminal {
		return d.show(s.out, s.view)
	}
	fmt.Fprintf(s.f.Streams.Out, "\x1b[H\x1b[2J\x1b[3J%s, watching; Ctrl-C ends\n\n", time.Now().Format(time.TimeOnly))
	return d.show(s.out, s.view)
}
