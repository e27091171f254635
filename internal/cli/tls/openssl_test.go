package tls

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/tlsconf/issue"
)

// openssl runs it in the test's working directory.
func openssl(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is needed: scripts/test-deps.sh installs it")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = strings.NewReader("")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// inspected returns what ctl says of the first certificate of source.
func inspected(t *testing.T, source string, args ...string) (Finding, issue.Description) {
	t.Helper()
	var found []Finding
	got := ok(t, append([]string{"inspect", "-format=json"}, append(args, source)...)...)
	if err := json.Unmarshal([]byte(got.Out), &found); err != nil || len(found) != 1 || len(found[0].Certificates) == 0 {
		t.Fatalf("%s: %v\n%s", source, err, got.Out)
	}
	return found[0], found[0].Certificates[0]
}

// plain is text without what openssl and ctl write differently.
func plain(text string) string {
	return strings.ToLower(strings.NewReplacer(":", "", " ", "", "\n", "").Replace(text))
}

// TestOpenSSLAgrees compares what ctl and openssl say of every certificate that
// ctl makes, and lets openssl verify them.
func TestOpenSSLAgrees(t *testing.T) {
	t.Chdir(t.TempDir())
	ok(t, "ca", "create")
	ok(t, "cert", "create", "-server", "-node", "n7", "-additional-dnsname", "more.example.com", "-additional-ipaddress", "10.1.2.3")
	ok(t, "cert", "create", "-client")
	ok(t, "cert", "create", "-cli")
	for _, file := range []string{"consul-agent-ca.pem", "dc1-server-consul-0.pem", "dc1-client-consul-0.pem", "dc1-cli-consul-0.pem"} {
		t.Run(file, func(t *testing.T) {
			_, d := inspected(t, file)
			text := plain(openssl(t, "x509", "-in", file, "-noout", "-serial", "-fingerprint", "-sha256"))
			for _, want := range []string{"serial=" + plain(d.Serial), "fingerprint=" + plain(d.Fingerprint)} {
				if !strings.Contains(strings.ReplaceAll(text, "serial=0", "serial="), strings.ReplaceAll(want, "serial=0", "serial=")) {
					t.Errorf("openssl says %s, ctl %s", text, want)
				}
			}
			dates := openssl(t, "x509", "-in", file, "-noout", "-dates", "-dateopt", "iso_8601")
			for name, at := range map[string]time.Time{"notBefore=": d.NotBefore, "notAfter=": d.NotAfter} {
				if want := name + at.Format("2006-01-02 15:04:05Z"); !strings.Contains(dates, want) {
					t.Errorf("openssl says %s, ctl %s", dates, want)
				}
			}
			names := openssl(t, "x509", "-in", file, "-noout", "-text")
			for _, name := range d.DNSNames {
				if !strings.Contains(names, "DNS:"+name) {
					t.Errorf("openssl does not know the name %s", name)
				}
			}
			if n := strings.Count(names, "DNS:"); n != len(d.DNSNames) {
				t.Errorf("openssl counts %d names, ctl %q", n, d.DNSNames)
			}
			for _, ip := range d.IPAddresses {
				if !strings.Contains(names, "IP Address:"+ip) {
					t.Errorf("openssl does not know the address %s", ip)
				}
			}
			for usage, word := range map[string]string{"server": "TLS Web Server Authentication", "client": "TLS Web Client Authentication"} {
				has := false
				for _, u := range d.Usages {
					has = has || u == usage
				}
				if has != strings.Contains(names, word) {
					t.Errorf("ctl: usage %s is %v, openssl says otherwise", usage, has)
				}
			}
			if d.CA != strings.Contains(names, "CA:TRUE") {
				t.Errorf("ctl: an authority is %v, openssl says otherwise", d.CA)
			}
			if got := openssl(t, "verify", "-CAfile", "consul-agent-ca.pem", file); got != file+": OK\n" {
				t.Errorf("openssl verify: %s", got)
			}
		})
	}
}

// TestOpenSSLAgreesAboutAPort has both look at a server.
func TestOpenSSLAgreesAboutAPort(t *testing.T) {
	t.Chdir(t.TempDir())
	ok(t, "ca", "create")
	ok(t, "cert", "create", "-server")
	cert, err := tls.LoadX509KeyPair("dc1-server-consul-0.pem", "dc1-server-consul-0-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).HandshakeContext(t.Context()) // who looks may go away
			c.Close()
		}
	}()
	defer func() { l.Close(); <-served }()
	address := l.Addr().(*net.TCPAddr).String()
	said := openssl(t, "s_client", "-connect", address, "-CAfile", "consul-agent-ca.pem", "-servername", "server.dc1.consul", "-verify_hostname", "server.dc1.consul", "-verify_return_error")
	if !strings.Contains(said, "Verification: OK") || !strings.Contains(said, "Verified peername: server.dc1.consul") {
		t.Errorf("openssl s_client:\n%s", said)
	}
	finding, d := inspected(t, address, "-ca-file", "consul-agent-ca.pem", "-tls-server-name", "server.dc1.consul")
	if len(finding.Problems) != 0 {
		t.Errorf("ctl finds %q", finding.Problems)
	}
	if _, file := inspected(t, "dc1-server-consul-0.pem"); d.Fingerprint != file.Fingerprint {
		t.Errorf("ctl sees %s at the port, %s in the file", d.Fingerprint, file.Fingerprint)
	}
	if !strings.Contains(finding.Connection, "1.3") || !strings.Contains(said, "TLSv1.3") {
		t.Errorf("ctl says %q, openssl\n%s", finding.Connection, said)
	}
}
