package source

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clocked returns a source that is not run and whose time is set.
func clocked(t *testing.T) (s *Source, at *time.Time) {
	t.Helper()
	now := time.Unix(1_700_000_000, 0)
	s, err := New(Config{Endpoints: []Endpoint{{Name: "a", URL: "http://a"}}, Pause: -1, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return s, &now
}

// rows is what the past of a state must have again.
type rows struct {
	Services                []*Service
	Nodes                   []*Node
	Problems                []*Check
	LAN                     []*Member
	Alive, Failed           int
	Passing, Critical, Warn int
	Service                 string
	Instances               []*Instance
	Leader                  string
	Events                  int
}

func rowsIn(s *State) rows {
	return rows{some(s.Services.Rows), some(s.Nodes.Rows), some(s.Problems.Rows), some(s.Members.LAN), s.Members.Alive, s.Members.Failed,
		s.Services.Passing, s.Services.Critical, s.Services.Warning, s.Service.Name, some(s.Service.Rows), s.Cluster.Leader, len(s.Recent.Events)}
}

// some returns rows, nil for none.
func some[R any](rows []*R) []*R {
	if len(rows) == 0 {
		return nil
	}
	return rows
}

// TestThePastIsWhatWasThen changes everything at random and checks that the past
// of every moment is the state that was current then: row for row the same.
func TestThePastIsWhatWasThen(t *testing.T) {
	for seed := range uint64(8) {
		s, now := clocked(t)
		r := rand.New(rand.NewPCG(seed, 7))
		health := func() string { return []string{Passing, Warning, Critical}[r.IntN(3)] }
		name := func() string { return fmt.Sprintf("x%02d", r.IntN(12)) }
		service := func() *Service {
			x := &Service{Name: name(), Instances: 3, Counted: true, Passing: r.IntN(3), Critical: r.IntN(2)}
			return x
		}
		node := func() *Node { return &Node{Name: name(), Counted: true, Critical: r.IntN(3)} }
		check := func() *Check { return &Check{Node: name(), ID: "c", Status: health(), Index: r.Uint64N(50)} }
		member := func() *Member { return &Member{Name: name(), State: []string{"alive", "failed"}[r.IntN(2)]} }
		instance := func() *Instance { return &Instance{Node: name(), ID: "i", Health: health()} }
		many := func(n int, add func()) {
			for range r.IntN(n) {
				add()
			}
		}
		all := SectionServices | SectionNodes | SectionProblems
		s.Interest(Interest{Sections: all, Service: "web"})
		s.update(func(m *model) {
			m.setServices(nil, false)
			m.setNodes(nil, false)
			m.setProblems(nil, false)
			m.setMembers(nil, false)
			m.setCluster(Cluster{Leader: "s1"}, false)
			m.setInstances("web", nil, false)
		})
		type moment struct {
			at   time.Time
			rows rows
		}
		var seen []moment
		for range 200 {
			*now = now.Add(time.Duration(1+r.IntN(2000)) * time.Millisecond)
			s.update(func(m *model) {
				switch r.IntN(14) {
				case 0:
					var x []*Service
					many(15, func() { x = append(x, service()) })
					m.setServices(x, false)
				case 1:
					var x []*Check
					many(15, func() { x = append(x, check()) })
					m.setProblems(x, false)
				case 2:
					var x []*Node
					many(15, func() { x = append(x, node()) })
					m.setNodes(x, false)
				case 3:
					m.putNode(node())
				case 4:
					m.removeNode(name())
				case 5:
					m.putProblem(check())
				case 6:
					m.removeProblem(checkKey(check()))
				case 7:
					m.putMember(member(), false)
				case 8:
					m.removeMember(name(), false)
				case 9:
					m.removeService(name())
				case 10:
					m.putInstance(m.service, instance())
				case 11:
					m.setCluster(Cluster{Leader: name()}, false)
				default:
					m.putService(service())
				}
			})
			if r.IntN(40) == 0 {
				s.Interest(Interest{Sections: all, Service: name()})
				s.update(func(m *model) { m.setInstances(m.service, []*Instance{instance()}, false) })
			}
			seen = append(seen, moment{*now, rowsIn(s.Current())})
		}
		for i, m := range seen {
			past := s.Past(m.at)
			if !past.AsOf.Equal(m.at) {
				t.Fatalf("seed %d: the past of %v is as of %v", seed, m.at, past.AsOf)
			}
			// What was not read yet is not known in the past either.
			if got := rowsIn(past); !reflect.DeepEqual(got, m.rows) {
				t.Fatalf("seed %d: the past of moment %d differs from what was (-was +past):\n%s", seed, i, cmp.Diff(m.rows, got))
			}
		}
		// Going back step by step passes moments in order, and forward again
		// comes to where it began.
		var visited []time.Time
		for at := (time.Time{}); ; {
			to, ok := s.Step(at, true)
			if !ok {
				break
			}
			if !at.IsZero() && !to.Before(at) {
				t.Fatalf("seed %d: a step back from %v goes to %v", seed, at, to)
			}
			visited, at = append(visited, to), to
		}
		if len(visited) < 100 {
			t.Fatalf("seed %d: %d steps back", seed, len(visited))
		}
		for i := len(visited) - 1; i > 0; i-- {
			if to, ok := s.Step(visited[i], false); !ok || !to.Equal(visited[i-1]) {
				t.Fatalf("seed %d: a step forward from %v goes to %v, %v; back came from %v", seed, visited[i], to, ok, visited[i-1])
			}
		}
		if to, ok := s.Step(visited[0], false); ok {
			t.Fatalf("seed %d: after the last step there is %v, want now", seed, to)
		}
	}
}

func TestStepsOfThePast(t *testing.T) {
	s, now := clocked(t)
	began := *now
	s.Interest(Interest{Sections: SectionServices})
	after := func(d time.Duration) time.Time { return began.Add(d) }
	put := func(d time.Duration, name string) {
		*now = after(d)
		s.update(func(m *model) { m.putService(&Service{Name: name, Counted: true}) })
	}
	if _, ok := s.Step(time.Time{}, true); ok {
		t.Error("there is a step back before anything changed")
	}
	*now = after(time.Second)
	s.update(func(m *model) { m.setServices([]*Service{{Name: "a", Counted: true}}, false) })
	put(10*time.Second, "b")
	put(20*time.Second, "c")
	put(20*time.Second+30*time.Millisecond, "d")
	put(20*time.Second+60*time.Millisecond, "e")
	put(30*time.Second, "f")
	*now = after(time.Minute)
	for _, c := range []struct {
		name  string
		from  time.Time
		back  bool
		to    time.Time
		ok    bool
		count int // services there
	}{
		{"back from now", time.Time{}, true, after(20*time.Second + 60*time.Millisecond), true, 5},
		{"changes that came together are one step", after(25 * time.Second), true, after(10 * time.Second), true, 2},
		{"before the first change, as it was read", after(10 * time.Second), true, after(time.Second), true, 1},
		{"before it was read", after(time.Second), true, began, true, 0},
		{"no further back", began, true, began, false, 0},
		{"forward over changes that came together", after(10 * time.Second), false, after(20*time.Second + 60*time.Millisecond), true, 5},
		{"forward to now", after(20*time.Second + 60*time.Millisecond), false, time.Time{}, false, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			to, ok := s.Step(c.from, c.back)
			if !to.Equal(c.to) || ok != c.ok {
				t.Errorf("goes to %v, %v, want %v, %v", to.Sub(began), ok, c.to.Sub(began), c.ok)
			}
			if to.IsZero() {
				to = *now
			}
			if got := len(s.Past(to).Services.Rows); got != c.count {
				t.Errorf("%d services then, want %d", got, c.count)
			}
		})
	}
}

// TestThePastSaysWhatWasWatched: what nobody looked at is told apart from what
// there was.
func TestThePastSaysWhatWasWatched(t *testing.T) {
	s, now := clocked(t)
	began := *now
	at := func(d time.Duration, f func()) {
		*now = began.Add(d)
		f()
	}
	looking := Interest{Sections: SectionServices, Service: "web"}
	at(10*time.Second, func() { s.Interest(looking) })
	at(11*time.Second, func() {
		s.update(func(m *model) {
			m.setServices([]*Service{{Name: "web", Counted: true}}, false)
			m.setInstances("web", []*Instance{{Node: "n", ID: "web1"}}, false)
		})
	})
	at(20*time.Second, func() { s.Interest(Interest{}) })
	at(30*time.Second, func() { s.Interest(looking) })
	at(31*time.Second, func() { s.update(func(m *model) { m.setServices(nil, false) }) })
	at(40*time.Second, func() {
		s.update(func(m *model) { m.fail(inServices, &Problem{Text: "no"}) })
	})
	at(41*time.Second, func() {
		s.update(func(m *model) {
			m.connection.Link = Lost
			m.touch(inConnection)
		})
	})
	*now = began.Add(time.Minute)
	for _, c := range []struct {
		name      string
		at        time.Duration
		phase     Phase
		since     time.Duration // its At; negative for never
		services  int
		service   string
		instances int
		link      Link
	}{
		{"before anybody looked", 5 * time.Second, Idle, -1, 0, "", 0, Connecting},
		{"before the answer", 10 * time.Second, Loading, -1, 0, "web", 0, Connecting},
		{"while it was watched", 15 * time.Second, Ready, 15 * time.Second, 1, "web", 1, Connecting},
		{"after it was left, as seen last", 25 * time.Second, Idle, 20 * time.Second, 1, "", 0, Connecting},
		{"watched again", 31 * time.Second, Ready, 31 * time.Second, 0, "web", 0, Connecting},
		{"failed", 40 * time.Second, Failed, 31 * time.Second, 0, "web", 0, Connecting},
		{"out of reach", 50 * time.Second, Failed, 31 * time.Second, 0, "web", 0, Lost},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := s.Past(began.Add(c.at))
			since := time.Duration(-1)
			if !p.Services.At.IsZero() {
				since = p.Services.At.Sub(began)
			}
			if p.Services.Phase != c.phase || since != c.since || len(p.Services.Rows) != c.services {
				t.Errorf("services are %v since %v, %d rows", p.Services.Phase, since, len(p.Services.Rows))
			}
			if p.Service.Name != c.service || len(p.Service.Rows) != c.instances {
				t.Errorf("looked at %q with %d instances", p.Service.Name, len(p.Service.Rows))
			}
			if p.Connection.Link != c.link {
				t.Errorf("link %v, want %v", p.Connection.Link, c.link)
			}
		})
	}
	if got := s.Past(began.Add(-time.Hour)).AsOf; !got.Equal(began) {
		t.Errorf("before the beginning it is as of %v", got.Sub(began))
	}
}

// TestThePastIsBounded: in memory as measured, in time, and by changes of any
// size.
func TestThePastIsBounded(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var st runtime.MemStats
		runtime.ReadMemStats(&st)
		return st.HeapAlloc
	}
	const services = 500
	for _, c := range []struct {
		name    string
		output  int // bytes of a tag
		changes int
	}{{"small rows", 20, 40_000}, {"large rows", 20_000, 3000}} {
		t.Run(c.name, func(t *testing.T) {
			s, now := clocked(t)
			row := func(i int) *Service {
				return &Service{Name: strings.Clone(fmt.Sprintf("service-%05d", i%services)), Counted: true, Instances: 3, Critical: i % 3, Tags: []string{strings.Repeat("t", c.output)}}
			}
			var all []*Service
			for i := range services {
				all = append(all, row(i))
			}
			s.update(func(m *model) { m.setServices(all, false) })
			before := heap()
			for i := range c.changes {
				*now = now.Add(time.Millisecond)
				s.update(func(m *model) { m.putService(row(i + i/services)) })
			}
			s.model.recent = ring[Event]{max: MaxEvents}
			grown := int64(heap()) - int64(before)
			if p := &s.model.past; p.bytes > maxPast+c.output || grown > 3*maxPast/2 {
				t.Errorf("%d bytes are counted, the heap grew by %d; %d is the bound", p.bytes, grown, maxPast)
			} else if p.bytes < maxPast/2 {
				t.Errorf("only %d bytes are kept of the %d allowed", p.bytes, maxPast)
			}
			oldest := s.Past(time.Time{}).AsOf
			if !oldest.After(time.Unix(1_700_000_000, 0)) || oldest.After(*now) {
				t.Errorf("the past begins at %v", oldest)
			}
			runtime.KeepAlive(s)
		})
	}
	s, now := clocked(t)
	for range 400 {
		*now = now.Add(time.Minute)
		s.update(func(m *model) { m.setServices([]*Service{{Name: now.String(), Counted: true}}, false) })
	}
	if n := s.Past(time.Time{}).AsOf; now.Sub(n) != KeepEvents {
		t.Errorf("the past goes back %v, want %v", now.Sub(n), KeepEvents)
	}
	n := 0
	for _, c := range s.model.past.chunks {
		n += len(c.changes)
	}
	if n > 3*chunkChanges {
		t.Errorf("%d changes are kept of the last %v", n, KeepEvents)
	}
}

// TestThePastStaysAsItWasHandedOut: changes go on while somebody looks back.
func TestThePastStaysAsItWasHandedOut(t *testing.T) {
	s, now := clocked(t)
	put := func(i int) {
		*now = now.Add(time.Second / 4)
		s.update(func(m *model) {
			m.putService(&Service{Name: fmt.Sprintf("s%d", i%7), Counted: true, Critical: i % 2})
		})
	}
	s.update(func(m *model) { m.setServices(nil, false) })
	for i := range 50 {
		put(i)
	}
	at := now.Add(-3 * time.Second)
	first := s.Past(at)
	was := slices.Clone(first.Services.Rows)
	for i := range 500 {
		put(i)
		if again := s.Past(at); !slices.Equal(again.Services.Rows, was) || !slices.Equal(first.Services.Rows, was) {
			t.Fatalf("after %d more changes the past is another", i+1)
		}
	}
}

func BenchmarkPast(b *testing.B) {
	now := time.Unix(1_700_000_000, 0)
	s, err := New(Config{Endpoints: []Endpoint{{Name: "a", URL: "http://a"}}, Now: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	var all []*Service
	for i := range 5000 {
		all = append(all, &Service{Name: fmt.Sprintf("service-%05d", i), Counted: true})
	}
	s.update(func(m *model) { m.setServices(all, false) })
	put := func(i int) {
		now = now.Add(time.Millisecond)
		s.update(func(m *model) {
			m.putService(&Service{Name: fmt.Sprintf("service-%05d", i%5000), Counted: true, Critical: i / 5000 % 2})
		})
	}
	for i := range 20_000 {
		put(i)
	}
	b.Run("change", func(b *testing.B) {
		for i := range b.N {
			put(i)
		}
	})
	b.Run("look back as far as it goes", func(b *testing.B) {
		for range b.N {
			s.Past(time.Time{})
		}
	})
	b.Run("step back", func(b *testing.B) {
		for range b.N {
			s.Step(now.Add(-5*time.Second), true)
		}
	})
}
