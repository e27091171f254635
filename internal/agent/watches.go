package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/signal"
	"github.com/ctl-sh/ctl/internal/watch"
)

// watches runs the watches of the configuration files. One that a reload leaves as
// it was goes on, so that its handler is told of nothing it knows.
type watches struct {
	log    *slog.Logger
	ask    watch.Requester
	wanted signal.Value[[]watched]
}

// watched is one watch; equal keys are the same watch.
type watched struct {
	key string
	def *watch.Definition
}

// defined reads the watches of the configuration and says what cannot be used.
func (w *watches) defined(rt *config.Runtime) ([]watched, error) {
	var list []watched
	seen := map[string]int{}
	for _, d := range rt.Watches {
		log := w.log.With("watch", d.At.String())
		def, err := watch.Parse([]byte(d.JSON), os.Getenv("SHELL"), func(said string) {
			if said != "" {
				log.Debug("a watch's handler said", "output", said)
			}
		})
		if errors.Is(err, watch.ErrEvents) {
			log.Warn("this watch is left out", logging.KeyError, err)
			continue
		}
		if err != nil {
			return nil, failure.Newf(failure.Invalid, "%s: watch: %w", d.At, err)
		}
		seen[d.JSON]++
		list = append(list, watched{fmt.Sprintf("%d %s", seen[d.JSON], d.JSON), def})
	}
	return list, nil
}

// Run keeps the wanted watches running until ctx ends.
func (w *watches) Run(ctx context.Context, ready func()) error {
	ready()
	var all sync.WaitGroup
	defer all.Wait()
	running := map[string]context.CancelFunc{}
	for {
		list, changed := w.wanted.Watch()
		keep := map[string]bool{}
		for _, one := range list {
			keep[one.key] = true
			if running[one.key] == nil {
				own, cancel := context.WithCancel(ctx)
				running[one.key] = cancel
				all.Go(func() { w.follow(own, one.def) })
			}
		}
		for key, cancel := range running {
			if !keep[key] {
				cancel()
				delete(running, key)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			for _, cancel := range running {
				cancel()
			}
			return nil
		}
	}
}

// follow tells the watch's handler of changes until ctx ends.
func (w *watches) follow(ctx context.Context, d *watch.Definition) {
	log := w.log.With("type", d.Plan.Type)
	// It ends with ctx only: neither function fails.
	_ = d.Plan.Follow(ctx, w.ask, func(ctx context.Context, c watch.Change) error {
		if err := d.Handler.Handle(ctx, c); err != nil && ctx.Err() == nil {
			log.Warn("the handler of a watch failed", logging.KeyError, err)
		}
		return nil
	}, func(err error, pause time.Duration) error {
		log.Warn("a watch cannot be answered", logging.KeyError, err, "pause", pause)
		return nil
	})
}
