package watch_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/watch"
)

var change = watch.Change{Index: "7", Body: []byte(`{"a":1}`)}

func TestProgramGetsTheContent(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &watch.Program{Args: []string{"sh", "-c", `cat; echo "at $CONSUL_INDEX"; exit 3`}, Stdout: &out, Stderr: io.Discard}
	err := p.Handle(t.Context(), change)
	if got, want := out.String(), "{\"a\":1}\nat 7\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	if err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v", err)
	}
}

func TestProgramEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- (&watch.Program{Args: []string{"sh", "-c", "sleep 600 & echo started; wait"}, Stdout: w, Stderr: io.Discard}).Handle(ctx, change)
	}()
	if _, err := io.ReadFull(r, make([]byte, len("started\n"))); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("no error for a program that was killed")
	}
}

func TestPost(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	answer := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.Method + " " + r.Header.Get("X-Consul-Index") + " " + r.Header.Get("X-Mine") + " " + string(body)
		w.WriteHeader(answer)
	}))
	defer s.Close()
	p := &watch.Post{URL: s.URL, Header: http.Header{"x-mine": {"yes"}}}
	if err := p.Handle(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if g, want := <-got, `POST 7 yes {"a":1}`; g != want {
		t.Errorf("sent %q, want %q", g, want)
	}
	answer = http.StatusBadGateway
	p.Method = http.MethodPut
	if err := p.Handle(t.Context(), change); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("error %v, want one that says 502", err)
	}
	if g := <-got; !strings.HasPrefix(g, "PUT ") {
		t.Errorf("sent %q", g)
	}
}

func TestDefinitions(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, says string }{
		{"a program", `{"type": "key", "key": "a", "args": ["cat"]}`, ""},
		{"a command line", `{"type": "service", "service": "a", "tag": "b", "handler": "cat"}`, ""},
		{"tags", `{"type": "service", "service": "a", "tag": ["b", "c"], "handler": "cat"}`, ""},
		{"an address", `{"type": "nodes", "handler_type": "http", "http_handler_config": {"path": "http://a/", "timeout": "2s", "header": {"x": ["y"]}}}`, ""},
		{"no handler", `{"type": "nodes"}`, "needs a handler"},
		{"two handlers", `{"type": "nodes", "args": ["a"], "handler": "b"}`, "only one of"},
		{"an address and a program", `{"type": "nodes", "args": ["a"], "handler_type": "http", "http_handler_config": {"path": "x"}}`, "not \"args\""},
		{"an address without one", `{"type": "nodes", "handler_type": "http"}`, "http_handler_config.path"},
		{"another type of handler", `{"type": "nodes", "handler_type": "grpc", "args": ["a"]}`, `"script" or "http"`},
		{"a timeout that is none", `{"type": "nodes", "handler_type": "http", "http_handler_config": {"path": "x", "timeout": "soon"}}`, "timeout"},
		{"an event", `{"type": "event", "name": "deploy", "args": ["a"]}`, "not built yet"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := watch.Parse([]byte(tt.text), "", func(string) {})
			if tt.says == "" {
				if err != nil || d.Handler == nil {
					t.Errorf("%+v, %v", d, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want one that says %q", err, tt.says)
			}
		})
	}
}

func TestWhatAHandlerSaysIsTold(t *testing.T) {
	t.Parallel()
	said := make(chan string, 1)
	d, err := watch.Parse([]byte(`{"type": "nodes", "handler": "head -c 9000 /dev/zero | tr '\\0' x"}`), "", func(s string) { said <- s })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := d.Handler.Handle(ctx, change); err != nil {
		t.Fatal(err)
	}
	if s := <-said; !strings.HasPrefix(s, "Captured 4096 of 9000 bytes") {
		t.Errorf("told %.60q", s)
	}
}
