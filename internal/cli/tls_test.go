package cli_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/cli/catalog"
	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/ctl-sh/ctl/internal/tlsconf/issue"
)

// TestTLS: every way a command and an HTTPS agent can fail to understand each
// other, with what the operator is told about it.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	authority := func() *issue.Authority {
		ca, err := issue.NewAuthority(issue.AuthorityOptions{NotBefore: time.Now().Add(-100 * time.Hour), Life: 1000 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	ca, other := authority(), authority()
	roots := x509.NewCertPool()
	roots.AddCert(ca.Cert)
	pair := func(a *issue.Authority, name string, o issue.Options) (tls.Certificate, string, string) {
		o.Datacenter, o.Domain = "dc1", "consul"
		if o.Life == 0 {
			o.Life = time.Hour
		}
		c, k, err := a.Issue(o)
		if err != nil {
			t.Fatal(err)
		}
		p, err := tls.X509KeyPair(c, k)
		if err != nil {
			t.Fatal(err)
		}
		return p, write(name+".pem", c), write(name+"-key.pem", k)
	}
	serve := func(cert *tls.Certificate, auth tls.ClientAuthType) string {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `["dc1"]`) }))
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		if cert == nil {
			srv.Start()
		} else {
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}, ClientAuth: auth, ClientCAs: roots}
			srv.StartTLS()
		}
		t.Cleanup(srv.Close)
		_, hostPort, _ := strings.Cut(srv.URL, "://")
		return hostPort
	}
	caFile := write("ca.pem", ca.CertPEM)
	good, _, _ := pair(ca, "server", issue.Options{Role: issue.Server})
	old, _, _ := pair(ca, "old", issue.Options{Role: issue.Server, NotBefore: time.Now().Add(-2 * time.Hour)})
	foreign, _, _ := pair(other, "foreign", issue.Options{Role: issue.Server})
	cliOnly, _, _ := pair(ca, "clionly", issue.Options{Role: issue.CLI, DNSNames: []string{"localhost"}})
	_, mine, myKey := pair(ca, "mine", issue.Options{Role: issue.CLI})
	_, theirs, theirKey := pair(other, "theirs", issue.Options{Role: issue.CLI})
	_, late, lateKey := pair(ca, "late", issue.Options{Role: issue.CLI, NotBefore: time.Now().Add(-2 * time.Hour)})
	open, closed := serve(&good, tls.NoClientCert), serve(&good, tls.RequireAndVerifyClientCert)
	plain := serve(nil, 0)
	tests := []struct {
		name string
		addr string
		args []string
		env  map[string]string
		want []string // empty is success
	}{
		{"the right authority", "https://" + open, []string{"-ca-file", caFile}, nil, nil},
		{"the right authority by CTL_CACERT", "https://" + open, nil, map[string]string{"CTL_CACERT": caFile}, nil},
		{"everything by CONSUL_*", closed, nil, map[string]string{"CONSUL_HTTP_SSL": "true", "CONSUL_CACERT": caFile, "CONSUL_CLIENT_CERT": mine, "CONSUL_CLIENT_KEY": myKey}, nil},
		{"everything by flags", "https://" + closed, []string{"-ca-file", caFile, "-client-cert", mine, "-client-key", myKey, "-tls-server-name", "server.dc1.consul"}, nil, nil},
		{"authority not named", "https://" + open, nil, nil, []string{"x509", "--ca-file or CTL_CACERT"}},
		{"another authority", "https://" + serve(&foreign, 0), []string{"-ca-file", caFile}, nil, []string{"unknown authority", "not of an authority in " + caFile + " (from --ca-file)"}},
		{"expired", "https://" + serve(&old, 0), []string{"-ca-file", caFile}, nil, []string{"expired", "compare the clocks"}},
		{"another name", "https://" + open, []string{"-ca-file", caFile, "-tls-server-name", "server.dc2.consul"}, nil, []string{"server.dc2.consul", "--tls-server-name"}},
		{"not for a server", "https://" + serve(&cliOnly, 0), []string{"-ca-file", caFile, "-tls-server-name", "localhost"}, nil, []string{"x509", "--ca-file"}},
		{"no certificate", "https://" + closed, []string{"-ca-file", caFile}, nil, []string{"certificate required", "--client-cert and --client-key"}},
		{"certificate of another authority", "https://" + closed, []string{"-ca-file", caFile, "-client-cert", theirs, "-client-key", theirKey}, nil, []string{"certificate", "theirs.pem (from --client-cert)"}},
		{"expired certificate", "https://" + closed, []string{"-ca-file", caFile}, map[string]string{"CTL_CLIENT_CERT": late, "CTL_CLIENT_KEY": lateKey}, []string{"expired", "late.pem (from CTL_CLIENT_CERT)"}},
		{"key of another", "https://" + closed, []string{"-client-cert", mine, "-client-key", theirKey}, nil, []string{"does not match", "--client-key " + theirKey}},
		{"certificate without key", "https://" + closed, []string{"-client-cert", mine}, nil, []string{"both client cert and client key", "--client-cert " + mine}},
		{"no such file", "https://" + open, []string{"-ca-file", "gone.pem"}, nil, []string{"gone.pem", "no such file"}},
		{"plain on TLS", "http://" + open, nil, nil, []string{"HTTPS", "use https:// in the address"}},
		{"TLS on plain", "https://" + plain, nil, nil, []string{"speaks HTTP on this port, not HTTPS"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := clitest.Do(t, catalog.NewCommand, clitest.Run{Args: append([]string{"catalog", "datacenters", "-http-addr", tt.addr}, tt.args...), Env: tt.env})
			if (got.Code == 0) != (len(tt.want) == 0) {
				t.Errorf("exit code %d: %s", got.Code, got.Err)
			}
			for _, want := range tt.want {
				if !strings.Contains(got.Err, want) {
					t.Errorf("%q is not in:\n%s", want, got.Err)
				}
			}
		})
	}
}
