package catalogapi_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/catalog"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

// TestSinceWhenChecksAreCritical follows a check through its states.
func TestSinceWhenChecksAreCritical(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, db := writable(t)
		mux := newMux(t, a)
		state := func(status, output string) {
			register(t, mux, `{"Node":"n1","SkipNodeUpdate":true,"Check":{"CheckID":"tcp","Name":"TCP","ServiceID":"web","Status":"`+status+`","Output":"`+output+`"}}`)
		}
		row := func(since, seconds string) string {
			return `[{"Node":"n1","CheckID":"tcp","Name":"TCP","ServiceID":"web","ServiceName":"web","Since":"2000-01-01T` + since + `Z","Seconds":` + seconds + `}]`
		}
		want := func(when, query, body string) {
			t.Helper()
			if w := do(mux, http.MethodGet, "/v1/ctl/critical"+query, ""); w.Code != http.StatusOK || w.Body.String() != body {
				t.Errorf("%s: got %d %s\nwant %s", when, w.Code, w.Body, body)
			}
		}
		register(t, mux, `{"Node":"n1","Address":"10.0.0.1","Service":{"Service":"web"}}`)
		state("passing", "")
		want("passing", "", "[]")
		time.Sleep(time.Hour)
		state("critical", "a")
		time.Sleep(time.Hour)
		state("critical", "b")
		register(t, mux, `{"Node":"n1","SkipNodeUpdate":true,"Service":{"Service":"web","Port":1}}`)
		want("critical for an hour, with another output since", "", row("01:00:00", "3600"))
		want("exactly as long", "?for=1h", row("01:00:00", "3600"))
		want("not as long", "?for=61m", "[]")
		state("passing", "")
		state("critical", "c")
		want("anew", "?for=0s", row("02:00:00", "0"))
		// What was written before times were.
		storetest.Apply(t, db, 900, catalog.TypeRegister, &catalog.Registration{
			Node: catalog.Node{Node: "old", Address: "10.0.0.2"}, Checks: []*catalog.Check{{CheckID: "x", Status: catalog.Critical}},
		})
		want("of an unknown time", "", row("02:00:00", "0"))
		if w := do(mux, http.MethodGet, "/v1/ctl/critical?for=long", ""); w.Code != http.StatusBadRequest {
			t.Errorf("no duration: %d %s", w.Code, w.Body)
		}
	})
}

func TestAgentIsToldOfARemoval(t *testing.T) {
	a, _ := writable(t)
	var told []string
	a.Hint = func(node string) { told = append(told, node) }
	mux := newMux(t, a)
	register(t, mux,
		`{"Node":"n1","Address":"10.0.0.1","Service":{"Service":"web"},"Checks":[{"CheckID":"serfHealth","Status":"passing"},{"CheckID":"tcp","ServiceID":"web"}]}`,
		`{"Node":"external","Address":"db","Service":{"Service":"web"}}`)
	for _, c := range []struct {
		name, query, body string
		told              int
	}{
		{"what is not there", "", `{"Node":"n1","ServiceID":"none"}`, 0},
		{"of a node without an agent", "", `{"Node":"external","ServiceID":"web"}`, 0},
		{"a check", "", `{"Node":"n1","CheckID":"tcp"}`, 1},
		{"by the agent itself", "?origin=agent", `{"Node":"n1","ServiceID":"web"}`, 0},
		{"a node", "", `{"Node":"n1"}`, 0},
	} {
		told = nil
		if w := do(mux, http.MethodPut, "/v1/catalog/deregister"+c.query, c.body); w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", c.name, w.Code, w.Body)
		}
		if len(told) != c.told {
			t.Errorf("%s: told %v", c.name, told)
		}
	}
	if w := do(mux, http.MethodGet, "/v1/ctl/removed/N1", ""); w.Code != http.StatusOK || w.Header().Get("X-Consul-Index") == "" {
		t.Errorf("removed: %d %v", w.Code, w.Header())
	}
}
