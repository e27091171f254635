package compat

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// rotate makes a new root and returns its id.
func rotate(t *testing.T, v *via, body map[string]any) string {
	t.Helper()
	if _, err := v.api.Raw().Write("/v1/connect/ca/configuration", body, nil, nil); err != nil {
		t.Fatal(err)
	}
	roots, _, err := v.api.Connect().CARoots(nil)
	if err != nil {
		t.Fatal(err)
	}
	return roots.ActiveRootID
}

// active waits for the cluster's first root.
func active(t *testing.T, v *via) *api.CARootList {
	t.Helper()
	var roots *api.CARootList
	within(t, "there is an active root", func() (err error) {
		if roots, _, err = v.api.Connect().CARoots(nil); err == nil && roots.ActiveRootID == "" {
			err = fmt.Errorf("roots %+v", roots)
		}
		return err
	})
	return roots
}

func TestCertificatesOfTheCluster(t *testing.T) {
	for _, v := range ways(t) {
		t.Run(v.role, func(t *testing.T) {
			roots := active(t, v)
			if len(roots.Roots) == 0 || !strings.HasSuffix(roots.TrustDomain, ".consul") || !roots.Roots[0].Active || roots.Roots[0].Name == "" {
				t.Fatalf("roots %+v", roots)
			}
			own, meta, err := v.api.Agent().ConnectCARoots(nil)
			if err != nil || own.ActiveRootID != roots.ActiveRootID || meta.LastIndex == 0 {
				t.Fatalf("roots of the agent %+v, %v", own, err)
			}
			leaf, meta, err := v.api.Agent().ConnectCALeaf("compat web", nil)
			if err != nil {
				t.Fatal(err)
			}
			if leaf.Service != "compat web" || leaf.ServiceURI != "spiffe://"+roots.TrustDomain+"/ns/default/dc/dc1/svc/compat%20web" || leaf.ModifyIndex != meta.LastIndex ||
				time.Until(leaf.ValidBefore) < 71*time.Hour || time.Until(leaf.ValidBefore) > 72*time.Hour {
				t.Errorf("leaf %+v", leaf)
			}
			pair, err := tls.X509KeyPair([]byte(leaf.CertPEM), []byte(leaf.PrivateKeyPEM))
			if err != nil {
				t.Fatal(err)
			}
			cert, err := x509.ParseCertificate(pair.Certificate[0])
			if err != nil {
				t.Fatal(err)
			}
			pool := x509.NewCertPool()
			for _, r := range roots.Roots {
				pool.AppendCertsFromPEM([]byte(r.RootCertPEM))
			}
			if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
				t.Error(err)
			}
			again, meta, err := v.api.Agent().ConnectCALeaf("compat web", nil)
			if err != nil || again.SerialNumber != leaf.SerialNumber || !meta.CacheHit {
				t.Errorf("asked again: %+v, hit %v, %v", again, meta.CacheHit, err)
			}
			began := time.Now()
			same, _, err := v.api.Agent().ConnectCALeaf("compat web", &api.QueryOptions{WaitIndex: leaf.ModifyIndex, WaitTime: 100 * time.Millisecond})
			if err != nil || same.SerialNumber != leaf.SerialNumber || time.Since(began) < 100*time.Millisecond {
				t.Errorf("waiting: %+v after %v, %v", same, time.Since(began), err)
			}
		})
	}
}

func TestConfigurationOfTheAuthority(t *testing.T) {
	v := shared.dev(t, nil)
	active(t, v)
	config, _, err := v.api.Connect().CAGetConfig(nil)
	if err != nil || config.Provider != "consul" || config.Config["LeafCertTTL"] != "72h" {
		t.Fatalf("configuration %+v, %v", config, err)
	}
	parsed, err := api.ParseConsulCAConfig(config.Config)
	if err != nil || parsed.IntermediateCertTTL != 8760*time.Hour {
		t.Errorf("read as %+v, %v", parsed, err)
	}
	config.Config["LeafCertTTL"] = "4h"
	if _, err := v.api.Connect().CASetConfig(config, nil); err != nil {
		t.Fatal(err)
	}
	leaf, _, err := v.api.Agent().ConnectCALeaf("web", nil)
	if err != nil || time.Until(leaf.ValidBefore) > 4*time.Hour {
		t.Errorf("leaf %+v, %v", leaf, err)
	}
	for text, change := range map[string]func(*api.CAConfig){
		`could not initialize provider: unknown CA provider "x"`: func(c *api.CAConfig) { c.Provider = "x" },
		"leaf cert TTL must be greater":                          func(c *api.CAConfig) { c.Config = map[string]any{"LeafCertTTL": "59m"} },
	} {
		bad := *config
		change(&bad)
		if _, err := v.api.Connect().CASetConfig(&bad, nil); err == nil || !strings.Contains(err.Error(), "500") || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %q", err, text)
		}
	}
	// A rotation wakes who waits for the roots and for the leaf.
	roots, meta, err := v.api.Agent().ConnectCARoots(nil)
	if err != nil {
		t.Fatal(err)
	}
	id := rotate(t, v, map[string]any{"Provider": "consul", "Config": map[string]any{"PrivateKeyBits": 384}})
	fresh, _, err := v.api.Agent().ConnectCARoots(&api.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: patience})
	if err != nil || fresh.ActiveRootID != id || id == roots.ActiveRootID || len(fresh.Roots) != 2 {
		t.Errorf("roots %+v, %v", fresh, err)
	}
	next, _, err := v.api.Agent().ConnectCALeaf("web", &api.QueryOptions{WaitIndex: leaf.ModifyIndex, WaitTime: patience})
	if err != nil || next.ModifyIndex <= leaf.ModifyIndex || strings.Count(next.CertPEM, "BEGIN CERTIFICATE") != 2 {
		t.Errorf("leaf %+v, %v", next, err)
	}
}

// mesh is the program of package mutual, running.
type mesh struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

func startMesh(t *testing.T, binary string, args ...string) *mesh {
	t.Helper()
	m := &mesh{cmd: exec.Command(binary, args...)}
	m.cmd.Stderr = os.Stderr
	pipe, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.out = bufio.NewReader(pipe)
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.cmd.Process.Kill() })
	return m
}

// said waits for a line.
func (m *mesh) said(t *testing.T, want string) {
	t.Helper()
	if line, err := m.out.ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
		t.Fatalf("the program says %q (%v), want %q", line, err, want)
	}
}

// counted is what the program counted.
type counted struct {
	Handshakes, Failed int
	Errors             []string
	Issuers            map[string]bool
}

func (m *mesh) end(t *testing.T, stop bool) (c counted) {
	t.Helper()
	if stop {
		if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	rest, err := io.ReadAll(m.out)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Wait(); err != nil {
		t.Fatalf("the program ends with %v: %s", err, rest)
	}
	if err := json.Unmarshal(rest[bytes.IndexByte(rest, '{'):], &c); err != nil {
		t.Fatalf("the program says %s: %v", rest, err)
	}
	return c
}

// TestMutualTLSWhileTheRootIsRotated lets a program beside a server and one
// beside the client agent connect with each other without a pause while the root
// is rotated, and wants every single handshake to succeed.
func TestMutualTLSWhileTheRootIsRotated(t *testing.T) {
	w := ways(t)
	active(t, w[0])
	binary := filepath.Join(t.TempDir(), "mutual")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./mutual").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	server, client := w[1], w[2]
	address := server.p.Spec.Bind + ":9443"
	db := startMesh(t, binary, "-agent", "http://"+server.p.Spec.HTTPAddr(), "-service", "db", "-accept", "web", "-listen", address)
	db.said(t, "listening")
	web := startMesh(t, binary, "-agent", "http://"+client.p.Spec.HTTPAddr(), "-service", "web", "-accept", "db", "-dial", address)
	web.said(t, "first handshake")
	opensslAgrees(t, client, address)
	for _, config := range []map[string]any{{}, {"PrivateKeyType": "rsa"}, {"PrivateKeyBits": 384}} {
		rotate(t, w[0], map[string]any{"Provider": "consul", "Config": config, "Rotate": true})
		key := activeKey(t, w[0])
		for service, v := range map[string]*via{"db": server, "web": client} {
			within(t, service+" has a certificate of the new root", func() error {
				leaf, _, err := v.api.Agent().ConnectCALeaf(service, nil)
				if err != nil {
					return err
				}
				block, _ := pem.Decode([]byte(leaf.CertPEM))
				cert, err := x509.ParseCertificate(block.Bytes)
				if err == nil && colons(cert.AuthorityKeyId) != key {
					err = fmt.Errorf("it is signed by %s, want %s", colons(cert.AuthorityKeyId), key)
				}
				return err
			})
		}
	}
	dialled, served := web.end(t, true), db.end(t, true)
	t.Logf("%d handshakes, %d failed, under %d roots", dialled.Handshakes, dialled.Failed, len(dialled.Issuers))
	if dialled.Failed != 0 || served.Failed != 0 || dialled.Handshakes < 100 {
		t.Errorf("dialled %+v, served %+v", dialled, served)
	}
	if len(dialled.Issuers) < 4 || len(served.Issuers) < 4 {
		t.Errorf("certificates of %d and %d roots were seen, want 4", len(dialled.Issuers), len(served.Issuers))
	}

	// Another service is refused, by the server and by the client.
	db = startMesh(t, binary, "-agent", "http://"+server.p.Spec.HTTPAddr(), "-service", "db", "-accept", "web", "-listen", address)
	db.said(t, "listening")
	for _, who := range [][2]string{{"other", "db"}, {"web", "other"}} {
		m := startMesh(t, binary, "-agent", "http://"+client.p.Spec.HTTPAddr(), "-service", who[0], "-accept", who[1], "-dial", address, "-times", "1", "-workers", "1")
		if c := m.end(t, false); c.Handshakes != 0 || c.Failed != 1 {
			t.Errorf("%v: %+v", who, c)
		}
	}
	if c := db.end(t, true); c.Handshakes != 0 || c.Failed != 2 {
		t.Errorf("the server counted %+v", c)
	}
}

func activeKey(t *testing.T, v *via) string {
	t.Helper()
	roots, _, err := v.api.Connect().CARoots(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roots.Roots {
		if block, _ := pem.Decode([]byte(r.RootCertPEM)); r.Active && block != nil {
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			return colons(cert.SubjectKeyId)
		}
	}
	t.Fatal("no root is active")
	return ""
}

func colons(b []byte) string {
	return strings.ReplaceAll(fmt.Sprintf("% x", b), " ", ":")
}

// opensslAgrees lets openssl look at a leaf and connect with it.
func opensslAgrees(t *testing.T, v *via, address string) {
	t.Helper()
	leaf, _, err := v.api.Agent().ConnectCALeaf("web", nil)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := http.Get("http://" + v.p.Spec.HTTPAddr() + "/v1/connect/ca/roots?pem=true")
	if err != nil {
		t.Fatal(err)
	}
	defer roots.Body.Close()
	chain, err := io.ReadAll(roots.Body)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certFile, keyFile, rootFile := write("leaf.pem", []byte(leaf.CertPEM)), write("leaf.key", []byte(leaf.PrivateKeyPEM)), write("roots.pem", chain)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"x509", "-in", certFile, "-noout", "-serial", "-dates", "-ext", "subjectAltName", "-dateopt", "iso_8601"}, []string{
			"serial=" + strings.ToUpper(strings.ReplaceAll(leaf.SerialNumber, ":", "")) + "\n", "URI:" + leaf.ServiceURI + "\n",
			"notAfter=" + leaf.ValidBefore.UTC().Format("2006-01-02 15:04:05Z"), "notBefore=" + leaf.ValidAfter.UTC().Format("2006-01-02 15:04:05Z"),
		}},
		{[]string{"verify", "-CAfile", rootFile, "-purpose", "sslclient", certFile}, []string{certFile + ": OK"}},
		{[]string{"s_client", "-connect", address, "-CAfile", rootFile, "-cert", certFile, "-key", keyFile, "-verify_return_error", "-ign_eof"}, []string{"Verify return code: 0 (ok)", "hello from db"}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		out, err := exec.CommandContext(ctx, "openssl", c.args...).CombinedOutput()
		cancel()
		for _, want := range c.want {
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("openssl %s says (%v)\n%s\nwant %q", c.args[0], err, out, want)
			}
		}
	}
}

// TestNoKeyIsTold gives the authority a key that is known, has certificates made
// and the root rotated, and looks for every key in all that the agent says and
// logs.
func TestNoKeyIsTold(t *testing.T) {
	v := shared.dev(t, map[string]any{"log_level": "TRACE", "enable_debug": true})
	roots := active(t, v)
	cert, planted := plantedRoot(t, roots.TrustDomain)
	rotate(t, v, map[string]any{"Provider": "consul", "Config": map[string]any{"RootCert": cert, "PrivateKey": planted}})
	leaf, _, err := v.api.Agent().ConnectCALeaf("web", nil)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{"the root's": planted, "the leaf's": leaf.PrivateKeyPEM}
	var told bytes.Buffer
	for _, path := range []string{
		"/v1/connect/ca/configuration", "/v1/connect/ca/roots", "/v1/agent/connect/ca/roots", "/v1/agent/self", "/v1/agent/metrics", "/v1/agent/metrics?format=prometheus",
		"/v1/operator/raft/configuration", "/v1/operator/autopilot/state", "/v1/kv/?recurse", "/v1/catalog/nodes", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline",
	} {
		resp, err := http.Get("http://" + v.p.Spec.HTTPAddr() + path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&told, resp.Body); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	for _, body := range []map[string]any{
		{"Provider": "consul", "Config": map[string]any{"RootCert": cert + "x", "PrivateKey": planted}},
		{"Provider": "consul", "Config": map[string]any{"RootCert": planted, "PrivateKey": planted}},
		{"Provider": "consul", "Config": map[string]any{"PrivateKey": planted, "LeafCertTTL": "1s"}},
	} {
		if _, err := v.api.Raw().Write("/v1/connect/ca/configuration", body, nil, nil); err == nil {
			t.Error("accepted")
		} else {
			told.WriteString(err.Error())
		}
	}
	v.p.Kill()
	log, err := os.ReadFile(filepath.Join(v.p.Spec.Dir, "agent.log"))
	if err != nil || !bytes.Contains(log, []byte("certificate signed")) {
		t.Fatalf("the log does not tell of the signing, %v", err)
	}
	told.Write(log)
	for whose, text := range secrets {
		for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
			if len(line) >= 20 && !strings.HasPrefix(line, "-----") && strings.Contains(told.String(), line) {
				t.Errorf("%s key is told", whose)
			}
		}
	}
}

// plantedRoot returns a root of the trust domain and its key, as PEM.
func plantedRoot(t *testing.T, domain string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: "planted"}, URIs: []*url.URL{{Scheme: "spiffe", Host: domain}},
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100000 * time.Hour),
		SubjectKeyId: []byte{1, 2, 3},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return encode("CERTIFICATE", der), encode("EC PRIVATE KEY", text)
}
