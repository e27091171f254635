package compat

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// exchange is one raw request and its answer, byte by byte as given: no client
// library tidies up what is being tested.
type exchange struct {
	name    string
	request string // "METHOD target"
	header  string // further lines, each with its end
	body    string
	status  int
	want    map[string]string // of the answer's headers; "" is absent
	text    string            // the whole body; "*" is any
}

// dial connects to an agent's HTTP port.
func dial(t *testing.T, v *via) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", v.p.Spec.HTTPAddr(), patience)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

// answered reads one answer and its body.
func answered(t *testing.T, c net.Conn, method string) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp, string(body)
}

func (e exchange) send(t *testing.T, v *via) (*http.Response, string) {
	t.Helper()
	c := dial(t, v)
	header := e.header
	if e.body != "" {
		header += "Content-Length: " + itoa(len(e.body)) + "\r\n"
	}
	_, err := io.WriteString(c, e.request+" HTTP/1.1\r\nHost: agent\r\n"+header+"\r\n"+e.body)
	must(t, err)
	method, _, _ := strings.Cut(e.request, " ")
	return answered(t, c, method)
}

func (e exchange) check(t *testing.T, v *via) {
	t.Helper()
	resp, body := e.send(t, v)
	if resp.StatusCode != e.status || e.text != "*" && body != e.text {
		t.Errorf("%s: %d %q, want %d %q", e.request, resp.StatusCode, body, e.status, e.text)
	}
	for name, want := range e.want {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", e.request, name, got, want)
		}
	}
	if strings.HasPrefix(e.request, "GET /v1/") || strings.HasPrefix(e.request, "PUT /v1/") {
		if resp.Header.Get("X-Consul-Default-Acl-Policy") != "allow" || resp.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: headers %v", e.request, resp.Header)
		}
	}
}

const (
	plain  = "text/plain; charset=utf-8"
	coded  = "application/json"
	sample = "ground/rules"
)

func TestHTTPGroundRules(t *testing.T) {
	write := ways(t)[0].api.KV()
	_, err := write.Put(&api.KVPair{Key: sample, Value: []byte("value"), Flags: 5}, nil)
	must(t, err)
	entry, _, err := write.Get(sample, nil)
	must(t, err)
	index := itoa(int(entry.ModifyIndex))
	compact := `[{"LockIndex":0,"Key":"ground/rules","Flags":5,"Value":"dmFsdWU=","CreateIndex":` + itoa(int(entry.CreateIndex)) + `,"ModifyIndex":` + index + `}]`
	indented := "[\n    {\n        \"LockIndex\": 0,\n        \"Key\": \"ground/rules\",\n        \"Flags\": 5,\n        \"Value\": \"dmFsdWU=\",\n" +
		"        \"CreateIndex\": " + itoa(int(entry.CreateIndex)) + ",\n        \"ModifyIndex\": " + index + "\n    }\n]\n"
	kvMethods := map[string]string{"Allow": "OPTIONS,GET,PUT,DELETE"}
	get := "GET /v1/kv/" + sample
	tests := []exchange{
		// methods and paths
		{name: "wrong method", request: "PATCH /v1/kv/a", status: 405, want: kvMethods, text: "method PATCH not allowed"},
		{name: "HEAD", request: "HEAD /v1/kv/a", status: 405, want: kvMethods},
		{name: "wrong method of an exact path", request: "POST /v1/agent/self", status: 405, want: map[string]string{"Allow": "OPTIONS,GET"}, text: "method POST not allowed"},
		{name: "OPTIONS", request: "OPTIONS /v1/kv/a", status: 200, want: kvMethods},
		{name: "unknown API path", request: "GET /v1/no/such", status: 404, want: map[string]string{"Content-Type": plain}, text: "Invalid URL path: not a recognized HTTP API endpoint\n"},
		{name: "unknown path", request: "GET /nowhere", status: 404, want: map[string]string{"Content-Type": plain}, text: "*"},
		{name: "root", request: "GET /", status: 200, text: "*"},
		{name: "no slash after kv", request: "GET /v1/kv?recurse", status: 307, want: map[string]string{"Location": "/v1/kv/?recurse"}, text: "*"},
		{name: "slashes before a key", request: "PUT /v1/kv//a?cas=0", status: 307, want: map[string]string{"Location": "/v1/kv/a?cas=0"}, text: "*"},
		{name: "slashes elsewhere", request: "GET /v1//agent/self", status: 307, want: map[string]string{"Location": "/v1/agent/self"}, text: "*"},
		{name: "dots elsewhere", request: "GET /v1/kv/../agent/version", status: 404, text: "*"}, // a key, not a path
		{name: "unprintable", request: "GET /v1/kv/a%00b", status: 400, text: "*"},
		{name: "unprintable escape", request: "GET /v1/kv/a%1b", status: 400, text: "*"},
		{name: "query that does not parse", request: get + "?a=%zz", status: 500, text: "*"},

		// bodies
		{name: "entry", request: get, status: 200, want: map[string]string{
			"Content-Type": coded, "X-Consul-Index": index, "X-Consul-Knownleader": "true", "X-Consul-Effective-Consistency": "", "X-Consul-Query-Backend": "blocking-query",
		}, text: compact},
		{name: "pretty", request: get + "?pretty", status: 200, text: indented},
		{name: "pretty, whatever its value", request: get + "?pretty=false", status: 200, text: indented},
		{name: "raw", request: get + "?raw", status: 200, want: map[string]string{
			"Content-Type": "text/plain", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox", "Content-Length": "5", "X-Consul-Index": index,
		}, text: "value"},
		{name: "raw with recurse", request: get + "?raw&recurse", status: 200, text: compact},
		{name: "keys", request: "GET /v1/kv/ground?keys", status: 200, text: `["ground/rules"]`},
		{name: "keys by the misspelt separator", request: "GET /v1/kv/ground?keys&seperator=/", status: 200, text: `["ground/"]`},
		{name: "missing key", request: "GET /v1/kv/ground/nothing", status: 404, want: map[string]string{"X-Consul-Knownleader": "true", "Content-Length": "0"}},
		{name: "missing prefix", request: "GET /v1/kv/ground/nothing?keys", status: 404},
		{name: "unknown node is null", request: "GET /v1/catalog/node/nobody", status: 200, want: map[string]string{"X-Consul-Effective-Consistency": "leader"}, text: "null"},
		{name: "unknown service is empty", request: "GET /v1/catalog/service/nothing?stale", status: 200, want: map[string]string{"X-Consul-Effective-Consistency": "stale"}, text: "[]"},
		{name: "nothing to say", request: "PUT /v1/agent/reload", status: 200, want: map[string]string{"Content-Type": coded, "Content-Length": "0"}},
		{name: "gzip not worth it", request: get, header: "Accept-Encoding: gzip\r\n", status: 200, want: map[string]string{"Content-Encoding": ""}, text: compact},

		// parameters
		{name: "bad wait", request: get + "?wait=soon&index=1", status: 400, want: map[string]string{"Content-Type": plain}, text: "Invalid wait time"},
		{name: "bad index", request: get + "?index=-1", status: 400, text: "Invalid index"},
		{name: "bad max_stale", request: get + "?max_stale=x", status: 400, text: `Invalid max_stale value "x"`},
		{name: "stale and consistent", request: get + "?stale&consistent", status: 400, text: "Cannot specify ?stale with ?consistent, conflicting semantics."},
		{name: "cached and consistent", request: get + "?cached&consistent", status: 400, text: "Cannot specify ?cached with ?consistent, conflicting semantics."},
		{name: "bad Cache-Control", request: get, header: "Cache-Control: max-age=x\r\n", status: 400, text: "Invalid Cache-Control header."},
		{name: "datacenter wins over dc", request: get + "?dc=nowhere&datacenter=dc1", status: 200, text: compact},
		{name: "unknown datacenter", request: get + "?dc=nowhere", status: 500, want: map[string]string{"Content-Type": plain}, text: "No path to datacenter"},
		{name: "namespace", request: get + "?ns=team", status: 400, text: `Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature`},
		{name: "partition header", request: get, header: "X-Consul-Partition: x\r\n", status: 400, text: `Invalid header: "X-Consul-Partition" - Partitions are a Consul Enterprise feature`},
		{name: "tokens are taken while there are no ACLs", request: get + "?token=x", header: "X-Consul-Token: y\r\nAuthorization: Bearer z\r\n", status: 200, text: compact},
		{name: "bad filter", request: "GET /v1/catalog/nodes?filter=Nope+%3D%3D+1", status: 500, text: "*"},

		// writes that are refused
		{name: "no key", request: "PUT /v1/kv/", body: "x", status: 400, text: "Missing key name"},
		{name: "delete of no key", request: "DELETE /v1/kv/", status: 400, text: "Missing key name"},
		{name: "read of no key", request: "GET /v1/kv/", status: 400, text: "Missing key name"},
		{name: "bad cas", request: "PUT /v1/kv/refused?cas=abc", body: "x", status: 500, text: `strconv.ParseUint: parsing "abc": invalid syntax`},
		{name: "empty cas", request: "PUT /v1/kv/refused?cas=", body: "x", status: 500, text: `strconv.ParseUint: parsing "": invalid syntax`},
		{name: "bad flags", request: "PUT /v1/kv/refused?flags=-1", body: "x", status: 500, text: `strconv.ParseUint: parsing "-1": invalid syntax`},
		{name: "conflicting flags", request: "PUT /v1/kv/refused?cas=1&acquire=x", body: "x", status: 400, text: "Conflicting flags: acquire=x&cas=1\n"},
		{name: "conflicting delete", request: "DELETE /v1/kv/refused?recurse&cas=1", status: 400, text: "Conflicting flags: cas=1&recurse=\n"},
		{name: "acquire without a session", request: "PUT /v1/kv/refused?acquire=", body: "x", status: 500, text: "raft apply failed: missing session"},
		{name: "acquire with an unknown session", request: "PUT /v1/kv/refused?acquire=x", body: "x", status: 500, text: `raft apply failed: invalid session "x"`},
		{name: "none of them wrote", request: "GET /v1/kv/refused", status: 404},
		{name: "cas that does not match", request: "PUT /v1/kv/" + sample + "?cas=1", body: "x", status: 200, text: "false"},
		{name: "operator: neither id nor address", request: "DELETE /v1/operator/raft/peer", status: 400, text: "*"},
		{name: "operator: bad cas", request: "PUT /v1/operator/autopilot/configuration?cas=x", body: "{}", status: 400, text: "*"},
		{name: "operator: unknown member", request: "PUT /v1/operator/autopilot/configuration", body: `{"Nope":1}`, status: 400, text: `Request decode failed: json: unknown field "Nope"`},
		{name: "operator: empty body", request: "PUT /v1/operator/autopilot/configuration", status: 400, text: "Request decode failed: EOF"},
	}
	through(t, func(t *testing.T, v *via) {
		for _, e := range tests {
			t.Run(e.name, func(t *testing.T) { e.check(t, v) })
		}
	})
}

// TestHTTPMalformed sends what never becomes a request: net/http answers it.
func TestHTTPMalformed(t *testing.T) {
	v := ways(t)[0]
	for name, request := range map[string]string{
		"not an escape":    "GET /v1/kv/a%zz HTTP/1.1\r\nHost: agent\r\n\r\n",
		"no host":          "GET /v1/agent/version HTTP/1.1\r\n\r\n",
		"not HTTP":         "HELO agent\r\n\r\n",
		"two lengths":      "PUT /v1/kv/a HTTP/1.1\r\nHost: agent\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"length no number": "PUT /v1/kv/malformed HTTP/1.1\r\nHost: agent\r\nContent-Length: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, v)
			_, err := io.WriteString(c, request)
			must(t, err)
			if resp, body := answered(t, c, "GET"); resp.StatusCode != 400 {
				t.Errorf("%d %q", resp.StatusCode, body)
			}
		})
	}
}

// TestHTTPEmptyStore asks an agent that has no keys; a dev agent also indents.
func TestHTTPEmptyStore(t *testing.T) {
	v := shared.dev(t, nil)
	for _, e := range []exchange{
		{name: "all keys", request: "GET /v1/kv/?keys", status: 200, text: "[]"},
		{name: "all entries", request: "GET /v1/kv/?recurse", status: 404},
		{name: "write", request: "PUT /v1/kv/a", status: 200, text: "true"},
		{name: "indented without being asked", request: "GET /v1/kv/?keys", status: 200, text: "[\n    \"a\"\n]"},
		{name: "with a newline when asked", request: "GET /v1/kv/?keys&pretty", status: 200, text: "[\n    \"a\"\n]\n"},
	} {
		t.Run(e.name, func(t *testing.T) { e.check(t, v) })
	}
}

func TestHTTPGzip(t *testing.T) {
	value := strings.Repeat("compressible ", 200)
	through(t, func(t *testing.T, v *via) {
		key := space(t) + "k"
		_, err := v.api.KV().Put(&api.KVPair{Key: key, Value: []byte(value)}, nil)
		must(t, err)
		ask := exchange{request: "GET /v1/kv/" + key + "?raw", header: "Accept-Encoding: gzip\r\n"}
		resp, body := ask.send(t, v)
		if resp.Header.Get("Content-Encoding") != "gzip" || len(body) > len(value)/2 {
			t.Fatalf("%d bytes as %q", len(body), resp.Header.Get("Content-Encoding"))
		}
		r, err := gzip.NewReader(bytes.NewReader([]byte(body)))
		must(t, err)
		plain, err := io.ReadAll(r)
		if err != nil || string(plain) != value {
			t.Errorf("unpacked: %d bytes, %v", len(plain), err)
		}
		ask.header = ""
		if resp, body = ask.send(t, v); resp.Header.Get("Content-Encoding") != "" || body != value {
			t.Errorf("unasked: %d bytes as %q", len(body), resp.Header.Get("Content-Encoding"))
		}
	})
}

func TestPrometheus(t *testing.T) {
	through(t, func(t *testing.T, v *via) {
		for _, e := range []exchange{
			{request: "GET /v1/agent/metrics?format=prometheus"},
			{request: "GET /v1/agent/metrics", header: "Accept: text/plain;version=0.0.4\r\n"},
			{request: "GET /metrics"},
		} {
			resp, body := e.send(t, v)
			if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain; version=0.0.4") || !strings.Contains(body, "# TYPE ") {
				t.Errorf("%s: %d %s, %d bytes", e.request, resp.StatusCode, resp.Header.Get("Content-Type"), len(body))
			}
		}
	})
}
