package compat

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestBodyOverTheLimit(t *testing.T) {
	const size = 524288 + 1
	body := strings.Repeat("x", size)
	tests := []exchange{
		{name: "by its length", header: "", body: body, text: "Request body(524289 bytes) too large, max size: 524288 bytes. See limits.kv_max_value_size in the agent's configuration."},
		{name: "by its length, closing", header: "Connection: close\r\n", body: body, text: "Request body(524289 bytes) too large, max size: 524288 bytes. See limits.kv_max_value_size in the agent's configuration."},
		{name: "nothing was sent yet", header: "Content-Length: 99999999999\r\n", text: "Request body(99999999999 bytes) too large, max size: 524288 bytes. See limits.kv_max_value_size in the agent's configuration."},
		{name: "chunked", header: fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n", size, body), text: "Request body too large, max size: 524288 bytes. See limits.kv_max_value_size in the agent's configuration."},
	}
	through(t, func(t *testing.T, v *via) {
		for _, e := range tests {
			t.Run(e.name, func(t *testing.T) {
				key := space(t) + "k"
				e.request, e.status, e.want = "PUT /v1/kv/"+key, 413, map[string]string{"Content-Type": plain}
				e.check(t, v)
				absent(t, v, key)
			})
		}
	})
}

func absent(t *testing.T, v *via, key string) {
	t.Helper()
	if p, _, err := v.api.KV().Get(key, nil); err != nil || p != nil {
		t.Errorf("%s: %+v, %v; nothing should have been written", key, p, err)
	}
}

// TestBodyCutOff sends a part of a value: however the client ends, the part is
// not the value.
func TestBodyCutOff(t *testing.T) {
	ends := map[string]func(*net.TCPConn) error{
		"half closed": (*net.TCPConn).CloseWrite,
		"closed":      (*net.TCPConn).Close,
		"reset":       func(c *net.TCPConn) error { _ = c.SetLinger(0); return c.Close() },
	}
	through(t, func(t *testing.T, v *via) {
		for name, end := range ends {
			for _, kind := range []string{"Content-Length: 100\r\n\r\npart of it", "Transfer-Encoding: chunked\r\n\r\na\r\npart of it\r\n"} {
				key := space(t) + name + kind[:7]
				key = strings.ReplaceAll(key, " ", "-")
				c := dial(t, v)
				_, err := io.WriteString(c, "PUT /v1/kv/"+key+" HTTP/1.1\r\nHost: agent\r\n"+kind)
				must(t, err)
				must(t, end(c.(*net.TCPConn)))
				if name == "half closed" {
					if resp, body := answered(t, c, "PUT"); resp.StatusCode != 400 || !strings.Contains(body, "cut off after 10") {
						t.Errorf("%d %q", resp.StatusCode, body)
					}
				}
				absent(t, v, key)
			}
		}
	})
}

func TestConnectionLimit(t *testing.T) {
	const limit = 5
	v := shared.dev(t, map[string]any{"limits": map[string]any{"http_max_conns_per_client": limit}})
	var held []net.Conn
	within(t, "the connections of the start are gone", func() error {
		for _, c := range held {
			c.Close()
		}
		held = nil
		for range limit {
			c := dial(t, v)
			held = append(held, c)
			if status, err := version(c); err != nil || status != 200 {
				return fmt.Errorf("status %d, %w", status, err)
			}
		}
		return nil
	})
	over := dial(t, v)
	_, err := io.WriteString(over, "GET /v1/agent/version HTTP/1.1\r\nHost: agent\r\n\r\n")
	must(t, err)
	resp, body := answered(t, over, "GET")
	if resp.StatusCode != 429 || !resp.Close || !strings.Contains(strings.ToLower(body), "too many concurrent connections") || !strings.Contains(body, "5") {
		t.Errorf("over the limit: %d %q", resp.StatusCode, body)
	}
	for i, c := range held {
		if status, err := version(c); err != nil || status != 200 {
			t.Errorf("connection %d within the limit: %d, %v", i, status, err)
		}
	}
	held[0].Close()
	within(t, "a place became free", func() error {
		c := dial(t, v)
		defer c.Close()
		status, err := version(c)
		if err == nil && status != 200 {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})
}

// version asks over a connection that stays open.
func version(c net.Conn) (int, error) {
	if _, err := io.WriteString(c, "GET /v1/agent/version HTTP/1.1\r\nHost: agent\r\n\r\n"); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// TestSlowAndLargeHeaders holds a connection with a header that never ends, and
// sends one that is too large.
func TestSlowAndLargeHeaders(t *testing.T) {
	v := ways(t)[2]
	slow, began := dial(t, v), time.Now()
	_, err := io.WriteString(slow, "GET /v1/agent/self HTTP/1.1\r\nHost: ag")
	must(t, err)
	large := dial(t, v)
	// The agent need not take all of it.
	_, _ = io.WriteString(large, "GET /v1/agent/self HTTP/1.1\r\nHost: agent\r\nX-Large: "+strings.Repeat("x", 3<<20)+"\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(large), nil); err == nil && resp.StatusCode != 431 {
		t.Errorf("a header of 3 MiB: %d", resp.StatusCode)
	}
	answer, _ := io.ReadAll(slow) // a reset says the same as an end
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("a slow header held its connection for %v (%q)", took, answer)
	}
	if strings.Contains(string(answer), "200 OK") {
		t.Errorf("half a header was answered: %q", answer)
	}
}
