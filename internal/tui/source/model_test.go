package source

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestMembersThatWereThereBefore: the pools come in any order, and what is read
// first is no change.
func TestMembersThatWereThereBefore(t *testing.T) {
	lan := func() []*Member { return []*Member{{Name: "a", State: "alive"}, {Name: "b", State: "alive"}} }
	wan := func() []*Member { return []*Member{{Name: "a.dc1", State: "alive"}} }
	for _, c := range []struct {
		name string
		read func(m *model)
	}{
		{"LAN first", func(m *model) { m.setMembers(lan(), false); m.setMembers(wan(), true) }},
		{"WAN first", func(m *model) { m.setMembers(wan(), true); m.setMembers(lan(), false) }},
		{"an empty WAN first", func(m *model) { m.setMembers(nil, true); m.setMembers(lan(), false) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newModel(func() time.Time { return time.Unix(1000, 0) })
			m.setMembers(wan(), true)
			if got := m.status[inMembers].Phase; got != Loading {
				t.Errorf("without the LAN the members are %v, want %v", got, Loading)
			}
			c.read(m)
			if n := len(m.recent.view()); n != 0 {
				t.Errorf("%d changes are told, want none: %+v", n, m.recent.view())
			}
			if a := m.lan.get("a"); a == nil || !a.Since.IsZero() || m.status[inMembers].Phase != Ready {
				t.Errorf("member %+v, %v", a, m.status[inMembers].Phase)
			}
			m.setMembers(lan()[:1], false)
			if n := len(m.recent.view()); n != 1 {
				t.Errorf("a member that went: %d changes, want 1", n)
			}
		})
	}
}

// The counts of services by health are kept as rows change; they must be those of
// counting anew.
func TestServicesAreCountedAsTheyChange(t *testing.T) {
	m := newModel(time.Now)
	m.want(inServices, true)
	r := rand.New(rand.NewPCG(1, 2))
	row := func() *Service {
		return &Service{Name: fmt.Sprintf("s%d", r.IntN(20)), Passing: r.IntN(2), Warning: r.IntN(2), Critical: r.IntN(2), Counted: r.IntN(4) > 0}
	}
	var s *State
	for i := range 2000 {
		switch r.IntN(10) {
		case 0:
			rows := make([]*Service, r.IntN(20))
			for i := range rows {
				rows[i] = row()
			}
			m.setServices(rows, false)
		case 1, 2, 3:
			m.removeService(row().Name)
		default:
			m.putService(row())
		}
		s = m.build(s)
		want := map[string]int{}
		for _, r := range s.Services.Rows {
			want[r.Health()]++
		}
		if got := s.Services; got.Passing != want[Passing] || got.Warning != want[Warning] || got.Critical != want[Critical] {
			t.Fatalf("after %d changes: %d pass, %d warn, %d critical of %v", i+1, got.Passing, got.Warning, got.Critical, want)
		}
	}
}

// A check that passes again leaves the problems before or after its service is
// read: its history ends with what it says now.
func TestTheOutputOfACheckThatPassesAgainIsKept(t *testing.T) {
	check := func(status, output string) *Check {
		return &Check{Node: "n1", ID: "w", ServiceName: "web", Status: status, Output: output}
	}
	for _, c := range []struct {
		name  string
		first bool // the problems
	}{{"the problems first", true}, {"the service first", false}} {
		t.Run(c.name, func(t *testing.T) {
			m := newModel(time.Now)
			m.want(inProblems, true)
			m.want(inService, true)
			m.service = "web"
			now := check(Passing, "fine")
			m.setProblems([]*Check{check(Critical, "dead")}, false)
			if c.first {
				m.setProblems(nil, false)
			}
			m.setInstances("web", []*Instance{{Node: "n1", ID: "web1", Checks: []*Check{now}}}, false)
			if !c.first {
				m.setProblems(nil, false)
			}
			for _, h := range []*History{now.History, m.histories[checkKey(now)]} {
				if last := h.Entries[len(h.Entries)-1]; last.Status != Passing || last.Output != "fine" || h.Flaps != 1 {
					t.Errorf("history %+v", h)
				}
			}
		})
	}
}
