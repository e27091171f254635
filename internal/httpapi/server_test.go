package httpapi

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of in-memory connections, for tests in fake time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// readAnswer reads one answer and its whole body.
func readAnswer(t *testing.T, c net.Conn) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestBodyThatComesSlowly(t *testing.T) {
	for _, c := range []struct {
		name   string
		pieces []string // after the header, 20 s apart
		end    bool     // close the sending side afterwards
		status int
		body   string
	}{
		{"steady", []string{"abc", "def", "ghi"}, false, 200, `{"body":"abcdefghi","key":"a","method":"PUT"}`},
		{"stops", []string{"abc"}, false, 408, "Request body stopped after 3 bytes for 30s; nothing was done"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				stop := run(t, NewHTTPServer(HTTPServerConfig{Listeners: []net.Listener{l}, Handler: newMux(t, Config{Routes: sampleRoutes()})}).Run)
				defer stop()
				conn := l.dial()
				defer conn.Close()
				go func() {
					io.WriteString(conn, "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
					for _, p := range c.pieces {
						time.Sleep(20 * time.Second)
						io.WriteString(conn, p)
					}
				}()
				resp, body := readAnswer(t, conn)
				if resp.StatusCode != c.status || body != c.body {
					t.Errorf("got %d %q, want %d %q", resp.StatusCode, body, c.status, c.body)
				}
			})
		})
	}
}

// A client that reads only after it has sent everything, as most do, must find
// the answer, not a connection that was reset under it.
func TestRefusedBodyDoesNotLoseTheAnswer(t *testing.T) {
	addr := serveMux(t, newMux(t, Config{Routes: sampleRoutes()}))
	body := strings.Repeat("x", 8<<20) // more than the sockets hold between them
	for _, c := range []struct{ name, header, body string }{
		{"a length", fmt.Sprintf("Content-Length: %d\r\n", len(body)), body},
		{"a length, then closing", fmt.Sprintf("Content-Length: %d\r\nConnection: close\r\n", len(body)), body},
		{"chunked", "Transfer-Encoding: chunked\r\n", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)},
		{"chunked, then closing", "Transfer-Encoding: chunked\r\nConnection: close\r\n", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\n"+c.header+"\r\n"+c.body); err != nil {
				t.Fatalf("send: %v", err)
			}
			resp, text := readAnswer(t, conn)
			if resp.StatusCode != 413 || !resp.Close || !strings.Contains(text, "too large") {
				t.Errorf("got %d %q", resp.StatusCode, text)
			}
		})
	}
}

func TestBodyThatIsCutOffChangesNothing(t *testing.T) {
	called := false
	m := newMux(t, Config{Routes: []Route{{Method: "PUT", Pattern: "/v1/x", Handle: func(context.Context, *Request) (*Response, error) {
		called = true
		return nil, nil
	}}}})
	addr := serveMux(t, m)
	for _, c := range []struct{ name, request, want string }{
		{"by Content-Length", "Content-Length: 100\r\n\r\nabc", "cut off after 3 of 100 bytes"},
		{"chunked", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "cut off after 3 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, "PUT /v1/x HTTP/1.1\r\nHost: x\r\n"+c.request)
			conn.(*net.TCPConn).CloseWrite()
			resp, body := readAnswer(t, conn)
			if resp.StatusCode != 400 || !strings.Contains(body, c.want) || called {
				t.Errorf("got %d %q, handler called: %t", resp.StatusCode, body, called)
			}
		})
	}
}

func TestPromisedBodyIsNotAllocated(t *testing.T) {
	m := newMux(t, Config{})
	// A body of 3 bytes that promises 1 GiB, under a limit that allows it.
	r, err := http.NewRequest("PUT", "/", strings.NewReader("abc"))
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = 1 << 30
	body, err := m.readAll(http.NewResponseController(&discardWriter{}), r, 1<<30)
	if err != nil || len(body) != 3 || cap(body) > firstBodyBytes+1 {
		t.Errorf("read %d bytes into %d: %v", len(body), cap(body), err)
	}
}

func TestLargeBodiesArriveWhole(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 60_000)
	m := newMux(t, Config{Routes: []Route{{Method: "PUT", Pattern: "/v1/x", MaxBody: 1 << 20, Handle: func(_ context.Context, r *Request) (*Response, error) {
		return &Response{Raw: r.Body, ContentType: "application/octet-stream"}, nil
	}}}})
	url := "http://" + serveMux(t, m) + "/v1/x"
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, body := range []io.Reader{bytes.NewReader(want), io.MultiReader(bytes.NewReader(want))} { // with a length, chunked
		req, err := http.NewRequest("PUT", url, body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	}
}

func TestConnectionsPerClientAreBounded(t *testing.T) {
	l := listen(t)
	s := NewHTTPServer(HTTPServerConfig{Listeners: []net.Listener{l}, Handler: newMux(t, Config{Routes: sampleRoutes()}), MaxConnsPerClient: 1})
	run(t, s.Run)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		io.WriteString(c, "GET /v1/answer/null HTTP/1.1\r\nHost: x\r\n\r\n")
		return c
	}
	if resp, _ := readAnswer(t, dial()); resp.StatusCode != 200 {
		t.Errorf("first connection: %d", resp.StatusCode)
	}
	resp, body := readAnswer(t, dial())
	if resp.StatusCode != 429 || !resp.Close || !strings.HasPrefix(body, "Too many concurrent connections") {
		t.Errorf("second connection: %d %q, close %t", resp.StatusCode, body, resp.Close)
	}
	s.SetMaxConnsPerClient(2)
	if resp, _ := readAnswer(t, dial()); resp.StatusCode != 200 {
		t.Errorf("after the limit was raised: %d", resp.StatusCode)
	}
}

func TestUnixSocketsAreNotBounded(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Skip("no unix sockets here:", err)
	}
	run(t, NewHTTPServer(HTTPServerConfig{Listeners: []net.Listener{l}, Handler: newMux(t, Config{Routes: sampleRoutes()}), MaxConnsPerClient: 1}).Run)
	for range 3 {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET /v1/answer/null HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, _ := readAnswer(t, c); resp.StatusCode != 200 {
			t.Errorf("got %d", resp.StatusCode)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		defer run(t, NewHTTPServer(HTTPServerConfig{Listeners: []net.Listener{l}, Handler: newMux(t, Config{Routes: sampleRoutes()}), MaxHeaderBytes: 4096}).Run)()
		slow := l.dial()
		defer slow.Close()
		begun := time.Now()
		go io.WriteString(slow, "GET /v1/echo HTTP/1.1\r\nHost:")
		io.Copy(io.Discard, slow)
		if got := time.Since(begun); got != 5*time.Second {
			t.Errorf("a slow header was waited for %s", got)
		}
		large := l.dial()
		defer large.Close()
		go io.WriteString(large, "GET /v1/echo HTTP/1.1\r\nHost: x\r\nA: "+strings.Repeat("a", 20_000)+"\r\n\r\n")
		if resp, _ := readAnswer(t, large); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("large header: %d", resp.StatusCode)
		}
	})
}

func TestStopEndsWaitsAndLetsWorkFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var began sync.WaitGroup
		m := newMux(t, Config{Hold: time.Minute, Routes: []Route{
			{Method: "GET", Pattern: "/v1/x", Where: Server, Handle: func(ctx context.Context, _ *Request) (*Response, error) {
				began.Done()
				<-ctx.Done()
				return nil, ctx.Err()
			}},
			{Method: "PUT", Pattern: "/v1/x", Where: Leader, Handle: func(ctx context.Context, _ *Request) (*Response, error) {
				began.Done()
				select {
				case <-time.After(2 * time.Second):
					return &Response{Body: true}, nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}},
		}})
		l := newPipes()
		stop := run(t, NewHTTPServer(HTTPServerConfig{Listeners: []net.Listener{l}, Handler: m}).Run)
		type answer struct {
			status int
			body   string
			after  time.Duration
		}
		var begun time.Time
		request := func(line string) chan answer {
			began.Add(1)
			got := make(chan answer, 1)
			conn := l.dial()
			go func() {
				defer conn.Close()
				io.WriteString(conn, line+" HTTP/1.1\r\nHost: x\r\n\r\n")
				resp, body := readAnswer(t, conn)
				got <- answer{resp.StatusCode, body, time.Since(begun)}
			}()
			return got
		}
		read, write, endless := request("GET /v1/x?index=1"), request("PUT /v1/x"), request("GET /v1/x")
		began.Wait()
		begun = time.Now()
		stop()
		if got := <-read; got != (answer{500, "the agent is shutting down", 0}) {
			t.Errorf("blocking read: %+v", got)
		}
		if got := <-write; got != (answer{200, "true", 2 * time.Second}) {
			t.Errorf("write in flight: %+v", got)
		}
		if got := <-endless; got.status != 500 || got.after != 5*time.Second {
			t.Errorf("a request that does not end: %+v", got)
		}
	})
}

func TestStreamIsFlushed(t *testing.T) {
	for _, c := range []struct{ name, accept string }{{"plain", ""}, {"gzip", "Accept-Encoding: gzip\r\n"}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lines := make(chan string)
				ended := make(chan error, 1)
				m := newMux(t, Config{Routes: []Route{{Method: "GET", Pattern: "/v1/agent/monitor", Handle: func(context.Context, *Request) (*Response, error) {
					return &Response{ContentType: "text/plain", Stream: func(ctx context.Context, w io.Writer) error {
						for {
							select {
							case line := <-lines:
								if _, err := fmt.Fprintln(w, line); err != nil {
									return err
								}
							case <-ctx.Done():
								ended <- context.Cause(ctx)
								return nil
							}
						}
					}}, nil
				}}}})
				l := newPipes()
				stop := run(t, NewHTTPServer(HTTPServerConfig{Listeners: []net.Listener{l}, Handler: m}).Run)
				conn := l.dial()
				defer conn.Close()
				go io.WriteString(conn, "GET /v1/agent/monitor HTTP/1.1\r\nHost: x\r\n"+c.accept+"\r\n")
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				var in io.Reader = resp.Body
				if c.accept != "" {
					if in, err = gzip.NewReader(resp.Body); err != nil {
						t.Fatal(err)
					}
				}
				read := bufio.NewReader(in)
				for _, line := range []string{"one", "two"} {
					begun := time.Now()
					lines <- line
					got, err := read.ReadString('\n')
					if err != nil || got != line+"\n" || time.Since(begun) > flushPause {
						t.Errorf("got %q, %v after %s", got, err, time.Since(begun))
					}
				}
				go io.Copy(io.Discard, read)
				stop()
				if err := <-ended; !errors.Is(err, errStopping) {
					t.Errorf("the stream ended for %v", err)
				}
			})
		})
	}
}

func TestStreamEndsWithItsClient(t *testing.T) {
	ended := make(chan struct{})
	m := newMux(t, Config{Routes: []Route{{Method: "GET", Pattern: "/v1/x", Where: Server, Handle: func(context.Context, *Request) (*Response, error) {
		return &Response{Stream: func(ctx context.Context, _ io.Writer) error {
			<-ctx.Done()
			close(ended)
			return ctx.Err()
		}}, nil
	}}}})
	conn, err := net.Dial("tcp", serveMux(t, m))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET /v1/x HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	<-ended
	if resp := m.ServeWire(t.Context(), &WireRequest{Method: "GET", Path: "/v1/x"}); resp.Status != http.StatusNotImplemented {
		t.Errorf("a forwarded stream: %d", resp.Status)
	}
}
