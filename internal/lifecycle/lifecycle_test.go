package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal collects events as "step part" lines.
type journal struct{ lines []string }

func (j *journal) note(e Event) {
	line := e.Step.String() + " " + e.Part
	if e.Err != nil {
		line += ": " + e.Err.Error()
	}
	j.lines = append(j.lines, line)
}

// steady is a part that is ready after startup and stops after teardown.
func steady(name string, startup, teardown time.Duration) Part {
	return Part{Name: name, Run: func(ctx context.Context, ready func()) error {
		<-time.After(startup)
		ready()
		ready() // more than once is allowed
		<-ctx.Done()
		<-time.After(teardown)
		return ctx.Err()
	}}
}

// failing is a part that is ready at once and fails after a while.
func failing(name string, after time.Duration, err error) Part {
	return Part{Name: name, Run: func(ctx context.Context, ready func()) error {
		ready()
		select {
		case <-time.After(after):
			return err
		case <-ctx.Done():
			return nil
		}
	}}
}

func TestGroup(t *testing.T) {
	boom, late := errors.New("boom"), errors.New("late")
	for _, c := range []struct {
		name      string
		parts     []Part
		cancel    time.Duration // when ctx is cancelled; 0 is never
		wantErr   string
		wantCause error
		wantSteps []string
		wantTook  time.Duration
	}{
		{
			name:   "start in order after ready, stop in reverse",
			parts:  []Part{steady("store", time.Second, time.Second), steady("rpc", time.Second, 2*time.Second)},
			cancel: 10 * time.Second,
			wantSteps: []string{"starting store", "ready store", "starting rpc", "ready rpc",
				"stopping rpc", "stopped rpc", "stopping store", "stopped store"},
			wantTook: 13 * time.Second,
		},
		{
			name:      "no parts",
			wantSteps: nil,
		},
		{
			name:  "failure while running stops the others and names the part",
			parts: []Part{steady("store", 0, 0), failing("rpc", time.Second, boom), steady("http", 0, 0)},
			wantSteps: []string{"starting store", "ready store", "starting rpc", "ready rpc", "starting http", "ready http",
				"stopped rpc: boom", "stopping http", "stopped http", "stopping store", "stopped store"},
			wantErr: "rpc: boom", wantCause: boom,
			wantTook: time.Second,
		},
		{
			name: "failure before ready starts nothing more",
			parts: []Part{steady("store", 0, 0),
				{Name: "rpc", Run: func(context.Context, func()) error { return boom }},
				steady("http", 0, 0)},
			wantSteps: []string{"starting store", "ready store", "starting rpc", "stopped rpc: boom", "stopping store", "stopped store"},
			wantErr:   "rpc: boom", wantCause: boom,
		},
		{
			name:      "failure of an earlier part while a later one starts",
			parts:     []Part{failing("store", time.Second, boom), steady("rpc", time.Hour, 0)},
			wantSteps: []string{"starting store", "ready store", "starting rpc", "stopped store: boom", "stopping rpc", "abandoned rpc"},
			wantErr:   "store: boom\nstill running after the time given to stop: [\"rpc\"]", wantCause: boom,
			wantTook: 11 * time.Second,
		},
		{
			name:      "cancel while a part starts is a graceful stop",
			parts:     []Part{steady("store", 0, 0), {Name: "join", Run: func(ctx context.Context, _ func()) error { <-ctx.Done(); return ctx.Err() }}, steady("http", 0, 0)},
			cancel:    time.Second,
			wantSteps: []string{"starting store", "ready store", "starting join", "stopping join", "stopped join", "stopping store", "stopped store"},
			wantTook:  time.Second,
		},
		{
			name: "first failure wins over a failure to stop",
			parts: []Part{
				{Name: "store", Run: func(ctx context.Context, ready func()) error { ready(); <-ctx.Done(); return late }},
				failing("rpc", time.Second, boom)},
			wantSteps: []string{"starting store", "ready store", "starting rpc", "ready rpc", "stopped rpc: boom", "stopping store", "stopped store: late"},
			wantErr:   "rpc: boom", wantCause: boom,
			wantTook: time.Second,
		},
		{
			name:      "failure to stop is a failure",
			parts:     []Part{{Name: "store", Run: func(ctx context.Context, ready func()) error { ready(); <-ctx.Done(); return late }}},
			cancel:    time.Second,
			wantSteps: []string{"starting store", "ready store", "stopping store", "stopped store: late"},
			wantErr:   "store: late", wantCause: late,
			wantTook: time.Second,
		},
		{
			name: "cancelled by itself while nobody asked is a failure",
			parts: []Part{{Name: "store", Run: func(_ context.Context, ready func()) error {
				ready()
				return fmt.Errorf("dial: %w", context.Canceled)
			}}},
			wantSteps: []string{"starting store", "ready store", "stopped store: dial: context canceled"},
			wantErr:   "store: dial: context canceled", wantCause: context.Canceled,
		},
		{
			name: "a part without work left counts as ready and done",
			parts: []Part{{Name: "migrate", Run: func(context.Context, func()) error { return nil }},
				steady("http", 0, 0)},
			cancel:    time.Second,
			wantSteps: []string{"starting migrate", "stopped migrate", "starting http", "ready http", "stopping http", "stopped http"},
			wantTook:  time.Second,
		},
		{
			name:      "all parts done ends the group",
			parts:     []Part{failing("a", time.Second, nil), failing("b", 2*time.Second, nil)},
			wantSteps: []string{"starting a", "ready a", "starting b", "ready b", "stopped a", "stopped b"},
			wantTook:  2 * time.Second,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.cancel > 0 {
					time.AfterFunc(c.cancel, cancel)
				}
				var j journal
				began := time.Now()
				err := New(c.parts...).Observe(j.note).Run(ctx)
				if took := time.Since(began); took != c.wantTook {
					t.Errorf("took %v, want %v", took, c.wantTook)
				}
				if got := fmt.Sprint(err); err == nil && c.wantErr != "" || err != nil && got != c.wantErr {
					t.Errorf("error %q, want %q", got, c.wantErr)
				}
				if c.wantCause != nil && !errors.Is(err, c.wantCause) {
					t.Errorf("error %v does not wrap %v", err, c.wantCause)
				}
				// "ready" and the end of a part that returns at once race in
				// the one case where both happen in the same instant.
				if errors.Is(c.wantCause, context.Canceled) {
					j.lines = slices.DeleteFunc(j.lines, func(l string) bool { return l == "ready store" })
					c.wantSteps = slices.DeleteFunc(c.wantSteps, func(l string) bool { return l == "ready store" })
				}
				if d := cmp.Diff(c.wantSteps, j.lines); d != "" {
					t.Errorf("steps (-want +got):\n%s", d)
				}
				time.Sleep(2 * time.Hour) // an abandoned part ends some day
			})
		})
	}
}

func TestStopTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		stuck := Part{Name: "rpc", StopTimeout: 3 * time.Second, Run: func(_ context.Context, ready func()) error {
			ready()
			<-release
			return nil
		}}
		stoppedStore := false
		store := Part{Name: "store", Run: func(ctx context.Context, ready func()) error {
			ready()
			<-ctx.Done()
			stoppedStore = true
			return nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := New(store, stuck).Run(ctx)
		var abandoned *AbandonedError
		if !errors.As(err, &abandoned) || !slices.Equal(abandoned.Parts, []string{"rpc"}) {
			t.Errorf("error = %v, want an AbandonedError that names rpc", err)
		}
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("took %v, want 4s", took)
		}
		if !stoppedStore {
			t.Error("store was not stopped after rpc was abandoned")
		}
		close(release)
	})
}

func TestEarlierPartLivesUntilLaterEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var storeCtx context.Context
		store := Part{Name: "store", Run: func(ctx context.Context, ready func()) error {
			storeCtx = ctx
			ready()
			<-ctx.Done()
			return nil
		}}
		rpc := Part{Name: "rpc", Run: func(ctx context.Context, ready func()) error {
			ready()
			<-ctx.Done()
			time.Sleep(time.Second)
			if storeCtx.Err() != nil {
				t.Error("store was told to stop while rpc was still stopping")
			}
			return nil
		}}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
		time.AfterFunc(time.Second, cancel)
		if err := New(store, rpc).Run(ctx); err != nil {
			t.Error(err)
		}
		if storeCtx.Value(key{}) != "v" {
			t.Error("the part's context lost the values of the group's")
		}
	})
}
