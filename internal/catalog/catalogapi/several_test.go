package catalogapi_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
)

func TestSeveralAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		status     int
		text       string
		there      string // names of the services afterwards
	}{
		{"none", `[]`, 200, "[]", `{"old":[]}`},
		{"two", `[{"Register":{"Node":"n1","SkipNodeUpdate":true,"Service":{"Service":"a"},"Checks":[{"CheckID":"c","ServiceID":"a"}]}},{"Register":{"Node":"n1","SkipNodeUpdate":true,"Service":{"Service":"b"}}}]`, 200, "[null,null]", `{"a":[],"b":[],"old":[]}`},
		{"one is refused, the others are made", `[{"Register":{"Node":"n1","SkipNodeUpdate":true,"Service":{"Service":"a"}}},{"Register":{"Node":"n1","SkipNodeUpdate":true,"Service":{"Service":"Consul"}}},{"Register":{"Node":"n1","SkipNodeUpdate":true,"Check":{"CheckID":"c","ServiceID":"no"}}},{"Deregister":{"Node":"n1","ServiceID":"old"}}]`,
			200, `[null,{"Status":400,"Text":"The service \"consul\" is reserved: each server is registered as it by the leader, and nobody else can be"},{"Status":500,"Text":"Unknown service ID 'no' for check ID 'c'"},null]`, `{"a":[]}`},
		{"another datacenter", `[{"Deregister":{"Node":"n1","ServiceID":"old","Datacenter":"dc9"}}]`, 200, `[{"Status":500,"Text":"` + failure.TextNoPath + `"}]`, `{"old":[]}`},
		{"neither", `[{"Register":{"Node":"n1","Service":{"Service":"a"}}},{}]`, 400, `Each change must be one of {"Register": …} and {"Deregister": …}`, `{"old":[]}`},
		{"both", `[{"Register":{"Node":"n1"},"Deregister":{"Node":"n1"}}]`, 400, `Each change must be one of {"Register": …} and {"Deregister": …}`, `{"old":[]}`},
		{"an unknown member", `[{"Register":{"Node":"n1","Foo":1}}]`, 400, `Request decode failed: json: unknown field "Foo"`, `{"old":[]}`},
		{"no list", `{}`, 400, "Request decode failed: json: cannot unmarshal object into Go value of type []catalogapi.change", `{"old":[]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, _ := writable(t)
			mux := newMux(t, a)
			register(t, mux, `{"Node":"n1","Address":"a","Service":{"Service":"old"}}`)
			w := do(mux, http.MethodPut, "/v1/ctl/catalog?origin=agent", c.body)
			if w.Code != c.status || w.Body.String() != c.text {
				t.Errorf("got %d %s\nwant %d %s", w.Code, w.Body, c.status, c.text)
			}
			if w := do(mux, http.MethodGet, "/v1/catalog/services", ""); w.Body.String() != c.there {
				t.Errorf("there is %s, want %s", w.Body, c.there)
			}
		})
	}
}

// meeting is an Applier that answers when all have come.
type meeting struct {
	sync.WaitGroup
	err error
}

func (m *meeting) Apply(context.Context, uint8, codec.Message) (any, error) {
	m.Done()
	m.Wait()
	return nil, m.err
}

func TestSeveralShareTheLog(t *testing.T) {
	t.Parallel()
	body := "[" + strings.TrimSuffix(strings.Repeat(`{"Register":{"Node":"n1","Address":"a"}},`, 64), ",") + "]"
	for _, c := range []struct {
		name   string
		err    error
		status int
		text   string
	}{
		{"all are made", nil, 200, "[" + strings.TrimSuffix(strings.Repeat("null,", 64), ",") + "]"},
		{"nobody leads any more", failure.New(failure.OutcomeUnknown, "leadership lost"), 503, "leadership lost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, _ := writable(t)
			m := &meeting{err: c.err}
			m.Add(64)
			a.Applier = m
			if w := do(newMux(t, a), http.MethodPut, "/v1/ctl/catalog", body); w.Code != c.status || w.Body.String() != c.text {
				t.Errorf("got %d %s\nwant %d %s", w.Code, w.Body, c.status, c.text)
			}
		})
	}
}

func TestSeveralNeedTheirRights(t *testing.T) {
	t.Parallel()
	a, _ := writable(t)
	register(t, newMux(t, a), `{"Node":"n1","Address":"a","Service":{"Service":"mine"}}`)
	a.Authz = resolver{writer{writes: []string{"service/mine"}}}
	w := do(newMux(t, a), http.MethodPut, "/v1/ctl/catalog", `[{"Register":{"Node":"n1","SkipNodeUpdate":true,"Service":{"Service":"mine","Port":1}}},{"Register":{"Node":"n1","SkipNodeUpdate":true,"Service":{"Service":"theirs"}}},{"Deregister":{"Node":"n1"}}]`)
	got := w.Body.String()
	if w.Code != 200 || !strings.HasPrefix(got, `[null,{"Status":403,`) || strings.Count(got, `"Status":403`) != 2 {
		t.Errorf("got %d %s", w.Code, got)
	}
}
