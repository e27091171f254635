package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
	"github.com/ctl-sh/ctl/internal/tlsconf/issue"
)

// secureCluster is four agents under full TLS with hostname verification.
type secureCluster struct {
	t     *testing.T
	dir   string
	ca    *issue.Authority
	procs []*agentproc.Process
}

// put issues a certificate for the i-th agent and puts it in place by rename,
// key first, as careful programs do. It returns the serial number.
func (c *secureCluster) put(i int) string {
	c.t.Helper()
	role := issue.Server
	if i == 3 {
		role = issue.Client
	}
	cert, key, err := c.ca.Issue(issue.Options{
		Role: role, Datacenter: "dc1", Domain: "consul", Life: time.Hour, IPs: []net.IP{net.ParseIP(c.bind(i))},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		c.t.Fatal(err)
	}
	for name, data := range map[string][]byte{"key.pem": key, "cert.pem": cert} {
		path := filepath.Join(c.dir, fmt.Sprintf("%d-%s", i, name))
		if err := os.WriteFile(path+".new", data, 0o600); err != nil {
			c.t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			c.t.Fatal(err)
		}
	}
	return pair.Leaf.SerialNumber.String()
}

func (c *secureCluster) bind(i int) string { return c.procs[i].Spec.Bind }

func startSecure(t *testing.T) *secureCluster {
	t.Helper()
	return startAgents(t, (*secureCluster).full)
}

// full is the configuration of the i-th agent under full TLS.
func (c *secureCluster) full(i int) map[string]any {
	defaults := c.files(i)
	defaults["verify_incoming"], defaults["verify_outgoing"] = true, true
	return map[string]any{
		"ports": map[string]any{"https": 8501},
		"tls":   map[string]any{"defaults": defaults, "internal_rpc": map[string]any{"verify_server_hostname": true}},
	}
}

// files are the settings that name the files of the i-th agent.
func (c *secureCluster) files(i int) map[string]any {
	return map[string]any{
		"ca_file": filepath.Join(c.dir, "ca.pem"), "cert_file": filepath.Join(c.dir, fmt.Sprintf("%d-cert.pem", i)),
		"key_file": filepath.Join(c.dir, fmt.Sprintf("%d-key.pem", i)),
	}
}

// startAgents starts three servers and a client agent, whose files are there
// whatever their configuration makes of them.
func startAgents(t *testing.T, config func(*secureCluster, int) map[string]any) *secureCluster {
	t.Helper()
	binDir := *program
	if binDir == "" {
		binDir = t.TempDir()
		if _, err := agentproc.Build(t.Context(), binDir, ""); err != nil {
			t.Fatal(err)
		}
	}
	ca, err := issue.NewAuthority(issue.AuthorityOptions{Life: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	c := &secureCluster{t: t, dir: t.TempDir(), ca: ca}
	if err := os.WriteFile(filepath.Join(c.dir, "ca.pem"), ca.CertPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	addresses := addresses.Loopback(4)
	started := 0
	t.Cleanup(func() { // of those that run then: a test may have started others in their place
		for _, p := range c.procs[:started] {
			p.Kill()
		}
	})
	for i, a := range addresses {
		spec := agentproc.Spec{
			Binary: filepath.Join(binDir, "ctl"), Dir: filepath.Join(c.dir, fmt.Sprint("agent", i)), Name: fmt.Sprint("agent", i),
			Bind: a, Server: i < 3, Join: addresses[:3],
			Extra: config(c, i),
		}
		if i < 3 {
			spec.Expect = 3
		}
		c.procs = append(c.procs, &agentproc.Process{Spec: spec})
		c.put(i)
		p, err := agentproc.Start(spec)
		if err != nil {
			t.Fatal(err)
		}
		c.procs[i] = p
		started++
	}
	return c
}

// client returns a client with a certificate for commands.
func (c *secureCluster) client() *http.Client {
	cert, key, err := c.ca.Issue(issue.Options{Role: issue.CLI, Datacenter: "dc1", Domain: "consul", Life: time.Hour})
	if err != nil {
		c.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		c.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.ca.Cert)
	// Every request is a handshake, so that none hides behind an old connection.
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: "localhost",
	}}}
}

func (c *secureCluster) write(ctx context.Context, client *http.Client, i int, key, value string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://"+net.JoinHostPort(c.bind(i), "8501")+"/v1/kv/"+key, strings.NewReader(value))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !bytes.HasPrefix(body, []byte("true"))) {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	return err
}

// presents returns the serial number of the certificate at a port.
func presents(t *testing.T, address, protocol string) string {
	t.Helper()
	serial := ""
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}, VerifyConnection: func(s tls.ConnectionState) error { //nolint:gosec // only looked at
		serial = s.PeerCertificates[0].SerialNumber.String()
		return nil
	}})
	_ = client.HandshakeContext(t.Context()) // it may refuse us; what it presents was seen
	return serial
}

// TestCertificatesAreReplacedUnderWrites: every agent of a cluster under full TLS
// gets a new certificate, one after the other, while clients write through all of
// them. No write fails, even those of one attempt.
func TestCertificatesAreReplacedUnderWrites(t *testing.T) {
	t.Parallel()
	c := startSecure(t)
	client := c.client()
	for i := range c.procs {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := c.procs[i].Await(ctx, 50*time.Millisecond, func(ctx context.Context) bool { return c.write(ctx, client, i, "ready", "1") == nil })
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var written, again, failed atomic.Int64
	for w := range 8 {
		writers.Go(func() {
			client := c.client()
			for n := 0; ctx.Err() == nil; n++ {
				key := fmt.Sprintf("w%d", w)
				err := c.write(context.Background(), client, w%4, key, fmt.Sprint(n))
				for tries := 0; err != nil && tries < 10; tries++ { // as clients do
					again.Add(1)
					err = c.write(context.Background(), client, (w+tries)%4, key, fmt.Sprint(n))
				}
				if err != nil {
					failed.Add(1)
					t.Errorf("write %s = %d: %v", key, n, err)
					return
				}
				written.Add(1)
			}
		})
	}
	loaded := regexp.MustCompile(`a certificate was loaded`)
	for i, p := range c.procs {
		before := len(loaded.FindAllString(p.LogTail(1<<20), -1))
		serial := c.put(i)
		wait, cancel := context.WithTimeout(t.Context(), patience)
		err := p.Await(wait, 20*time.Millisecond, func(context.Context) bool {
			return len(loaded.FindAllString(p.LogTail(1<<20), -1)) > before
		})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if got := presents(t, net.JoinHostPort(c.bind(i), "8501"), "h2"); got != serial {
			t.Errorf("%s presents %s over HTTPS, want %s", p.Spec.Name, got, serial)
		}
		if i < 3 {
			if got := presents(t, net.JoinHostPort(c.bind(i), "8300"), "ctl-rpc"); got != serial {
				t.Errorf("%s presents %s on the cluster port, want %s", p.Spec.Name, got, serial)
			}
		}
		// A bad file in between changes nothing and is spoken of.
		if err := os.WriteFile(filepath.Join(c.dir, fmt.Sprintf("%d-cert.pem", i)), []byte("broken"), 0o600); err != nil {
			t.Fatal(err)
		}
		wait, cancel = context.WithTimeout(t.Context(), patience)
		err = p.Await(wait, 20*time.Millisecond, func(context.Context) bool {
			return strings.Contains(p.LogTail(1<<20), "the old certificates stay in force")
		})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if got := presents(t, net.JoinHostPort(c.bind(i), "8501"), "h2"); got != serial {
			t.Errorf("after a bad file %s presents %s, want %s", p.Spec.Name, got, serial)
		}
		c.put(i)
	}
	stop()
	writers.Wait()
	t.Logf("%d writes, %d attempts repeated, %d failed", written.Load(), again.Load(), failed.Load())
	if written.Load() < 50 {
		t.Errorf("only %d writes: too few to prove anything", written.Load())
	}
	for i, p := range c.procs {
		key, err := os.ReadFile(filepath.Join(c.dir, fmt.Sprintf("%d-key.pem", i)))
		if err != nil {
			t.Fatal(err)
		}
		if log := p.LogTail(1 << 24); strings.Contains(log, "PRIVATE KEY") || strings.Contains(log, strings.Split(string(key), "\n")[1]) {
			t.Errorf("the key of %s is in its log", p.Spec.Name)
		}
	}
}
