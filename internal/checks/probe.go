package checks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/program"
)

// probe looks once and returns a state and what was seen. It ends when ctx does.
type probe func(ctx context.Context) (status, output string)

// quick looks without waiting. Where that tells nothing it returns the probe that
// goes on from there, which must be run.
type quick func() (status, output string, rest probe)

// quick returns what a definition can do without waiting, nil for nothing. p is
// all it does.
func (r *Runner) quick(d *Definition, p probe) quick {
	if d.Kind() != TCP || d.TCPUseTLS {
		return nil
	}
	k := newKnock(d.TCP)
	if k == nil {
		return nil
	}
	success := tcpSuccess(d)
	return func() (string, string, probe) {
		wait, err := k.try()
		switch {
		case wait != nil:
			return "", "", func(ctx context.Context) (string, string) { return tcpResult(success, wait(ctx)) }
		case errors.Is(err, errDial):
			return "", "", p
		}
		status, output := tcpResult(success, err)
		return status, output, nil
	}
}

// probe returns what a definition does, nil for what does not run here.
func (r *Runner) probe(d *Definition) probe {
	switch d.Kind() {
	case HTTP:
		return r.httpProbe(d)
	case TCP:
		return r.tcpProbe(d)
	case UDP:
		return r.udpProbe(d)
	case GRPC:
		return r.grpcProbe(d)
	case H2Ping:
		return r.h2Probe(d)
	case Script:
		return scriptProbe(d, r.size(d))
	case Docker:
		return dockerProbe(d, r.cfg.DockerHost, r.size(d))
	case OSService:
		return osServiceProbe(d)
	case Alias:
		if d.AliasNode != "" {
			return r.aliasProbe(d)
		}
	case TTL:
	}
	return nil
}

// transportBytes are the buffers of a connection for one question and its answer.
const transportBytes = 1 << 10

// newTransport returns a transport without connections kept open: a check is
// also about whether one can be opened.
func newTransport(conf *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSClientConfig: conf,
		MaxResponseHeaderBytes: 256 << 10, ReadBufferSize: transportBytes, WriteBufferSize: transportBytes,
	}
}

// tlsConfig returns what a run of the check speaks TLS with.
func (r *Runner) tlsConfig(d *Definition) *tls.Config {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.cfg.AgentTLS != nil {
		conf = r.cfg.AgentTLS()
	}
	conf.ServerName, conf.InsecureSkipVerify = d.TLSServerName, d.TLSSkipVerify
	return conf
}

// httpClient returns what makes the client of each run. With the agent's TLS that
// is a new one: its certificate may be another by then.
func (r *Runner) httpClient(d *Definition) func() *http.Client {
	client := &http.Client{Transport: r.shared}
	if d.TLSServerName != "" || d.TLSSkipVerify {
		client.Transport = newTransport(r.tlsConfig(d))
	}
	if d.DisableRedirects {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	if r.cfg.AgentTLS == nil {
		return func() *http.Client { return client }
	}
	return func() *http.Client {
		return &http.Client{Transport: newTransport(r.tlsConfig(d)), CheckRedirect: client.CheckRedirect}
	}
}

func (r *Runner) httpProbe(d *Definition) probe {
	client := r.httpClient(d)
	method, limit := d.Method, r.size(d)
	if method == "" {
		method = http.MethodGet
	}
	return func(ctx context.Context) (string, string) {
		req, err := http.NewRequestWithContext(ctx, method, d.HTTP, strings.NewReader(d.Body))
		if err != nil {
			return Critical, err.Error()
		}
		setHeader(req, d.Header)
		resp, err := client().Do(req)
		if err != nil {
			return Critical, err.Error()
		}
		defer resp.Body.Close()
		seen := program.NewTail(limit)
		buf := buffers.Get().(*[bufferBytes]byte)
		// What came of a body that broke off is still worth showing.
		_, _ = io.CopyBuffer(seen, resp.Body, buf[:])
		buffers.Put(buf)
		output := fmt.Sprintf("HTTP %s %s: %s Output: %s", method, d.HTTP, resp.Status, seen)
		switch {
		case resp.StatusCode >= 200 && resp.StatusCode <= 299:
			return Passing, output
		case resp.StatusCode == http.StatusTooManyRequests:
			return Warning, output
		default:
			return Critical, output
		}
	}
}

// buffers are what answers are read with: most are a few words, and what io.Copy
// takes for them by itself is more than all else that a check needs.
var buffers = sync.Pool{New: func() any { return new([bufferBytes]byte) }}

const bufferBytes = 4 << 10

func setHeader(req *http.Request, header map[string][]string) {
	for name, values := range header {
		for _, v := range values {
			req.Header.Add(name, v)
		}
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "Consul Health Check")
	}
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "text/plain, text/*, */*")
	}
}

func (r *Runner) tcpProbe(d *Definition) probe {
	success := tcpSuccess(d)
	return func(ctx context.Context) (string, string) {
		conn, err := r.dial(ctx, "tcp", d.TCP, d.TCPUseTLS, d)
		if err == nil {
			_ = conn.Close() // it was opened, which is all that was asked
		}
		return tcpResult(success, err)
	}
}

func tcpSuccess(d *Definition) string { return fmt.Sprintf("TCP connect %s: Success", d.TCP) }

func tcpResult(success string, err error) (status, output string) {
	if err != nil {
		return Critical, err.Error()
	}
	return Passing, success
}

// dialer opens connections that are closed soon: nothing has to keep them alive,
// and to say how takes as long as to open one.
var dialer = net.Dialer{KeepAlive: -1}

// dial opens a connection, with TLS where asked.
func (r *Runner) dial(ctx context.Context, network, address string, useTLS bool, d *Definition, protocols ...string) (net.Conn, error) {
	if !useTLS {
		return dialer.DialContext(ctx, network, address)
	}
	conf := r.tlsConfig(d)
	conf.NextProtos = protocols
	secure := tls.Dialer{NetDialer: &dialer, Config: conf}
	return secure.DialContext(ctx, network, address)
}

// udpPatience is how long an answer is waited for: silence is as good as one,
// only a refusal is not, and that comes at once.
const udpPatience = time.Second

func (r *Runner) udpProbe(d *Definition) probe {
	return func(ctx context.Context) (string, string) {
		conn, err := r.dial(ctx, "udp", d.UDP, false, d)
		if err != nil {
			return Critical, err.Error()
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "health check"); err != nil {
			return Critical, err.Error()
		}
		// After it was sent, which waits for nobody: an agent that had no
		// processor meanwhile must not take that for a failure.
		if err := conn.SetReadDeadline(time.Now().Add(min(udpPatience, d.limit()))); err != nil {
			return Critical, err.Error()
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return Critical, err.Error()
		}
		return Passing, fmt.Sprintf("UDP connect %s: Success", d.UDP)
	}
}
