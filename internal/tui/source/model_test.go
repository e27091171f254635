package source

import (
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
