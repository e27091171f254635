package leader_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/leader"
	"github.com/ctl-sh/ctl/internal/signal"
)

func run(ctx context.Context, s *signal.Value[leader.State], duties ...leader.Duty) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		leader.Run(ctx, leader.Of(s, func(s leader.State) leader.State { return s }), slog.New(slog.DiscardHandler), duties...)
	}()
	return done
}

func TestADutyRunsWhileThisServerLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s signal.Value[leader.State]
		var began, running atomic.Int32
		slow := leader.Duty{Name: "slow to stop", Run: func(ctx context.Context) error {
			began.Add(1)
			if running.Add(1) > 1 {
				t.Error("the duty runs beside its own past")
			}
			defer running.Add(-1)
			<-ctx.Done()
			time.Sleep(time.Minute)
			return nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := run(ctx, &s, slow)
		for _, step := range []struct {
			name           string
			state          leader.State
			after          time.Duration
			began, running int32
		}{
			{"a follower", leader.State{Term: 1}, 0, 0, 0},
			{"leads", leader.State{Leads: true, Term: 2}, 0, 1, 1},
			{"leads on", leader.State{Leads: true, Term: 2}, 0, 1, 1},
			{"lost it, the duty still ends", leader.State{Term: 3}, 0, 1, 1},
			{"leads again before it has ended", leader.State{Leads: true, Term: 4}, 0, 1, 1},
			{"begins once it has ended", leader.State{Leads: true, Term: 4}, 2 * time.Minute, 2, 1},
			{"another term without a gap", leader.State{Leads: true, Term: 5}, 2 * time.Minute, 3, 1},
		} {
			s.Set(step.state)
			time.Sleep(step.after)
			synctest.Wait()
			if began.Load() != step.began || running.Load() != step.running {
				t.Fatalf("%s: began %d, running %d, want %d and %d", step.name, began.Load(), running.Load(), step.began, step.running)
			}
		}
		cancel()
		<-done
		if running.Load() != 0 {
			t.Error("Run returned before its duty ended")
		}
	})
}

func TestAFailedDutyRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s signal.Value[leader.State]
		s.Set(leader.State{Leads: true, Term: 1})
		var at []time.Duration
		start := time.Now()
		done := run(t.Context(), &s,
			leader.Duty{Name: "fails, panics, ends", Run: func(context.Context) error {
				at = append(at, time.Since(start))
				switch len(at) {
				case 1:
					return errors.New("no")
				case 2:
					panic("worse")
				}
				return nil
			}})
		time.Sleep(time.Hour)
		synctest.Wait()
		want := []time.Duration{0, time.Second, 3 * time.Second}
		if len(at) != len(want) {
			t.Fatalf("ran at %v, want %v", at, want)
		}
		for i := range want {
			if at[i] != want[i] {
				t.Errorf("ran at %v, want %v", at, want)
			}
		}
		select {
		case <-done:
			t.Error("Run returned while its context lives")
		default:
		}
	})
}
