package httpapi

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/query"
)

// script is a Dispatcher that is never the right place and answers what it is
// told, the last answer for ever.
type script struct {
	answers []func(context.Context) (*WireResponse, error)
	got     []*WireRequest
}

func (s *script) Here(Where, string) bool { return false }
func (s *script) Forward(ctx context.Context, _ Where, _ string, req *WireRequest) (*WireResponse, error) {
	s.got = append(s.got, req)
	answer := s.answers[min(len(s.got), len(s.answers))-1]
	return answer(ctx)
}

func wireFails(kind failure.Kind, text string) func(context.Context) (*WireResponse, error) {
	return func(context.Context) (*WireResponse, error) { return nil, failure.New(kind, text) }
}

func wireAnswers(status int, kind failure.Kind, body string) func(context.Context) (*WireResponse, error) {
	return func(context.Context) (*WireResponse, error) {
		return &WireResponse{Status: status, Kind: uint8(kind), Body: []byte(body)}, nil
	}
}

func ask(m *Mux, method, url, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(method, url, strings.NewReader(body)))
	return w
}

func TestWhatWasNotAppliedIsTriedAgain(t *testing.T) {
	ok := wireAnswers(200, 0, "true")
	for _, c := range []struct {
		name    string
		hold    time.Duration
		answers []func(context.Context) (*WireResponse, error)
		status  int
		body    string
		tries   int
	}{
		{"answered", time.Second, []func(context.Context) (*WireResponse, error){ok}, 200, "true", 1},
		{"leader found on the third try", time.Second, []func(context.Context) (*WireResponse, error){
			wireFails(failure.NoLeader, failure.TextNoLeader), wireFails(failure.Unavailable, "refused"), ok}, 200, "true", 3},
		{"another server says it knows no leader", time.Second, []func(context.Context) (*WireResponse, error){
			wireAnswers(500, failure.NoLeader, failure.TextNoLeader), ok}, 200, "true", 2},
		{"unknown outcome is never tried again", time.Second, []func(context.Context) (*WireResponse, error){
			wireFails(failure.OutcomeUnknown, "connection lost"), ok}, 503, "connection lost", 1},
		{"other errors are answers", time.Second, []func(context.Context) (*WireResponse, error){
			wireAnswers(500, failure.Invalid, "no"), ok}, 500, "no", 1},
		{"no path is not waited for", time.Second, []func(context.Context) (*WireResponse, error){
			wireFails(failure.NoPath, failure.TextNoPath), ok}, 500, failure.TextNoPath, 1},
		{"without a hold time", 0, []func(context.Context) (*WireResponse, error){
			wireFails(failure.NoLeader, failure.TextNoLeader), ok}, 500, failure.TextNoLeader, 1},
		{"hold time over", time.Second, []func(context.Context) (*WireResponse, error){
			wireFails(failure.NoLeader, failure.TextNoLeader)}, 500, failure.TextNoLeader, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &script{answers: c.answers}
				m := newMux(t, Config{Routes: sampleRoutes(), Dispatcher: d, Hold: c.hold})
				begun := time.Now()
				w := ask(m, "PUT", "/v1/kv/a", "x")
				if w.Code != c.status || w.Body.String() != c.body {
					t.Errorf("got %d %q, want %d %q", w.Code, w.Body, c.status, c.body)
				}
				if c.tries >= 0 && len(d.got) != c.tries {
					t.Errorf("%d tries, want %d", len(d.got), c.tries)
				}
				if c.tries < 0 && (len(d.got) < 10 || time.Since(begun) < c.hold || time.Since(begun) > c.hold+time.Second) {
					t.Errorf("%d tries in %s, hold time %s", len(d.got), time.Since(begun), c.hold)
				}
				if unknown := w.Header().Get("X-Ctl-Outcome"); (unknown == "unknown") != strings.HasPrefix(c.name, "unknown") {
					t.Errorf("outcome header %q", unknown)
				}
			})
		})
	}
}

func TestHandlerThatLostTheLeadIsTriedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		route := Route{Method: "PUT", Pattern: "/v1/x", Where: Leader, Handle: func(context.Context, *Request) (*Response, error) {
			if tries++; tries < 3 {
				return nil, failure.New(failure.NoLeader, failure.TextNoLeader)
			}
			return &Response{Body: true}, nil
		}}
		local := route
		local.Pattern, local.Where = "/v1/local", Local
		m := newMux(t, Config{Routes: []Route{route, local}, Hold: time.Second})
		if w := ask(m, "PUT", "/v1/local", ""); w.Code != 500 || tries != 1 {
			t.Errorf("a local route was tried %d times: %d", tries, w.Code)
		}
		if w := ask(m, "PUT", "/v1/x", ""); w.Code != 200 || tries != 3 {
			t.Errorf("got %d after %d tries", w.Code, tries)
		}
	})
}

func TestHopsAreBounded(t *testing.T) {
	d := &script{answers: []func(context.Context) (*WireResponse, error){wireAnswers(200, 0, "true")}}
	m := newMux(t, Config{Routes: sampleRoutes(), Dispatcher: d, Hold: time.Minute})
	resp := m.ServeWire(t.Context(), &WireRequest{Method: "PUT", Path: "/v1/kv/a", Hops: 1, Token: "secret", Pretty: true, RemoteAddr: "10.0.0.9:1", Agent: "asked"})
	if resp.Status != 200 || len(d.got) != 1 {
		t.Fatalf("server to leader: %+v, %d forwards", resp, len(d.got))
	}
	if got := d.got[0]; got.Hops != 2 || got.Token != "secret" || !got.Pretty || got.RemoteAddr != "10.0.0.9:1" || got.Agent != "asked" || got.Path != "/v1/kv/a" {
		t.Errorf("handed on %+v", got)
	}
	resp = m.ServeWire(t.Context(), d.got[0])
	if len(d.got) != 1 || !resp.Retryable() || resp.Status != 500 || string(resp.Body) != failure.TextNoLeader {
		t.Errorf("a third hop: %+v", resp)
	}
	if resp := m.ServeWire(t.Context(), &WireRequest{Method: "PUT", Path: "/v1/kv/a"}); resp.Status != 200 || d.got[1].Hops != 2 {
		t.Errorf("a request without hops did not count as handed on: %+v", d.got[1])
	}
}

func TestRequestsSayWhichAgentWasAsked(t *testing.T) {
	d := &script{answers: []func(context.Context) (*WireResponse, error){wireAnswers(200, 0, "true")}}
	m := newMux(t, Config{Routes: sampleRoutes(), Dispatcher: d, NodeName: "here"})
	ask(m, "PUT", "/v1/kv/a", "")
	m.Do(t.Context(), &WireRequest{Method: "PUT", Path: "/v1/kv/a"})
	m.ServeWire(t.Context(), &WireRequest{Method: "PUT", Path: "/v1/kv/a", Agent: "asked"})
	m.ServeWire(t.Context(), &WireRequest{Method: "PUT", Path: "/v1/kv/a"})
	for i, want := range []string{"here", "here", "asked", ""} {
		if got := d.got[i].Agent; got != want {
			t.Errorf("request %d was handed on for %q, want %q", i, got, want)
		}
	}
}

// TestReadsThatNobodyAnswers have the status after which the official client tries
// again, and say what it was; writes have the status of their kind.
func TestReadsThatNobodyAnswers(t *testing.T) {
	handle := func(context.Context, *Request) (*Response, error) { return nil, nil }
	for _, c := range []struct {
		method string
		kind   failure.Kind
		status int
		says   string
	}{
		{"GET", failure.Unavailable, 500, "unavailable"},
		{"GET", failure.Timeout, 500, "timeout"},
		{"GET", failure.NoLeader, 500, ""},
		{"GET", failure.RateLimited, 429, ""},
		{"PUT", failure.Unavailable, 503, ""},
		{"PUT", failure.OutcomeUnknown, 503, ""},
	} {
		s := &script{answers: []func(context.Context) (*WireResponse, error){wireFails(c.kind, "lost")}}
		m := newMux(t, Config{Routes: []Route{
			{Method: "GET", Pattern: "/v1/x", Where: Server, Handle: handle}, {Method: "PUT", Pattern: "/v1/x", Where: Leader, Handle: handle},
		}, Dispatcher: s})
		w := ask(m, c.method, "/v1/x", "")
		if w.Code != c.status || w.Header().Get("X-Ctl-Kind") != c.says || w.Body.String() != "lost" {
			t.Errorf("%s, %s: %d %v %q", c.method, c.kind, w.Code, w.Header(), w.Body)
		}
	}
}

// TestStalenessIsForTheAskedAgent hands on reads of an agent that has
// discovery_max_stale, and answers reads that were handed on to one.
func TestStalenessIsForTheAskedAgent(t *testing.T) {
	seen := query.Options{}
	route := Route{Method: http.MethodGet, Pattern: "/v1/catalog/x", Where: Server, Consistency: true, Discovery: true,
		Handle: func(_ context.Context, r *Request) (*Response, error) {
			seen = r.Options
			return &Response{Body: 1, Meta: &query.Meta{}}, nil
		}}
	for _, c := range []struct{ query, wire string }{
		{"", "max_stale=10s"},
		{"?tag=a&max_stale=0s", "max_stale=10s&tag=a"},
		{"?stale&tag=a", "stale&tag=a"},
		{"?consistent", "consistent"},
		{"?leader", "leader"},
		{"?max_stale=1s", "max_stale=1s"},
	} {
		s := &script{answers: []func(context.Context) (*WireResponse, error){wireAnswers(200, 0, "1")}}
		m := newMux(t, Config{Routes: []Route{route}, Dispatcher: s, DiscoveryMaxStale: 10 * time.Second})
		ask(m, "GET", "/v1/catalog/x"+c.query, "")
		if len(s.got) != 1 || s.got[0].RawQuery != c.wire {
			t.Errorf("%q was handed on as %+v, want %q", c.query, s.got, c.wire)
		}
	}
	m := newMux(t, Config{Routes: []Route{route}, DiscoveryMaxStale: 10 * time.Second})
	if resp := m.ServeWire(t.Context(), &WireRequest{Method: "GET", Path: "/v1/catalog/x", Hops: 1}); resp.Status != 200 || seen.Mode != query.Default {
		t.Errorf("a read of another agent: %d, %+v", resp.Status, seen)
	}
	m.ServeWire(t.Context(), &WireRequest{Method: "GET", Path: "/v1/catalog/x", RawQuery: "max_stale=7s", Hops: 1})
	if seen.Mode != query.Stale || seen.MaxStale != 7*time.Second {
		t.Errorf("a stale read of another agent: %+v", seen)
	}
}

func TestServerDoesNotTryAgainForAnother(t *testing.T) {
	d := &script{answers: []func(context.Context) (*WireResponse, error){wireFails(failure.NoLeader, failure.TextNoLeader)}}
	m := newMux(t, Config{Routes: sampleRoutes(), Dispatcher: d, Hold: time.Minute})
	if resp := m.ServeWire(t.Context(), &WireRequest{Method: "PUT", Path: "/v1/kv/a", Hops: 1}); !resp.Retryable() || len(d.got) != 1 {
		t.Errorf("%d tries, answer %+v", len(d.got), resp)
	}
}

func TestForwardedBlockingReadHasTimeToWait(t *testing.T) {
	for _, c := range []struct {
		name, url string
		want      time.Duration
	}{
		{"no blocking", "/v1/echo", time.Minute},
		{"blocking", "/v1/echo?index=1&wait=160s", 170*time.Second + time.Minute},
		{"default wait", "/v1/echo?index=1", 300*time.Second + 300*time.Second/16 + time.Minute},
		{"capped wait", "/v1/echo?index=1&wait=24h", 600*time.Second + 600*time.Second/16 + time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var left time.Duration
				d := &script{answers: []func(context.Context) (*WireResponse, error){func(ctx context.Context) (*WireResponse, error) {
					end, _ := ctx.Deadline()
					left = time.Until(end)
					return &WireResponse{Status: 200}, nil
				}}}
				ask(newMux(t, Config{Routes: sampleRoutes(), Dispatcher: d}), "GET", c.url, "")
				if left != c.want {
					t.Errorf("got %s, want %s", left, c.want)
				}
			})
		})
	}
}

func TestBlockingReadsAreBounded(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	m := newMux(t, Config{MaxBlocking: 1, Routes: []Route{{Method: "GET", Pattern: "/v1/x", Handle: func(_ context.Context, r *Request) (*Response, error) {
		if r.Options.MinIndex == 1 {
			close(entered)
			<-release
		}
		return nil, nil
	}}}})
	done := make(chan int)
	go func() { done <- ask(m, "GET", "/v1/x?index=1", "").Code }()
	<-entered
	if got := m.Blocking(); got != 1 {
		t.Errorf("%d blocking, want 1", got)
	}
	if w := ask(m, "GET", "/v1/x?index=2", ""); w.Code != http.StatusTooManyRequests {
		t.Errorf("second blocking read: %d", w.Code)
	}
	if w := ask(m, "GET", "/v1/x", ""); w.Code != http.StatusOK {
		t.Errorf("a read that does not block: %d", w.Code)
	}
	close(release)
	if code := <-done; code != http.StatusOK {
		t.Errorf("first blocking read: %d", code)
	}
	if m.Blocking() != 0 || m.InFlight() != 0 {
		t.Errorf("%d blocking and %d in flight are left", m.Blocking(), m.InFlight())
	}
}

func TestRoutesThatMakeNoSense(t *testing.T) {
	handle := func(context.Context, *Request) (*Response, error) { return nil, nil }
	for _, c := range []struct {
		name   string
		routes []Route
	}{
		{"no handler", []Route{{Method: "GET", Pattern: "/v1/x"}}},
		{"HEAD", []Route{{Method: "HEAD", Pattern: "/v1/x", Handle: handle}}},
		{"twice", []Route{{Method: "GET", Pattern: "/v1/x", Handle: handle}, {Method: "GET", Pattern: "/v1/x", Handle: handle}}},
		{"twice by another name", []Route{{Method: "GET", Pattern: "/v1/{a}", Handle: handle}, {Method: "PUT", Pattern: "/v1/{b}", Handle: handle}}},
		{"relative", []Route{{Method: "GET", Pattern: "v1/x", Handle: handle}}},
		{"half a segment", []Route{{Method: "GET", Pattern: "/v1/x{a}", Handle: handle}}},
		{"two wildcards", []Route{{Method: "GET", Pattern: "/v1/{a}/{b}", Handle: handle}}},
		{"open brace", []Route{{Method: "GET", Pattern: "/v1/{a", Handle: handle}}},
		{"something after the rest", []Route{{Method: "GET", Pattern: "/v1/{a...}/x", Handle: handle}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := NewMux(Config{Routes: c.routes, Dispatcher: everywhere{}}); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestDecodeBody(t *testing.T) {
	for _, c := range []struct {
		name, body string
		lenient    bool
		want       string
	}{
		{"any case", `{"NODE":"a"}`, false, ""},
		{"unknown member", `{"Foo":1}`, false, `Request decode failed: json: unknown field "Foo"`},
		{"unknown member, lenient", `{"Foo":1}`, true, ""},
		{"empty", ``, false, "Request decode failed: EOF"},
		{"cut off", `{"Node":`, false, "Request decode failed: unexpected EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v struct{ Node string }
			err := (&Request{Body: []byte(c.body)}).DecodeBody(&v, c.lenient)
			if got := text(0, errText(err)); string(got.body) != c.want {
				t.Errorf("got %q, want %q", got.body, c.want)
			}
			if err != nil && !failure.Is(err, failure.BadRequest) {
				t.Errorf("kind %v", failure.KindOf(err))
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// seen records what routes were observed with.
type seen struct{ lines []string }

type seenRoute struct {
	s    *seen
	name string
}

func (s *seen) Route(method, path string) Observer { return seenRoute{s, method + " " + path} }
func (r seenRoute) Observe(status int, _ time.Duration) {
	r.s.lines = append(r.s.lines, r.name+" "+http.StatusText(status))
}

func TestMetricsAreByRoute(t *testing.T) {
	var s seen
	m := newMux(t, Config{Routes: sampleRoutes(), Metrics: &s})
	ask(m, "GET", "/v1/kv/some/key", "")
	ask(m, "GET", "/v1/query/a/execute", "")
	ask(m, "GET", "/v1/nope", "")
	ask(m, "GET", "/v1/echo?index=x", "")
	got := strings.Join(s.lines, "; ")
	if want := "GET v1_kv_ OK; GET v1_query__execute OK; GET v1_echo Bad Request"; got != want {
		t.Errorf("observed %q, want %q", got, want)
	}
}

func TestMountsAreOutsideTheAPI(t *testing.T) {
	m := newMux(t, Config{Routes: sampleRoutes(), Mounts: map[string]http.Handler{
		"/ui/":   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }),
		"/ui/x/": http.NotFoundHandler(),
	}})
	for url, want := range map[string]int{"/ui/a": http.StatusTeapot, "/ui/x/a": 404, "/": 200, "/v1/echo": 200, "/other": 404} {
		w := ask(m, "GET", url, "")
		if w.Code != want || w.Header().Get("X-Consul-Default-ACL-Policy") != "allow" {
			t.Errorf("%s: got %d %v, want %d", url, w.Code, w.Header(), want)
		}
	}
}

func TestEncodingErrorIsAnAnswer(t *testing.T) {
	m := newMux(t, Config{Routes: []Route{
		{Method: "GET", Pattern: "/v1/x", Handle: func(context.Context, *Request) (*Response, error) { return &Response{Body: make(chan int)}, nil }},
		{Method: "GET", Pattern: "/v1/y", Handle: func(context.Context, *Request) (*Response, error) { return &Response{Raw: []byte("{")}, nil }},
	}})
	for _, url := range []string{"/v1/x", "/v1/y?pretty"} {
		if w := ask(m, "GET", url, ""); w.Code != 500 || !strings.Contains(w.Body.String(), "encode answer") {
			t.Errorf("%s: %d %s", url, w.Code, w.Body)
		}
	}
}

func TestPanicIsOneRequestsError(t *testing.T) {
	var logged bytes.Buffer
	boom := func(context.Context, *Request) (*Response, error) { panic("boom") }
	m := newMux(t, Config{
		Routes: []Route{{Method: "GET", Pattern: "/v1/x", Handle: boom}, {Method: "PUT", Pattern: "/v1/x", Handle: boom}},
		Logger: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	if w := ask(m, "GET", "/v1/x", ""); w.Code != 500 || w.Header().Get("X-Ctl-Outcome") != "" {
		t.Errorf("read: %d %v", w.Code, w.Header())
	}
	if w := ask(m, "PUT", "/v1/x", ""); w.Code != 503 || w.Header().Get("X-Ctl-Outcome") != "unknown" {
		t.Errorf("write: %d %v", w.Code, w.Header())
	}
	if got := logged.String(); !strings.Contains(got, "dispatch_test.go") {
		t.Errorf("the log does not name the place: %s", got)
	}
}

func TestTokensAreNotLogged(t *testing.T) {
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	routes := sampleRoutes()
	m := newMux(t, Config{Routes: routes, Logger: log})
	m = newMux(t, Config{Routes: routes, Logger: log, Dispatcher: nowhere{m}})
	r := httptest.NewRequest("GET", "/v1/fail/plain?token=secret-q", nil)
	r.Header.Set("X-Consul-Token", "secret-h")
	m.ServeHTTP(httptest.NewRecorder(), r)
	got := logged.String()
	if strings.Contains(got, "secret") || !strings.Contains(got, "disk gone") || strings.Count(got, "request finished") != 2 {
		t.Errorf("logged %s", got)
	}
}

func TestClientThatGoesAwayEndsTheRead(t *testing.T) {
	m := newMux(t, Config{Routes: []Route{{Method: "GET", Pattern: "/v1/x", Where: Server, Handle: func(ctx context.Context, _ *Request) (*Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}}, Hold: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	resp := m.ServeWire(ctx, &WireRequest{Method: "GET", Path: "/v1/x", RawQuery: "index=1"})
	if failure.Kind(resp.Kind) != failure.Timeout || !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("got %+v", resp)
	}
}

func TestInternalRoutesAreForAgents(t *testing.T) {
	m := newMux(t, Config{Routes: []Route{{
		Method: "PUT", Pattern: "/v1/internal/x", Where: Leader, Internal: true,
		Handle: func(context.Context, *Request) (*Response, error) { return &Response{Body: "made"}, nil },
	}}})
	for _, c := range []struct{ name, method, path string }{
		{"its own method", "PUT", "/v1/internal/x"},
		{"another method", "GET", "/v1/internal/x"},
		{"OPTIONS", "OPTIONS", "/v1/internal/x"},
		{"percent-encoded", "PUT", "/v1/internal/%78"},
	} {
		t.Run(c.name+" is no path of the HTTP API", func(t *testing.T) {
			w := httptest.NewRecorder()
			m.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
			if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), failure.TextInvalidPath) {
				t.Errorf("answered %d %q", w.Code, w.Body)
			}
		})
	}
	for name, serve := range map[string]func(context.Context, *WireRequest) *WireResponse{"own": m.Do, "handed on": m.ServeWire} {
		if resp := serve(t.Context(), &WireRequest{Method: "PUT", Path: "/v1/internal/x"}); resp.Status != http.StatusOK {
			t.Errorf("a request %s by an agent was answered %d", name, resp.Status)
		}
	}
	_, err := NewMux(Config{Dispatcher: everywhere{}, Routes: []Route{
		{Method: "PUT", Pattern: "/v1/internal/x", Internal: true, Handle: nothing},
		{Method: "GET", Pattern: "/v1/internal/x", Handle: nothing},
	}})
	if err == nil {
		t.Error("a path was taken that is internal for one method only")
	}
}

func nothing(context.Context, *Request) (*Response, error) { return nil, nil }
