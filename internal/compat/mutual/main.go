// Command mutual is a program that speaks mutual TLS with others of the cluster
// and needs nothing for it but the HTTP API of the agent on its machine: it
// takes the roots and its service's certificate from there, follows their
// changes, and accepts only the service it is told to.
//
//	mutual -agent http://127.0.0.1:8500 -service db  -accept web -listen 127.0.0.1:9000
//	mutual -agent http://127.0.0.1:8500 -service web -accept db  -dial   127.0.0.1:9000
//
// The first greets whoever connects, the second connects again and again. Both
// print what they counted when they get SIGTERM. It is what the how-to "Mutual
// TLS between two programs" describes.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// identity is what the agent gives this program: its own certificate, and the
// roots by which to know others.
type identity struct {
	agent, service string

	mu    sync.RWMutex
	leaf  *tls.Certificate
	uri   string // spiffe://<trust domain>/ns/default/dc/<dc>/svc/<service>
	roots *x509.CertPool
}

// follow reads path, and reads it again whenever it changes, until ctx ends. It
// returns once the first answer is taken.
func (i *identity) follow(ctx context.Context, path string, take func([]byte) error) error {
	index, err := i.read(ctx, path, "0", take)
	if err != nil {
		return err
	}
	go func() { // ends with ctx, which is the program's life
		for ctx.Err() == nil {
			next, err := i.read(ctx, path, index, take)
			if err != nil {
				// The agent restarts, say: what is known goes on being used.
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
				continue
			}
			index = next
		}
	}()
	return nil
}

func (i *identity) read(ctx context.Context, path, index string, take func([]byte) error) (next string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.agent+path+"?wait=60s&index="+index, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", path, resp.Status, body)
	}
	return resp.Header.Get("X-Consul-Index"), take(body)
}

func (i *identity) takeRoots(body []byte) error {
	var list struct{ Roots []struct{ RootCert string } }
	if err := json.Unmarshal(body, &list); err != nil {
		return err
	}
	pool := x509.NewCertPool()
	for _, r := range list.Roots { // all of them: those that were replaced count until they are gone
		pool.AppendCertsFromPEM([]byte(r.RootCert))
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.roots = pool
	return nil
}

func (i *identity) takeLeaf(body []byte) error {
	var leaf struct{ CertPEM, PrivateKeyPEM, ServiceURI string }
	if err := json.Unmarshal(body, &leaf); err != nil {
		return err
	}
	cert, err := tls.X509KeyPair([]byte(leaf.CertPEM), []byte(leaf.PrivateKeyPEM))
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.leaf, i.uri = &cert, leaf.ServiceURI
	return nil
}

func (i *identity) certificate() *tls.Certificate {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.leaf
}

// config returns a configuration for both sides of connections with the service
// accepted. It uses what is current at each handshake.
func (i *identity) config(accepted string) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true, // a resumed session would not be verified again
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return i.certificate(), nil },
		GetClientCertificate:   func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return i.certificate(), nil },
		ClientAuth:             tls.RequireAnyClientCert,
		// The library would look for a host name. verify does all it does
		// otherwise, and looks for an identity.
		InsecureSkipVerify: true,
		VerifyConnection:   func(cs tls.ConnectionState) error { return i.verify(cs.PeerCertificates, accepted) },
	}
}

// verify checks that the peer's certificate leads to a root of the cluster and
// has the identity of the service accepted, and no other.
func (i *identity) verify(chain []*x509.Certificate, accepted string) error {
	i.mu.RLock()
	roots, own := i.roots, i.uri
	i.mu.RUnlock()
	if len(chain) == 0 {
		return errors.New("the peer has no certificate")
	}
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(o); err != nil {
		return err
	}
	base, _, _ := strings.Cut(own, "/svc/")
	want := base + "/svc/" + url.PathEscape(accepted)
	if len(chain[0].URIs) != 1 || chain[0].URIs[0].String() != want {
		return fmt.Errorf("the peer is %v, not %s", chain[0].URIs, want)
	}
	return nil
}

// counts are what happened.
type counts struct {
	mu         sync.Mutex
	Handshakes int
	Failed     int
	Errors     []string        // the first few
	Issuers    map[string]bool // key ids of the roots that signed the peer's certificates
}

func (c *counts) add(conn *tls.Conn, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.Failed++
		if len(c.Errors) < 5 {
			c.Errors = append(c.Errors, err.Error())
		}
		return
	}
	c.Handshakes++
	if c.Handshakes == 1 {
		fmt.Println("first handshake")
	}
	id := hex.EncodeToString(conn.ConnectionState().PeerCertificates[0].AuthorityKeyId)
	c.Issuers[id] = true
}

// serve greets every peer until ctx ends.
func serve(ctx context.Context, l net.Listener, config *tls.Config, service string, c *counts) {
	context.AfterFunc(ctx, func() { _ = l.Close() })
	var open sync.WaitGroup
	defer open.Wait()
	for {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		open.Go(func() {
			defer raw.Close()
			conn := tls.Server(raw, config)
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			err := conn.HandshakeContext(ctx)
			if err == nil {
				_, err = fmt.Fprintf(conn, "hello from %s\n", service)
				_ = conn.CloseWrite()
			}
			if ctx.Err() == nil {
				c.add(conn, err)
			}
		})
	}
}

// dial connects and reads the greeting once. Only that proves that the peer has
// accepted our certificate: a TLS 1.3 client is done before the server is.
func dial(ctx context.Context, address string, config *tls.Config) (*tls.Conn, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: config}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "hello from ") {
		return nil, fmt.Errorf("greeting %q: %w", line, err)
	}
	return conn.(*tls.Conn), nil
}

func run(ctx context.Context) error {
	agent := flag.String("agent", "http://127.0.0.1:8500", "`URL` of the agent")
	service := flag.String("service", "", "the service this program is")
	accept := flag.String("accept", "", "the service it speaks with")
	listenAt := flag.String("listen", "", "greet peers at this `ADDRESS`")
	dialTo := flag.String("dial", "", "connect to this `ADDRESS` again and again")
	workers := flag.Int("workers", 2, "connections at a time")
	times := flag.Int("times", 0, "stop after so many connections; 0 goes on")
	flag.Parse()
	id := &identity{agent: *agent, service: *service}
	if err := id.follow(ctx, "/v1/agent/connect/ca/roots", id.takeRoots); err != nil {
		return err
	}
	if err := id.follow(ctx, "/v1/agent/connect/ca/leaf/"+url.PathEscape(*service), id.takeLeaf); err != nil {
		return err
	}
	config, c := id.config(*accept), &counts{Issuers: map[string]bool{}}
	if *listenAt != "" {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listenAt)
		if err != nil {
			return err
		}
		fmt.Println("listening")
		serve(ctx, l, config, *service, c)
	} else {
		var all sync.WaitGroup
		for range *workers {
			all.Go(func() {
				for n := 0; ctx.Err() == nil && (*times == 0 || n < *times); n++ {
					// A connection begun is finished: what is counted is whole.
					c.add(dial(context.WithoutCancel(ctx), *dialTo, config))
				}
			})
		}
		all.Wait()
	}
	return json.NewEncoder(os.Stdout).Encode(c)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}
