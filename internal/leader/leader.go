// Package leader runs the duties of the server that leads: work that exactly
// one server does, for as long as it leads.
//
// A Duty is begun once the server leads and has applied all that came before,
// and is cancelled when it no longer leads. All duties have ended before any
// of them may begin again, so a duty never runs beside its own past. It knows
// no noun; duties belong to nouns and assembly lists them.
package leader

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/signal"
)

// Duty is work of the leader.
type Duty struct {
	Name string
	// Run works until ctx ends, which is when the server stops leading. A
	// nil error means there is nothing more to do in this term; any other
	// is logged and Run is called again after a pause.
	Run func(ctx context.Context) error
}

// State is what the duties need to know of leadership.
type State struct {
	// Leads is true while this server leads and has applied an entry of
	// its own term.
	Leads bool
	// Term tells one leadership from the next.
	Term uint64
}

// Pauses before a failed duty runs again.
const (
	minPause = time.Second
	maxPause = 30 * time.Second
)

// Run starts duties whenever state says that this server leads, until ctx
// ends. It returns when every duty has ended.
func Run(ctx context.Context, state func() (State, <-chan struct{}), log *slog.Logger, duties ...Duty) {
	for {
		s, changed := state()
		if !s.Leads {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return
			}
		}
		serve(ctx, s.Term, state, log, duties)
		if ctx.Err() != nil {
			return
		}
	}
}

// serve runs duties until this server no longer leads in term.
func serve(ctx context.Context, term uint64, state func() (State, <-chan struct{}), log *slog.Logger, duties []Duty) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, d := range duties {
		running.Go(func() { keep(ctx, d, log) })
	}
	for {
		s, changed := state()
		if !s.Leads || s.Term != term {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// keep runs one duty, again after each failure.
func keep(ctx context.Context, d Duty, log *slog.Logger) {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		err := attempt(ctx, d)
		if err == nil || ctx.Err() != nil {
			return
		}
		log.Warn("a duty of the leader failed and runs again", "duty", d.Name, "error", err, "pause", pause)
		if !backoff.Pause(ctx, pause) {
			return
		}
	}
}

// attempt runs the duty once; a panic in it must not take the server's data
// plane along and counts as a failure.
func attempt(ctx context.Context, d Duty) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return d.Run(ctx)
}

// Of adapts a signal to what Run watches.
func Of[T any](s *signal.Value[T], state func(T) State) func() (State, <-chan struct{}) {
	return func() (State, <-chan struct{}) {
		v, changed := s.Watch()
		return state(v), changed
	}
}
