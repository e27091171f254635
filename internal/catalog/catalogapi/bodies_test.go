package catalogapi

import (
	"fmt"
	"testing"

	"github.com/ctl-sh/ctl/internal/catalog"
)

func TestBodiesAreBounded(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes int // of each target
		kept  int
	}{
		{"many", 1, maxBodies},
		{"large", maxBodyBytes / 4, 4},
		{"too large", maxBodyBytes + 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bodies
			for i := range maxBodies + 10 {
				b.keep(catalog.Target{Service: fmt.Sprint(i)}, &Found{head: &catalog.Head{}, bytes: c.bytes})
			}
			if len(b.kept) != c.kept || b.bytes != c.kept*c.bytes {
				t.Errorf("%d targets of %d bytes are kept, want %d", len(b.kept), b.bytes, c.kept)
			}
		})
	}
}

func TestOnlyWhatChangedIsEncodedAgain(t *testing.T) {
	var b bodies
	target := catalog.Target{Service: "Web"}
	row := func(node string) catalog.Health {
		return catalog.Health{Instance: catalog.Instance{Node: &catalog.Node{Node: node}, Service: &catalog.Service{Node: node}}, Checks: []*catalog.Check{{Node: node}}}
	}
	rows := []catalog.Health{row("n1"), row("n2"), row("n3")}
	get := func(head *catalog.Head, rows ...catalog.Health) *Found {
		t.Helper()
		h, err := b.get(target, head, func() ([]catalog.Health, error) { return rows, nil })
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	head := &catalog.Head{Index: 1}
	first := get(head, rows...)
	if get(head) != first {
		t.Error("the same head was read again")
	}
	changed := rows[2]
	changed.Checks = []*catalog.Check{{Node: "n3", Status: catalog.Critical}}
	second := get(&catalog.Head{Index: 1}, rows[1], changed)
	if &second.health.json[0][0] != &first.health.json[1][0] {
		t.Error("a row that is as it was was encoded again")
	}
	if string(second.health.json[1]) == string(first.health.json[2]) {
		t.Error("a changed row was not")
	}
	if missing := get(nil); len(missing.rows) != 0 || len(b.kept) != 0 || b.bytes != 0 {
		t.Errorf("%d targets of %d bytes are kept of what is gone", len(b.kept), b.bytes)
	}
}
