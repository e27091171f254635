package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/backoff"
	"github.com/ctl-sh/ctl/internal/ca"
	"github.com/ctl-sh/ctl/internal/ca/caapi"
	"github.com/ctl-sh/ctl/internal/ca/issue"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/lifecycle"
	"github.com/ctl-sh/ctl/internal/logging"
	"github.com/ctl-sh/ctl/internal/rpc"
	"github.com/ctl-sh/ctl/internal/server"
	"github.com/ctl-sh/ctl/internal/spiffe"
	"github.com/ctl-sh/ctl/internal/tlsconf"
)

// Certificates of client agents from the servers (auto_encrypt). A client that has
// none yet makes two requests over TLS, to a server that it verifies by its own
// ca_file: for the roots of the cluster's authority, and for a certificate under
// them. Servers answer these two, and nothing else, to whoever shows no
// certificate.

const pathRoots = "/v1/connect/ca/roots"

// allowedUnknown fails for every request that is not one of the two, or asks for
// a certificate of anything but a client agent.
func allowedUnknown(req *httpapi.WireRequest) error {
	switch {
	case req.Method == http.MethodGet && req.Path == pathRoots && req.RawQuery == "":
		return nil
	case req.Method == http.MethodPut && req.Path == caapi.SignPath && req.RawQuery == "":
	default:
		return failure.Newf(failure.PermissionDenied, "%s %s: an agent without a certificate may only ask for one", req.Method, req.Path)
	}
	var body caapi.SignRequest
	if err := json.Unmarshal(req.Body, &body); err != nil {
		return failure.Newf(failure.BadRequest, "request for a certificate: %w", err)
	}
	csr, err := issue.ParseRequest([]byte(body.CSR))
	if err != nil {
		return err
	}
	if csr.Identity.Kind != spiffe.Agent {
		return failure.Newf(failure.PermissionDenied, "an agent without a certificate may only ask for its own, not for %s", csr.Identity)
	}
	return nil
}

// signUnknown answers an agent without a certificate.
func (a *Agent) signUnknown(ctx context.Context, req *httpapi.WireRequest) (*httpapi.WireResponse, error) {
	if err := allowedUnknown(req); err != nil {
		return nil, err
	}
	return a.mux.ServeWire(ctx, req), nil
}

// automatic is the part that keeps this agent's automatic certificate, or on a
// server what is accepted of such certificates.
func (a *Agent) automatic() []lifecycle.Part {
	switch rt := a.rt.Load(); {
	case rt.AutoEncrypt.TLS:
		return []lifecycle.Part{{Name: "automatic certificate", Run: a.keepCertificate}}
	case rt.AutoEncrypt.AllowTLS:
		return []lifecycle.Part{{Name: "authorities of automatic certificates", Run: a.followAuthorities}}
	}
	return nil
}

// Pauses between attempts.
const (
	minAutomaticPause = 200 * time.Millisecond
	maxAutomaticPause = 15 * time.Second
)

// followAuthorities keeps what is accepted as it is in the state.
func (a *Agent) followAuthorities(ctx context.Context, ready func()) error {
	ready()
	pause := backoff.New(minAutomaticPause, maxAutomaticPause)
	var index uint64
	for ctx.Err() == nil {
		roots, _, err := a.leaves.Roots(ctx, index, time.Minute)
		if err == nil && roots.Index != index {
			var trusted []*x509.Certificate
			if trusted, _, err = authorities(roots.JSON); err == nil {
				index = roots.Index
				a.tls.SetTrusted(trusted)
				pause = backoff.New(minAutomaticPause, maxAutomaticPause)
			}
		}
		if err != nil {
			backoff.Pause(ctx, pause.Next())
		}
	}
	return nil
}

// authorities reads the answer of pathRoots.
func authorities(body []byte) (trusted []*x509.Certificate, answer rootsAnswer, err error) {
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, answer, fmt.Errorf("read the roots: %w", err)
	}
	for _, r := range answer.Roots {
		block, _ := pem.Decode([]byte(r.RootCert))
		if block == nil {
			return nil, answer, fmt.Errorf("the root %s is not a certificate in PEM form", r.ID)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, answer, fmt.Errorf("read the root %s: %w", r.ID, err)
		}
		trusted = append(trusted, c)
	}
	if answer.ActiveRootID == "" || len(trusted) == 0 {
		return nil, answer, failure.New(failure.Unavailable, "the cluster's certificate authority has no root yet")
	}
	return trusted, answer, nil
}

type rootsAnswer struct {
	ActiveRootID string
	TrustDomain  string
	Roots        []struct{ ID, RootCert string }
}

// keepCertificate gets a certificate and renews it, long before its end and when
// the active root changes.
func (a *Agent) keepCertificate(ctx context.Context, ready func()) error {
	ready()
	log := a.log.With(logging.KeyComponent, "agent.auto_encrypt")
	pool := rpc.NewPool(rpc.PoolConfig{Dial: a.tls.Dialer(tlsconf.ProtocolSign, dialer(a.rt.Load()))})
	defer func() { _ = pool.Close() }() // nothing is under way
	pause := backoff.New(minAutomaticPause, maxAutomaticPause)
	for ctx.Err() == nil {
		got, err := a.askCertificate(ctx, pool)
		if err != nil {
			if ctx.Err() == nil {
				d := pause.Next()
				level := slog.LevelWarn
				if errors.Is(err, errNobody) {
					level = slog.LevelDebug // joining says what is wrong
				}
				log.Log(ctx, level, "no certificate from the servers; trying again", logging.KeyError, err, "pause", d)
				backoff.Pause(ctx, d)
			}
			continue
		}
		pause = backoff.New(minAutomaticPause, maxAutomaticPause)
		a.tls.SetAutomatic(got.pair, got.trusted)
		leaf := got.pair.Leaf
		log.Info("the servers gave this agent a certificate", "identity", leaf.URIs[0].String(), "until", leaf.NotAfter.UTC().Format(time.RFC3339))
		a.outlast(ctx, got)
	}
	return nil
}

// issued is a certificate with the authorities it came with.
type issued struct {
	pair    *tls.Certificate
	trusted []*x509.Certificate
	active  string // the root that signed
}

// outlast returns when it is time for another certificate: at about two thirds of
// its life, or a little after another root is active. Roots that come besides are
// trusted at once.
func (a *Agent) outlast(ctx context.Context, got *issued) {
	leaf := got.pair.Leaf
	life := time.Until(leaf.NotAfter)
	renew := time.NewTimer(life*60/100 + rand.N(max(life/10, 1)))
	defer renew.Stop()
	watch, stop := context.WithCancel(ctx)
	changed := make(chan struct{})
	done := make(chan struct{})
	go func() { // ends with watch, which is waited for
		defer close(done)
		var index uint64
		for watch.Err() == nil {
			roots, _, err := a.leaves.Roots(watch, index, time.Minute)
			if err != nil {
				backoff.Pause(watch, maxAutomaticPause)
				continue
			}
			index = roots.Index
			trusted, answer, err := authorities(roots.JSON)
			if err != nil {
				continue
			}
			if answer.ActiveRootID != got.active {
				close(changed)
				return
			}
			if len(trusted) != len(got.trusted) {
				got.trusted = trusted
				a.tls.SetAutomatic(got.pair, trusted)
			}
		}
	}()
	select {
	case <-changed:
		backoff.Pause(ctx, rand.N(2*time.Second)) // not all agents at once
	case <-renew.C:
	case <-ctx.Done():
	}
	stop()
	<-done
}

var errNobody = errors.New("no server is known yet: this agent has joined none")

// askCertificate asks the servers that gossip knows, in any order, until one gives
// a certificate.
func (a *Agent) askCertificate(ctx context.Context, pool *rpc.Pool) (*issued, error) {
	var addresses []string
	for _, m := range a.lan.Members() {
		if s, ok := gossip.ServerOf(m); ok && s.Status == gossip.StatusAlive {
			addresses = append(addresses, s.Addr)
		}
	}
	if len(addresses) == 0 {
		return nil, errNobody
	}
	rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	var errs []error
	for _, addr := range addresses {
		got, err := a.askServer(ctx, pool, addr)
		if err == nil {
			return got, nil
		}
		errs = append(errs, fmt.Errorf("server %s: %w", addr, err))
	}
	return nil, errors.Join(errs...)
}

// askTime bounds the asking of one server.
const askTime = 10 * time.Second

func (a *Agent) askServer(ctx context.Context, pool *rpc.Pool, addr string) (*issued, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	defer pool.Drop(addr) // there is nothing to ask for a long time
	ask := func(method, path string, body []byte) ([]byte, error) {
		resp, err := server.Certificate(ctx, pool, addr, &httpapi.WireRequest{Method: method, Path: path, Body: body})
		if err == nil && resp.Status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", resp.Status, strings.TrimSpace(string(resp.Body)))
		}
		if err != nil {
			return nil, err
		}
		return resp.Body, nil
	}
	body, err := ask(http.MethodGet, pathRoots, nil)
	if err != nil {
		return nil, err
	}
	trusted, answer, err := authorities(body)
	if err != nil {
		return nil, err
	}
	key, keyPEM, err := issue.NewKey(ca.KeyEC, 256)
	if err != nil {
		return nil, err
	}
	csr, err := issue.NewRequest(a.ownNames(answer.TrustDomain), key)
	if err != nil {
		return nil, err
	}
	if body, err = json.Marshal(caapi.SignRequest{CSR: csr, Node: a.rt.Load().NodeName}); err != nil {
		return nil, err
	}
	if body, err = ask(http.MethodPut, caapi.SignPath, body); err != nil {
		return nil, err
	}
	var signed caapi.Signed
	if err := json.Unmarshal(body, &signed); err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	pair, err := tls.X509KeyPair([]byte(signed.CertPEM), []byte(keyPEM))
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	if now := time.Now(); now.After(pair.Leaf.NotAfter) || len(pair.Leaf.URIs) != 1 {
		return nil, fmt.Errorf("the certificate the server gave cannot be used: it ends on %s; compare the clocks", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return &issued{pair: &pair, trusted: trusted, active: signed.RootID}, nil
}

// ownNames is what this agent's certificate is for.
func (a *Agent) ownNames(trustDomain string) issue.Request {
	rt := a.rt.Load()
	r := issue.Request{
		Identity: spiffe.ID{Kind: spiffe.Agent, TrustDomain: trustDomain, Datacenter: rt.Datacenter, Name: a.id},
		DNSNames: append([]string{"localhost"}, rt.AutoEncrypt.DNSSAN...), Addresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	for _, text := range rt.AutoEncrypt.IPSAN {
		r.Addresses = append(r.Addresses, net.ParseIP(text)) // loading has refused others
	}
	return r
}
