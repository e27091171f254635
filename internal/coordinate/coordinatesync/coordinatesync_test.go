package coordinatesync_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ctl-sh/ctl/internal/coordinate"
	"github.com/ctl-sh/ctl/internal/coordinate/coordinatesync"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// servers keep what they are told.
type servers struct {
	t *testing.T

	mu     sync.Mutex
	known  *coordinate.Coordinate
	looks  int
	tells  []time.Time
	status int   // of every answer, unless 0
	err    error // of every request
	lose   bool  // what is told is not kept
}

// Do implements coordinatesync.Requester.
func (s *servers) Do(_ context.Context, method, path string, query url.Values, body []byte) (int, http.Header, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.status != 0 {
		s.looks++
		return s.status, nil, []byte("no"), s.err
	}
	switch method + " " + path {
	case "GET /v1/coordinate/node/node%2F1":
		s.looks++
		if !query.Has("stale") {
			s.t.Error("it asks the leader where any server would do")
		}
		if s.known == nil {
			return http.StatusNotFound, nil, nil, nil
		}
		answer, err := json.Marshal([]any{map[string]any{"Node": "node/1", "Coord": s.known}})
		return http.StatusOK, nil, answer, err
	case "PUT /v1/coordinate/update":
		var told struct {
			Node  string
			Coord *coordinate.Coordinate
		}
		if err := json.Unmarshal(body, &told); err != nil || told.Node != "node/1" {
			s.t.Errorf("told %s", body)
		}
		s.tells = append(s.tells, time.Now())
		if !s.lose {
			s.known = told.Coord
		}
		return http.StatusOK, nil, nil, nil
	}
	s.t.Errorf("unexpected request %s %s", method, path)
	return http.StatusNotFound, nil, nil, nil
}

// place is where the node of a test is.
type place struct{ coordinate.Coordinate }

func at(ms float64) place {
	c := coordinate.Coordinate{Vec: make([]float64, coordinate.Dimensions), Error: 0.3, Height: 1e-5}
	c.Vec[0] = ms / 1000
	return place{c}
}

// run lets a node live in a cluster of so many nodes; here is asked where it is.
func run(t *testing.T, nodes int, s *servers, here func() place) {
	t.Helper()
	told := coordinatesync.New(coordinatesync.Config{
		Node: "node/1", Here: func() coordinate.Coordinate {
			s.mu.Lock()
			defer s.mu.Unlock()
			return here().Coordinate
		},
		Nodes: func() int { return nodes }, RateTarget: 64, MinInterval: 15 * time.Second,
	}, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	s.mu.Lock() // the test's, but while it waits
	go func() { done <- told.Run(ctx, func() {}) }()
	t.Cleanup(func() {
		s.mu.Unlock()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// after waits and returns how much was told by then. What the test changes
// before it waits again is seen by who asks afterwards.
func (s *servers) after(d time.Duration) int {
	s.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
	s.mu.Lock()
	return len(s.tells)
}

func TestIdleClusterWritesNothing(t *testing.T) {
	for _, c := range []struct {
		name    string
		noise   float64 // ms, standard deviation of each look
		most    int     // tellings in the first hour
		perHour float64 // tellings an hour in the day after it
	}{
		{"exact measurements", 0, 1, 0},
		{"measurements as on a quiet network", 0.05, 1, 0},
		{"measurements as on a busy machine", 1, 17, 1.5},
		{"measurements as on a machine that is out of breath", 10, 20, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &servers{t: t}
				random := rand.New(rand.NewPCG(1, 2))
				run(t, 4, s, func() place { return at(20 + random.NormFloat64()*c.noise) })
				first := s.after(time.Hour)
				if first < 1 || first > c.most {
					t.Errorf("told %d times in the first hour, at most %d would do", first, c.most)
				}
				if later := float64(s.after(24*time.Hour)-first) / 24; later > c.perHour {
					t.Errorf("told %.1f times an hour afterwards, at most %.1f would do", later, c.perHour)
				}
				if s.looks < 24*120 {
					t.Errorf("it looked only %d times", s.looks)
				}
			})
		})
	}
}

func TestMovesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &servers{t: t}
		here := at(1)
		run(t, 4, s, func() place { return here })
		if n := s.after(30 * time.Second); n != 1 {
			t.Fatalf("told %d times at first", n)
		}
		here = at(1.4)
		if n := s.after(time.Hour); n != 1 {
			t.Errorf("a move of 0.4 ms was told")
		}
		here = at(1.6)
		if n := s.after(30 * time.Second); n != 2 {
			t.Errorf("a move of 0.6 ms was not told within two intervals")
		}
		here = at(2.2)
		if n := s.after(10 * time.Minute); n != 2 {
			t.Errorf("a second small move soon after was told")
		}
		here = at(30)
		if n := s.after(30 * time.Second); n != 3 {
			t.Errorf("a large move was not told")
		}
		here = at(30.6)
		if n := s.after(time.Hour); n != 3 {
			t.Errorf("a small move was told within the hour")
		}
		if n := s.after(2 * time.Hour); n != 4 {
			t.Errorf("a small move was never told, though all was calm")
		}
	})
}

func TestWhatIsLostIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &servers{t: t, lose: true}
		run(t, 4, s, func() place { return at(1) })
		if n := s.after(2 * time.Minute); n < 4 {
			t.Errorf("told %d times while nobody kept it", n)
		}
		s.lose = false
		s.after(time.Minute)
		before := len(s.tells)
		s.known = nil // the node was deregistered
		if n := s.after(30 * time.Second); n != before+1 {
			t.Errorf("not told again after it was forgotten")
		}
	})
}

func TestAPlaceWithoutMeasurementReplacesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := at(7).Coordinate
		s := &servers{t: t, known: &known}
		here := at(0)
		here.Error = 1.5
		run(t, 4, s, func() place { return here })
		if n := s.after(10 * time.Minute); n != 0 {
			t.Errorf("told %d times", n)
		}
		here = at(3)
		if n := s.after(30 * time.Second); n != 1 || s.known.Vec[0] != 0.003 {
			t.Errorf("told %d times, they know %v", n, s.known)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &servers{t: t}
		alone := at(0)
		alone.Error = 1.5
		run(t, 1, s, func() place { return alone })
		if n := s.after(10 * time.Minute); n != 1 {
			t.Errorf("an agent alone told %d times where it is", n)
		}
	})
}

func TestWhatSpoilsDistancesIsAMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := coordinate.Coordinate{Vec: []float64{1}, Error: 0.1}
		s := &servers{t: t, known: &known}
		run(t, 4, s, func() place { return at(3) })
		if n := s.after(30 * time.Second); n != 1 || len(s.known.Vec) != coordinate.Dimensions {
			t.Errorf("told %d times, they know %v", n, s.known)
		}
	})
}

func TestLooksAreSpreadOutInALargeCluster(t *testing.T) {
	for _, c := range []struct {
		nodes       int
		least, most float64 // looks an hour
	}{
		{1, 120, 240}, {960, 120, 240}, {9600, 12, 24},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &servers{t: t}
			run(t, c.nodes, s, func() place { return at(1) })
			s.after(10 * time.Hour)
			if got := float64(s.looks) / 10; got < c.least || got > c.most {
				t.Errorf("with %d nodes: %v looks an hour, want %v to %v", c.nodes, got, c.least, c.most)
			}
		})
	}
}

func TestFailuresAreTriedAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		err    error
	}{
		{"refused", 500, nil}, {"disabled at the servers", 401, nil}, {"no answer", 0, errors.New("gone")},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &servers{t: t, status: c.status, err: c.err}
				run(t, 4, s, func() place { return at(1) })
				if s.after(10 * time.Minute); s.looks < 20 || s.looks > 41 {
					t.Errorf("%d looks in ten minutes", s.looks)
				}
				s.status, s.err = 0, nil
				if n := s.after(30 * time.Second); n != 1 {
					t.Errorf("told %d times once that was over", n)
				}
			})
		})
	}
}

func TestHereIsNeverSpoiled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &servers{t: t}
		nan := at(0)
		nan.Vec[0] = math.NaN()
		run(t, 4, s, func() place { return nan })
		if n := s.after(time.Minute); n != 0 {
			t.Errorf("told %d times what cannot be written down", n)
		}
	})
}
