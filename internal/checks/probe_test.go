package checks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// once runs what a definition does, once.
func once(t *testing.T, d Definition) (string, string) {
	t.Helper()
	d.Interval = Duration(time.Second)
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d.limit())
	defer cancel()
	r := New(Config{OutputMaxSize: 100})
	p := r.probe(&d)
	if q := r.quick(&d, p); q != nil {
		status, output, rest := q()
		if rest == nil {
			return status, output
		}
		p = rest
	}
	return p(ctx)
}

// TestAgentTLS asks services that demand the agent's certificate. Each run takes
// what is in force then.
func TestAgentTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %d", len(r.TLS.PeerCertificates))
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12} // which refuses at once
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	addr := strings.TrimPrefix(srv.URL, "https://")
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	held := &tls.Config{MinVersion: tls.VersionTLS12}
	r := New(Config{AgentTLS: func() *tls.Config { return held.Clone() }})
	definitions := []Definition{
		{HTTP: srv.URL}, {HTTP: srv.URL, TLSServerName: "example.com"}, {TCP: addr, TCPUseTLS: true},
	}
	var probes []probe
	for i := range definitions {
		probes = append(probes, r.probe(&definitions[i]))
	}
	for i, p := range probes {
		if s, o := p(t.Context()); s != Critical || !strings.Contains(o, "unknown authority") {
			t.Errorf("%+v without authorities: %s %q", definitions[i], s, o)
		}
	}
	held.RootCAs = roots
	for i, p := range probes {
		if s, o := p(t.Context()); s != Critical || !strings.Contains(o, "tls: ") {
			t.Errorf("%+v without a certificate: %s %q", definitions[i], s, o)
		}
	}
	held.Certificates = srv.TLS.Certificates
	for i, p := range probes {
		if s, o := p(t.Context()); s != Passing || definitions[i].HTTP != "" && !strings.Contains(o, "hello 1") {
			t.Errorf("%+v: %s %q", definitions[i], s, o)
		}
	}
	other := Definition{HTTP: srv.URL, TLSServerName: "other.test"}
	if s, o := r.probe(&other)(t.Context()); s != Critical || !strings.Contains(o, "other.test") {
		t.Errorf("a certificate for another name: %s %q", s, o)
	}
}

func expect(t *testing.T, d Definition, status, output string) {
	t.Helper()
	if s, o := once(t, d); s != status || !strings.Contains(o, output) {
		t.Errorf("got %s %q, want %s %q", s, o, status, output)
	}
}

func TestHTTP(t *testing.T) {
	var got *http.Request
	var body []byte
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/429":
			w.WriteHeader(http.StatusTooManyRequests)
		case "/500":
			http.Error(w, strings.Repeat("x", 200)+"end", http.StatusInternalServerError)
		default:
			fmt.Fprint(w, "hello")
		}
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	expect(t, Definition{HTTP: srv.URL, TLSSkipVerify: true}, Passing, "HTTP GET "+srv.URL+": 200 OK Output: hello")
	if got.UserAgent() != "Consul Health Check" || got.Header.Get("Accept") != "text/plain, text/*, */*" {
		t.Errorf("headers: %v", got.Header)
	}
	expect(t, Definition{HTTP: srv.URL, TLSSkipVerify: true, Method: "PUT", Body: "b", Header: map[string][]string{"Host": {"h"}, "X-A": {"1", "2"}}}, Passing, "HTTP PUT")
	if got.Host != "h" || len(got.Header["X-A"]) != 2 || string(body) != "b" {
		t.Errorf("request: %s %v %q", got.Host, got.Header, body)
	}
	expect(t, Definition{HTTP: srv.URL + "/429", TLSSkipVerify: true}, Warning, "429 Too Many Requests")
	expect(t, Definition{HTTP: srv.URL + "/500", TLSSkipVerify: true}, Critical, "Captured 100 of 204 bytes")
	expect(t, Definition{HTTP: srv.URL + "/redirect", TLSSkipVerify: true}, Passing, "hello")
	expect(t, Definition{HTTP: srv.URL + "/redirect", TLSSkipVerify: true, DisableRedirects: true}, Critical, "302 Found")
	expect(t, Definition{HTTP: srv.URL}, Critical, "certificate")
	expect(t, Definition{TCP: strings.TrimPrefix(srv.URL, "https://"), TCPUseTLS: true, TLSSkipVerify: true}, Passing, "Success")
	expect(t, Definition{TCP: strings.TrimPrefix(srv.URL, "https://"), TCPUseTLS: true}, Critical, "certificate")
	expect(t, Definition{HTTP: "http://127.0.0.1:1"}, Critical, "refused")
}

func TestTCPAndUDP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	expect(t, Definition{TCP: addr}, Passing, "TCP connect "+addr+": Success")
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, Definition{TCP: addr}, Critical, "refused")
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = pc.LocalAddr().String()
	silent := Definition{UDP: addr, Timeout: 1} // over before anything can be sent
	if s, o := New(Config{}).probe(&silent)(t.Context()); s != Passing || o != "UDP connect "+addr+": Success" {
		t.Errorf("silence: got %s %q", s, o)
	}
	if err := pc.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, Definition{UDP: addr}, Critical, "refused")
}

func TestGRPCAndH2Ping(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, status := grpc.NewServer(), health.NewServer()
	healthpb.RegisterHealthServer(srv, status)
	status.SetServingStatus("down", healthpb.HealthCheckResponse_NOT_SERVING)
	done := make(chan error)
	go func() { done <- srv.Serve(ln) }()
	addr := ln.Addr().String()
	plain := false
	expect(t, Definition{GRPC: addr}, Passing, "gRPC check "+addr+": success")
	expect(t, Definition{GRPC: addr + "/down"}, Critical, "NOT_SERVING")
	expect(t, Definition{GRPC: addr + "/unknown"}, Critical, "unknown service")
	expect(t, Definition{H2PING: addr, H2PingUseTLS: &plain}, Passing, "HTTP2 ping was successful")
	expect(t, Definition{H2PING: addr}, Critical, "tls")
	srv.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	expect(t, Definition{GRPC: addr, Timeout: Duration(time.Second)}, Critical, "refused")
	expect(t, Definition{H2PING: addr, H2PingUseTLS: &plain}, Critical, "refused")
	h1 := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(h1.Close)
	expect(t, Definition{H2PING: strings.TrimPrefix(h1.URL, "http://"), H2PingUseTLS: &plain}, Critical, "HTTP2 ping")
}

// TestDocker has a daemon that runs what it is asked, on a unix socket.
func TestDocker(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Skip("no unix sockets:", err)
	}
	var asked string
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		switch asked += r.Method + " " + r.URL.Path + "\n"; r.URL.Path {
		case "/v1.24/containers/c1/exec":
			asked += string(b) + "\n"
			fmt.Fprint(w, `{"Id":"e1"}`)
		case "/v1.24/exec/e1/start":
			fmt.Fprint(w, "\x01\x00\x00\x00\x00\x00\x00\x03out\x02\x00\x00\x00\x00\x00\x00\x03err")
		case "/v1.24/exec/e1/json":
			fmt.Fprint(w, `{"ExitCode":1}`)
		default:
			http.Error(w, `{"message":"No such container"}`, http.StatusNotFound)
		}
	})}
	done := make(chan error)
	go func() { done <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
	run := func(container string) (string, string) {
		d := Definition{DockerContainerID: container, ScriptArgs: []string{"test -e /ok"}, Interval: Duration(time.Second)}
		return New(Config{DockerHost: "unix://" + path}).probe(&d)(t.Context())
	}
	if status, output := run("c1"); status != Warning || output != "outerr" {
		t.Errorf("got %s %q", status, output)
	}
	if !strings.Contains(asked, `"Cmd":["/bin/sh","-c","test -e /ok"]`) {
		t.Errorf("asked %s", asked)
	}
	if status, output := run("c2"); status != Critical || !strings.Contains(output, "No such container") {
		t.Errorf("got %s %q", status, output)
	}
}

// servers answer about the node n2.
type servers struct {
	index string
	fail  error
}

func (s *servers) Do(_ context.Context, _, path string, query url.Values, _ []byte) (int, http.Header, []byte, error) {
	s.index = query.Get("index")
	b, err := json.Marshal([]Seen{{Name: "node", Status: Passing}, {Name: "mine", Status: Warning, ServiceID: "web"}, {Name: "other", Status: Critical, ServiceID: "db"}})
	if path != "/v1/health/node/n2" {
		return 404, nil, []byte(path), nil
	}
	return 200, http.Header{"X-Consul-Index": {"7"}}, b, errors.Join(err, s.fail)
}

func TestAliasOfAnotherNode(t *testing.T) {
	s := &servers{}
	p := New(Config{Requester: s}).probe(&Definition{AliasNode: "n2", AliasService: "web"})
	if status, output := p(t.Context()); status != Warning || output != `Aliased check "mine" failing: ` {
		t.Errorf("got %s %q", status, output)
	}
	p(t.Context())
	if s.index != "7" {
		t.Errorf("asked with index %q", s.index)
	}
	s.fail = errors.New("no leader")
	if status, _ := p(t.Context()); status != Critical {
		t.Errorf("got %s", status)
	}
}
