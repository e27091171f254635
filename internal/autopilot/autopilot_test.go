package autopilot_test

import (
	"testing"

	"github.com/ctl-sh/ctl/internal/autopilot"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

func TestChange(t *testing.T) {
	first := autopilot.Default()
	first.MinQuorum = 3
	for _, c := range []struct {
		name   string
		stored bool
		change autopilot.Change
		want   bool
	}{
		{"first settings", false, autopilot.Change{IfAbsent: true}, true},
		{"first settings when there are some", true, autopilot.Change{IfAbsent: true}, false},
		{"plain", true, autopilot.Change{}, true},
		{"right index", true, autopilot.Change{CAS: true, Index: 5}, true},
		{"wrong index", true, autopilot.Change{CAS: true, Index: 4}, false},
		{"an index without settings", false, autopilot.Change{CAS: true, Index: 4}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := storetest.Open(t, autopilot.Module())
			before := uint(0)
			if c.stored {
				storetest.Apply(t, db, 5, autopilot.TypeChange, &autopilot.Change{Config: first})
				before = 3
			}
			c.change.Config = autopilot.Default()
			c.change.Config.MinQuorum = 7
			if got := storetest.Apply(t, db, 9, autopilot.TypeChange, &c.change); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			tx, _ := db.Read()
			got, _, err := autopilot.Get(nil, tx)
			if err != nil {
				t.Fatal(err)
			}
			want := before
			if c.want {
				want = 7
			}
			if got.MinQuorum != want {
				t.Errorf("min quorum is %d, want %d", got.MinQuorum, want)
			}
		})
	}
}
