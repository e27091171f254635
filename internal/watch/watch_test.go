package watch_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/watch"
)

// agent answers one question after the other, and waits for ever when it has no
// more.
type agent struct {
	answers []answer
	asked   []string
	at      []time.Duration
	began   time.Time
}

type answer struct {
	status int
	index  string
	body   string
	err    error
}

func (a *agent) Do(ctx context.Context, method, path string, q url.Values, _ []byte) (int, http.Header, []byte, error) {
	a.asked = append(a.asked, method+" "+path+"?"+q.Encode())
	a.at = append(a.at, time.Since(a.began))
	if len(a.answers) == 0 {
		<-ctx.Done()
		return 0, nil, nil, ctx.Err()
	}
	next := a.answers[0]
	a.answers = a.answers[1:]
	h := http.Header{}
	if strings.HasPrefix(path, "/v1/agent/service/") {
		h.Set("X-Consul-ContentHash", next.index)
	} else {
		h.Set("X-Consul-Index", next.index)
	}
	return next.status, h, []byte(next.body), next.err
}

// follow runs the plan for an hour of fake time and returns what it told.
func follow(t *testing.T, p watch.Plan, answers ...answer) (told []string, failures []time.Duration, a *agent) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a = &agent{answers: answers, began: time.Now()}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := p.Follow(ctx, a, func(_ context.Context, c watch.Change) error {
			told = append(told, c.Index+" "+string(c.Body))
			return nil
		}, func(_ error, pause time.Duration) error {
			failures = append(failures, pause)
			return nil
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Follow returned %v", err)
		}
	})
	return told, failures, a
}

func TestOnlyNewContentIsTold(t *testing.T) {
	t.Parallel()
	const entry = `[{"LockIndex":0,"Key":"a","Flags":7,"Value":"eA==","CreateIndex":3,"ModifyIndex":5}]`
	const told = `{"Key":"a","CreateIndex":3,"ModifyIndex":5,"LockIndex":0,"Flags":7,"Value":"eA==","Session":""}`
	tests := []struct {
		name    string
		plan    watch.Plan
		answers []answer
		want    []string
	}{
		{
			name: "a key that comes, is asked about again, and goes", plan: watch.Plan{Type: "key", Key: "a"},
			answers: []answer{{404, "2", "", nil}, {200, "5", entry, nil}, {200, "5", entry, nil}, {200, "9", entry, nil}, {404, "11", "", nil}},
			want:    []string{"2 null", "5 " + told, "11 null"},
		},
		{
			name: "keys under a prefix", plan: watch.Plan{Type: "keyprefix", Prefix: "a"},
			answers: []answer{{404, "2", "", nil}, {200, "5", entry, nil}},
			want:    []string{"2 []", "5 [" + told + "]"},
		},
		{
			name: "an indented answer is told compact", plan: watch.Plan{Type: "nodes"},
			answers: []answer{{200, "4", "[\n    {\n  \"Node\": \"x\" } ]\n", nil}, {200, "6", `[{"Node":"x"}]`, nil}},
			want:    []string{`4 [{"Node":"x"}]`},
		},
		{
			name: "what a failure hid is told once", plan: watch.Plan{Type: "services"},
			answers: []answer{{200, "4", "{}", nil}, {500, "", "No cluster leader", nil}, {0, "", "", errors.New("refused")}, {200, "9", `{"a":[]}`, nil}},
			want:    []string{"4 {}", `9 {"a":[]}`},
		},
		{
			name: "an index that went back", plan: watch.Plan{Type: "services"},
			answers: []answer{{200, "40", "{}", nil}, {200, "3", "{}", nil}, {200, "3", `{"b":[]}`, nil}},
			want:    []string{"40 {}", `3 {"b":[]}`},
		},
		{
			name: "a service of the agent, by its hash", plan: watch.Plan{Type: "agent_service", ServiceID: "s"},
			answers: []answer{{404, "", "unknown service ID: s", nil}, {200, "h1", `{"ID":"s"}`, nil}},
			want:    []string{" null", `h1 {"ID":"s"}`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			told, _, _ := follow(t, tt.plan, tt.answers...)
			if !slices.Equal(told, tt.want) {
				t.Errorf("told %q, want %q", told, tt.want)
			}
		})
	}
}

func TestFailuresAreWaitedOut(t *testing.T) {
	t.Parallel()
	bad := answer{500, "", "No cluster leader", nil}
	_, failures, a := follow(t, watch.Plan{Type: "nodes"}, bad, bad, bad, bad, bad, bad, bad, answer{200, "4", "[]", nil}, bad)
	want := []time.Duration{5 * time.Second, 20 * time.Second, 45 * time.Second, 80 * time.Second, 125 * time.Second, 3 * time.Minute, 3 * time.Minute, 5 * time.Second}
	if !slices.Equal(failures, want) {
		t.Errorf("pauses %v, want %v", failures, want)
	}
	if last := a.asked[len(a.asked)-1]; strings.Contains(last, "index") {
		t.Errorf("after a failure it was asked to wait: %s", last)
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	tests := []struct {
		plan watch.Plan
		want string
	}{
		{watch.Plan{Type: "key", Key: "a b/c?"}, "GET /v1/kv/a%20b/c%3F?"},
		{watch.Plan{Type: "keyprefix", Prefix: "a/", Datacenter: "dc2", Stale: true}, "GET /v1/kv/a/?dc=dc2&recurse=&stale="},
		{watch.Plan{Type: "services", Filter: "x == y", Token: "t"}, "GET /v1/catalog/services?filter=x+%3D%3D+y&token=t"},
		{watch.Plan{Type: "service", Service: "web/1", Tags: []string{"a", "b"}, PassingOnly: true}, "GET /v1/health/service/web%2F1?passing=1&tag=a&tag=b"},
		{watch.Plan{Type: "checks"}, "GET /v1/health/state/any?"},
		{watch.Plan{Type: "checks", State: "critical"}, "GET /v1/health/state/critical?"},
		{watch.Plan{Type: "checks", Service: "web"}, "GET /v1/health/checks/web?"},
		{watch.Plan{Type: "connect_roots"}, "GET /v1/agent/connect/ca/roots?"},
		{watch.Plan{Type: "connect_leaf", Service: "web"}, "GET /v1/agent/connect/ca/leaf/web?"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			t.Parallel()
			if err := tt.plan.Validate(); err != nil {
				t.Fatal(err)
			}
			a := &agent{answers: []answer{{200, "3", "[]", nil}, {200, "3", "[]", nil}}}
			if _, err := tt.plan.Get(t.Context(), a); err != nil || a.asked[0] != tt.want {
				t.Errorf("asked %q, want %q (%v)", a.asked, tt.want, err)
			}
		})
	}
}

func TestPlansThatMakeNoSense(t *testing.T) {
	t.Parallel()
	tests := []struct {
		plan watch.Plan
		says string
	}{
		{watch.Plan{}, "Watch type must be specified"},
		{watch.Plan{Type: "nods"}, "Unsupported watch type: nods"},
		{watch.Plan{Type: "event"}, "not built yet"},
		{watch.Plan{Type: "key"}, `needs "key"`},
		{watch.Plan{Type: "keyprefix", Key: "x"}, `needs "prefix"`},
		{watch.Plan{Type: "service"}, `needs "service"`},
		{watch.Plan{Type: "services", Service: "x"}, `takes no "service"`},
		{watch.Plan{Type: "nodes", PassingOnly: true}, `takes no "passingonly"`},
		{watch.Plan{Type: "key", Key: "x", Filter: "y"}, `takes no "filter"`},
		{watch.Plan{Type: "checks", Service: "x", State: "any"}, "not both"},
	}
	for _, tt := range tests {
		if err := tt.plan.Validate(); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%+v: error %v, want one that says %q", tt.plan, err, tt.says)
		}
	}
}
