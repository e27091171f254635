package local

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/journal"
)

// slowFile flushes when it is told to, and as it is told.
type slowFile struct {
	flushing chan struct{}
	result   chan error
	refuses  error
}

func (f *slowFile) Append(...journal.Record) (journal.Mark, error) { return 1, f.refuses }
func (f *slowFile) Flush(journal.Mark) error {
	close(f.flushing)
	return <-f.result
}
func (*slowFile) Tidy()        {}
func (*slowFile) Close() error { return nil }

func on(f file) *State {
	s := New(Config{Node: Node{Name: "n"}}, stopping{})
	s.keep.dir, s.keep.file = "somewhere", f
	return s
}

func web(t *testing.T) *ServiceDefinition {
	t.Helper()
	d := &ServiceDefinition{ID: "web", Name: "web"}
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestMeanwhile has each change tell while the disk is waited for: the flush ends
// only after telling, and telling only after the flush began.
func TestMeanwhile(t *testing.T) {
	broken := errors.New("the disk is broken")
	for _, test := range []struct {
		name   string
		change func(t *testing.T, s *State, meanwhile func()) error
		holds  func(s *State) bool
		flush  error
	}{
		{
			"a registration",
			func(t *testing.T, s *State, m func()) error {
				return s.RegisterService(web(t), FromAPI, false, m)
			},
			func(s *State) bool { return s.Service("web") != nil }, nil,
		},
		{
			"a registration that cannot be flushed",
			func(t *testing.T, s *State, m func()) error {
				return s.RegisterService(web(t), FromAPI, false, m)
			},
			func(s *State) bool { return s.Service("web") != nil }, broken,
		},
		{
			"a removal",
			func(_ *testing.T, s *State, m func()) error { return s.DeregisterService("old", m) },
			func(s *State) bool { return s.Service("old") == nil }, nil,
		},
		{
			"maintenance of the node",
			func(_ *testing.T, s *State, m func()) error { return s.SetNodeMaintenance(true, "", m) },
			func(s *State) bool { return s.Check(NodeMaintenance) != nil }, nil,
		},
		{
			"maintenance of a service",
			func(_ *testing.T, s *State, m func()) error { return s.SetServiceMaintenance("old", true, "", m) },
			func(s *State) bool { return s.Check(serviceMaintenance+"old") != nil }, nil,
		},
		{
			"the removal of a check",
			func(_ *testing.T, s *State, m func()) error { return s.DeregisterCheck("c", m) },
			func(s *State) bool { return s.Check("c") == nil }, nil,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &slowFile{flushing: make(chan struct{}), result: make(chan error)}
				s := on(f)
				s.services["old"] = &instance{row: &Service{ID: "old", Service: "old"}}
				s.enter("c", &check{row: &Check{CheckID: "c"}})
				called := 0
				err := test.change(t, s, func() {
					called++
					<-f.flushing
					if !test.holds(s) {
						t.Error("told before it holds here")
					}
					go func() { f.result <- test.flush }() // received by Flush
				})
				if called != 1 || !errors.Is(err, test.flush) {
					t.Errorf("told %d times, %v; want once, and %v", called, err, test.flush)
				}
			})
		})
	}
}

// TestWhoSharesAFlushTellsAfterwards has a second registration wait for the disk
// while the first does.
func TestWhoSharesAFlushTellsAfterwards(t *testing.T) {
	t.Parallel()
	for _, flush := range []error{nil, errors.New("the disk is broken")} {
		synctest.Test(t, func(t *testing.T) {
			first := &slowFile{flushing: make(chan struct{}), result: make(chan error)}
			s := on(first)
			done := make(chan error, 2)
			go func() { done <- s.SetNodeMaintenance(true, "", nil) }() // awaited below
			<-first.flushing
			second := &slowFile{flushing: make(chan struct{}), result: make(chan error)}
			s.keep.file = second
			told := false
			go func() { done <- s.RegisterService(web(t), FromAPI, false, func() { told = true }) }() // awaited below
			<-second.flushing
			synctest.Wait()
			if told || s.Service("web") == nil {
				t.Errorf("told %v while the disk is waited for, registered %v", told, s.Service("web"))
			}
			second.result <- flush
			if err := <-done; !errors.Is(err, flush) || told != (flush == nil) {
				t.Errorf("then told %v, %v", told, err)
			}
			first.result <- nil
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// stopping is a runner of checks that are only stopped.
type stopping struct{ Runner }

func (stopping) Stop(string) {}

func TestWhatWasNotMadeIsNotTold(t *testing.T) {
	t.Parallel()
	full := errors.New("the disk is full")
	s := on(&slowFile{refuses: full})
	told := func() { t.Error("told") }
	if err := s.RegisterService(web(t), FromAPI, false, told); !errors.Is(err, full) {
		t.Errorf("a registration that cannot be written: %v", err)
	}
	if err := s.DeregisterService("unknown", told); !failure.Is(err, failure.NotFound) {
		t.Errorf("the removal of nothing: %v", err)
	}
}
