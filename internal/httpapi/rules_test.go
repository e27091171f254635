package httpapi

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/query"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the responses in testdata")

// sampleRoutes stand for the nouns: they show what the engine hands a handler
// and what it makes of an answer.
func sampleRoutes() []Route {
	meta := &query.Meta{Index: 42, KnownLeader: true, LastContact: 7 * time.Millisecond, Mode: query.Stale}
	key := func(_ context.Context, r *Request) (*Response, error) {
		return &Response{Body: map[string]string{"method": r.Method, "key": r.PathValue("key"), "body": string(r.Body)}}, nil
	}
	echo := func(_ context.Context, r *Request) (*Response, error) {
		return &Response{Body: map[string]any{
			"value": r.PathValue("id"), "options": fmt.Sprintf("%+v", r.Options), "recurse": r.Has("recurse"),
			"accept": r.Header.Get("Accept"), "other": r.Header.Get("X-Other"),
		}}, nil
	}
	fixed := func(resp *Response, err error) Handler {
		return func(context.Context, *Request) (*Response, error) { return resp, err }
	}
	fails := func(kind failure.Kind, text string) Handler { return fixed(nil, failure.New(kind, text)) }
	return []Route{
		{Method: "GET", Pattern: "/v1/kv/{key...}", Where: Server, Handle: key},
		{Method: "PUT", Pattern: "/v1/kv/{key...}", Where: Leader, Handle: key, MaxBody: 16, MaxBodyKey: "limits.kv_max_value_size"},
		{Method: "DELETE", Pattern: "/v1/kv/{key...}", Where: Leader, Handle: key},
		{Method: "GET", Pattern: "/v1/echo", Where: Server, Handle: echo},
		{Method: "GET", Pattern: "/v1/catalog/echo", Where: Server, Handle: echo, Discovery: true},
		{Method: "PUT", Pattern: "/v1/echo", Where: Leader, Handle: echo},
		{Method: "GET", Pattern: "/v1/session/info/{id}", Where: Server, Handle: echo},
		{Method: "GET", Pattern: "/v1/query/{id}", Where: Server, Handle: fixed(&Response{Body: "query"}, nil)},
		{Method: "GET", Pattern: "/v1/query/{id}/execute", Where: Server, Handle: echo},
		{Method: "GET", Pattern: "/v1/answer/meta", Where: Server, Handle: fixed(&Response{Body: []int{}, Meta: meta}, nil)},
		{Method: "GET", Pattern: "/v1/answer/consistency", Where: Server, Consistency: true, Handle: fixed(&Response{Body: []int{}, Meta: meta}, nil)},
		{Method: "GET", Pattern: "/v1/answer/zero-index", Where: Server, Handle: fixed(&Response{Body: true, Meta: &query.Meta{}}, nil)},
		{Method: "GET", Pattern: "/v1/answer/missing", Where: Server, Handle: fixed(&Response{Status: 404, Meta: meta}, nil)},
		{Method: "PUT", Pattern: "/v1/answer/empty", Where: Local, Handle: fixed(nil, nil)},
		{Method: "GET", Pattern: "/v1/answer/null", Where: Server, Handle: fixed(&Response{Body: []string(nil)}, nil)},
		{Method: "GET", Pattern: "/v1/answer/html", Where: Server, Handle: fixed(&Response{Body: map[string]string{"a": "<b>&"}}, nil)},
		{Method: "GET", Pattern: "/v1/answer/json", Where: Server, Handle: fixed(&Response{Raw: []byte(`{"a":[1,2]}`)}, nil)},
		{Method: "GET", Pattern: "/v1/answer/append", Where: Server, Handle: fixed(&Response{Append: func(b []byte) []byte { return append(b, `{"a":[]}`...) }}, nil)},
		{Method: "GET", Pattern: "/v1/answer/raw", Where: Server, Handle: fixed(&Response{
			Raw: []byte("any \x00 bytes"), ContentType: "text/plain", Meta: meta,
			Header: http.Header{"X-Content-Type-Options": {"nosniff"}, "Content-Security-Policy": {"sandbox"}, "X-Two": {"a", "b"}},
		}, nil)},
		{Method: "GET", Pattern: "/v1/answer/big", Where: Server, Handle: fixed(&Response{Raw: []byte(`"` + strings.Repeat("x", 1398) + `"`)}, nil)},
		{Method: "GET", Pattern: "/v1/answer/nearly-big", Where: Server, Handle: fixed(&Response{Raw: []byte(`"` + strings.Repeat("x", 1397) + `"`)}, nil)},
		{Method: "GET", Pattern: "/v1/fail/plain", Where: Server, Handle: fixed(nil, errors.New("disk gone"))},
		{Method: "GET", Pattern: "/v1/fail/status", Where: Server, Handle: fixed(nil, &StatusError{Status: 401, Text: failure.TextACLDisabled})},
		{Method: "GET", Pattern: "/v1/fail/bad-request", Where: Server, Handle: fails(failure.BadRequest, failure.TextMissingKey)},
		{Method: "GET", Pattern: "/v1/fail/invalid", Where: Server, Handle: fails(failure.Invalid, "Must provide node")},
		{Method: "GET", Pattern: "/v1/fail/not-found", Where: Server, Handle: fails(failure.NotFound, "no such thing")},
		{Method: "GET", Pattern: "/v1/fail/permission", Where: Server, Handle: fails(failure.PermissionDenied, "Permission denied: no")},
		{Method: "GET", Pattern: "/v1/fail/no-leader", Where: Server, Handle: fixed(&Response{Meta: &query.Meta{}}, failure.New(failure.NoLeader, failure.TextNoLeader))},
		{Method: "PUT", Pattern: "/v1/fail/unknown", Where: Leader, Handle: fails(failure.OutcomeUnknown, "leadership lost while committing")},
		{Method: "GET", Pattern: "/v1/fail/rate", Where: Server, Handle: fails(failure.RateLimited, "slow down")},
	}
}

// ruleConfig reads the words of an archive's "config:" line.
func ruleConfig(t *testing.T, comment string) Config {
	t.Helper()
	cfg := Config{Routes: sampleRoutes()}
	for line := range strings.Lines(comment) {
		words, ok := strings.CutPrefix(strings.TrimSpace(line), "config:")
		if !ok {
			continue
		}
		for word := range strings.FieldsSeq(words) {
			name, value, _ := strings.Cut(word, "=")
			switch name {
			case "pretty":
				cfg.Pretty = true
			case "block":
				cfg.BlockEndpoints = append(cfg.BlockEndpoints, value)
			case "write-from":
				cfg.AllowWriteFrom = append(cfg.AllowWriteFrom, netip.MustParsePrefix(value))
			case "header":
				key, v, _ := strings.Cut(value, ":")
				cfg.ResponseHeaders = map[string]string{key: v}
			case "policy":
				cfg.DefaultACLPolicy = value
			case "token":
				cfg.DefaultToken = func() string { return value }
			case "unprintable":
				cfg.AllowUnprintable = true
			case "no-cache":
				cfg.NoCache = true
			case "discovery-max-stale":
				cfg.DiscoveryMaxStale, _ = time.ParseDuration(value)
			case "translate":
				cfg.TranslateAddresses = true
			case "home":
				cfg.Home = value
			default:
				t.Fatalf("unknown config word %q", word)
			}
		}
	}
	return cfg
}

// nowhere is a Dispatcher of an agent that hands everything to one server.
type nowhere struct{ server *Mux }

func (n nowhere) Here(w Where, _ string) bool { return w == Local }
func (n nowhere) Forward(ctx context.Context, _ Where, _ string, req *WireRequest) (*WireResponse, error) {
	b, err := req.MarshalMsg(nil)
	if err != nil {
		return nil, err
	}
	var got WireRequest
	if _, err := got.UnmarshalMsg(b); err != nil {
		return nil, err
	}
	if b, err = n.server.ServeWire(ctx, &got).MarshalMsg(nil); err != nil {
		return nil, err
	}
	resp := new(WireResponse)
	_, err = resp.UnmarshalMsg(b)
	return resp, err
}

// TestGroundRules sends the requests of the archives and compares the whole
// answers, once to the agent that answers and once to one that forwards: what
// is forwarded must not differ in one byte.
func TestGroundRules(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no archives", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg := ruleConfig(t, string(archive.Comment))
			answers := newMux(t, cfg)
			cfg.Dispatcher = nowhere{answers}
			forwards := newMux(t, cfg)
			t.Run("direct", func(t *testing.T) { checkArchive(t, serveMux(t, answers), file, archive, *update) })
			t.Run("forwarded", func(t *testing.T) { checkArchive(t, serveMux(t, forwards), file, archive, false) })
		})
	}
}

func serveMux(t *testing.T, m *Mux) (addr string) {
	t.Helper()
	l := listen(t)
	run(t, NewHTTPServer(HTTPServerConfig{Listeners: []net.Listener{l}, Handler: m}).Run)
	return l.Addr().String()
}

// checkArchive takes files in pairs: a request named after its rule, and its
// response, named "->".
func checkArchive(t *testing.T, addr, file string, a *txtar.Archive, rewrite bool) {
	t.Helper()
	for i := 0; i+1 < len(a.Files); i += 2 {
		t.Run(a.Files[i].Name, func(t *testing.T) {
			if a.Files[i+1].Name != "->" {
				t.Fatalf("%q has no response", a.Files[i].Name)
			}
			got := exchange(t, addr, string(a.Files[i].Data))
			if rewrite {
				a.Files[i+1].Data = []byte(got)
				return
			}
			if diff := cmp.Diff(string(a.Files[i+1].Data), got); diff != "" {
				t.Errorf("answer differs (-want +got):\n%s", diff)
			}
		})
	}
	if rewrite {
		writeFile(t, file, txtar.Format(a))
	}
}

// exchange sends a request as it stands in an archive and renders the answer
// in a fixed order. The body of a request ends with its file's last newline.
func exchange(t *testing.T, addr, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	head, body, _ := strings.Cut(request, "\n\n")
	head = strings.ReplaceAll(strings.TrimSpace(head), "\n", "\r\n")
	if body = strings.TrimSuffix(body, "\n"); body != "" && !strings.Contains(head, "Content-Length") && !strings.Contains(head, "Transfer-Encoding") {
		head += fmt.Sprintf("\r\nContent-Length: %d", len(body))
	}
	if strings.Contains(head, "chunked") {
		body = strings.ReplaceAll(body, "\n", "\r\n") + "\r\n\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\nHost: x\r\n\r\n"+body); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(head, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	return render(t, resp)
}

func render(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	fmt.Fprintln(&out, resp.Status)
	for key, values := range resp.Header {
		for _, v := range values {
			if key != "Date" && !(key == "Content-Length" && resp.Header.Get("Content-Encoding") != "") {
				fmt.Fprintf(&out, "%s: %s\n", key, v)
			}
		}
	}
	if resp.Close {
		fmt.Fprintln(&out, "Connection: close")
	}
	lines := slices.Sorted(strings.Lines(out.String()[len(resp.Status)+1:]))
	out.Truncate(len(resp.Status) + 1)
	out.WriteString(strings.Join(lines, "") + "\n")
	if resp.Header.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body, err = io.ReadAll(zr); err != nil {
			t.Fatal(err)
		}
	}
	if len(body) > 200 {
		fmt.Fprintf(&out, "(%d bytes)\n", len(body))
	} else if len(body) > 0 {
		fmt.Fprintf(&out, "%q\n", body)
	}
	return out.String()
}
