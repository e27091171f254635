package tlsconf

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/tlsconf/issue"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// files is a directory with an authority and certificates.
type files struct {
	t   testing.TB
	dir string
	ca  *issue.Authority
}

func newFiles(t testing.TB) *files {
	t.Helper()
	ca, err := issue.NewAuthority(issue.AuthorityOptions{NotBefore: time.Now().Add(-1000 * time.Hour), Life: 9000 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	f := &files{t, t.TempDir(), ca}
	f.put("ca.pem", ca.CertPEM)
	f.issue("server", issue.Options{Role: issue.Server})
	f.issue("client", issue.Options{Role: issue.Client})
	return f
}

func (f *files) path(name string) string { return filepath.Join(f.dir, name) }

func (f *files) put(name string, data []byte) string {
	f.t.Helper()
	// By rename, as careful programs do.
	tmp := f.path("." + name + ".tmp")
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(tmp, f.path(name)); err != nil {
		f.t.Fatal(err)
	}
	return f.path(name)
}

// issue puts NAME.pem and NAME-key.pem.
func (f *files) issue(name string, o issue.Options) {
	f.t.Helper()
	if o.Life == 0 {
		o.Life = time.Hour
	}
	if o.Datacenter == "" {
		o.Datacenter = "dc1"
	}
	o.Domain = "consul"
	c, k, err := f.ca.Issue(o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.put(name+"-key.pem", k)
	f.put(name+".pem", c)
}

// TestClient has what the agent shows to others than agents: what is in force.
func TestClient(t *testing.T) {
	f := newFiles(t)
	s, err := New(Config{InternalRPC: f.settings("client"), Datacenter: "dc1"})
	if err != nil {
		t.Fatal(err)
	}
	first := s.Client()
	if len(first.Certificates) != 1 || first.RootCAs == nil || first.InsecureSkipVerify || first.MinVersion != tls.VersionTLS12 {
		t.Errorf("got %+v", first)
	}
	f.issue("client", issue.Options{Role: issue.Client})
	commit, err := s.Prepare(f.settings("client"), Settings{})
	if err != nil {
		t.Fatal(err)
	}
	commit()
	if second := s.Client(); bytes.Equal(second.Certificates[0].Certificate[0], first.Certificates[0].Certificate[0]) {
		t.Error("the old certificate after a reload")
	}
	without, err := New(Config{Datacenter: "dc1"})
	if err != nil {
		t.Fatal(err)
	}
	if c := without.Client(); len(c.Certificates) != 0 || c.RootCAs != nil {
		t.Errorf("without files: %+v", c)
	}
}

func (f *files) settings(name string) Settings {
	return Settings{
		CAFile: f.path("ca.pem"), CertFile: f.path(name + ".pem"), KeyFile: f.path(name + "-key.pem"),
		VerifyIncoming: true, VerifyOutgoing: true, VerifyServerHostname: true,
	}
}

func (f *files) config() Config {
	return Config{InternalRPC: f.settings("server"), HTTPS: f.settings("server"), Server: true, ServesHTTPS: true, Datacenter: "dc1", Domain: "consul."}
}

// record is a log that can be read and waited for.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func newRecord() (*record, *slog.Logger) {
	r := &record{news: make(chan struct{}, 1)}
	return r, slog.New(slog.NewTextHandler(r, nil))
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
	return r.text.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// await waits until the log holds text.
func (r *record) await(t *testing.T, text string) {
	t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for !strings.Contains(r.String(), text) {
		select {
		case <-r.news:
		case <-late.C:
			t.Fatalf("the log has no %q:\n%s", text, r)
		}
	}
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	f := newFiles(t)
	other := newFiles(t)
	f.issue("old", issue.Options{Role: issue.Server, NotBefore: time.Now().Add(-2 * time.Hour)})
	f.issue("early", issue.Options{Role: issue.Server, NotBefore: time.Now().Add(time.Hour)})
	f.issue("dc2", issue.Options{Role: issue.Server, Datacenter: "dc2"})
	f.issue("cli", issue.Options{Role: issue.CLI})
	f.put("empty.pem", nil)
	f.put("text.pem", []byte("hello"))
	f.put("locked-key.pem", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	f.put("broken.pem", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	if err := os.MkdirAll(f.path("none"), 0o700); err != nil {
		t.Fatal(err)
	}
	set := func(change func(*Settings)) func(*Config) { return func(c *Config) { change(&c.InternalRPC) } }
	tests := []struct {
		name   string
		change func(*Config)
		want   []string // all of them
	}{
		{"no such certificate", set(func(s *Settings) { s.CertFile = f.path("gone.pem") }), []string{"tls.internal_rpc.cert_file", "gone.pem", "no such file"}},
		{"no such key", set(func(s *Settings) { s.KeyFile = f.path("gone.pem") }), []string{"tls.internal_rpc.key_file", "gone.pem"}},
		{"no such authority", set(func(s *Settings) { s.CAFile = f.path("gone.pem") }), []string{"tls.internal_rpc.ca_file", "gone.pem"}},
		{"no such directory", set(func(s *Settings) { s.CAPath = f.path("gone") }), []string{"tls.internal_rpc.ca_path", "gone"}},
		{"empty directory", set(func(s *Settings) { s.CAPath = f.path("none") }), []string{"tls.internal_rpc.ca_path", "none holds no file"}},
		{"certificate without key", set(func(s *Settings) { s.KeyFile = "" }), []string{"cert_file is set", "key_file is not"}},
		{"key without certificate", set(func(s *Settings) { s.CertFile = "" }), []string{"key_file is set", "cert_file is not"}},
		{"empty file", set(func(s *Settings) { s.CertFile = f.path("empty.pem") }), []string{"empty.pem holds no certificate", "it is empty"}},
		{"not PEM", set(func(s *Settings) { s.CAFile = f.path("text.pem") }), []string{"text.pem holds no certificate", "DER"}},
		{"files exchanged", set(func(s *Settings) { s.CertFile, s.KeyFile = s.KeyFile, s.CertFile }), []string{"server-key.pem holds no certificate", "exchanged"}},
		{"damaged certificate", set(func(s *Settings) { s.CertFile = f.path("broken.pem") }), []string{"broken.pem", "certificate 1 is damaged"}},
		{"key behind a passphrase", set(func(s *Settings) { s.KeyFile = f.path("locked-key.pem") }), []string{"locked-key.pem", "passphrase"}},
		{"key of another", set(func(s *Settings) { s.KeyFile = f.path("client-key.pem") }), []string{"client-key.pem is not the key", "server.pem"}},
		{"expired", set(func(s *Settings) { *s = f.settings("old") }), []string{"old.pem", "expired on"}},
		{"not yet valid", set(func(s *Settings) { *s = f.settings("early") }), []string{"early.pem", "not yet valid"}},
		{"wrong host", set(func(s *Settings) { *s = f.settings("dc2") }), []string{"dc2.pem", "not for server.dc1.consul", "ctl tls cert create -server -dc dc1 -domain consul"}},
		{"wrong role", set(func(s *Settings) { *s = f.settings("client") }), []string{"client.pem", "not for server.dc1.consul"}},
		{"not for a TLS server", set(func(s *Settings) { *s = f.settings("cli") }), []string{"cli.pem", "may not be used as a TLS server"}},
		{"authority that is none", set(func(s *Settings) { s.CAFile = f.path("client.pem") }), []string{"client.pem", "not an authority's"}},
		{"nothing to verify with", set(func(s *Settings) { s.CAFile = "" }), []string{"tls.internal_rpc.verify_incoming", "neither ca_file nor ca_path"}},
		{"nobody could connect", set(func(s *Settings) { s.CertFile, s.KeyFile = "", "" }), []string{"verify_incoming is set", "nobody could connect"}},
		{"nothing to verify servers with", func(c *Config) { c.Server = false; c.InternalRPC.CAFile = "" }, []string{"verify_outgoing is set", "neither ca_file nor ca_path"}},
		{"nothing to verify servers' names with", func(c *Config) {
			c.Server = false
			c.InternalRPC.CAFile, c.InternalRPC.VerifyOutgoing = "", false
		}, []string{"tls.internal_rpc.verify_server_hostname is set", "neither ca_file nor ca_path"}},
		{"nothing to verify servers with that give certificates", func(c *Config) {
			c.Server, c.Automatic, c.InternalRPC = false, true, Settings{}
		}, []string{"auto_encrypt.tls is set", "neither ca_file nor ca_path"}},
		{"HTTPS without a certificate", func(c *Config) { c.HTTPS.CertFile, c.HTTPS.KeyFile = "", "" }, []string{"ports.https", "no certificate", "tls.https.cert_file"}},
		{"HTTPS with nothing to verify with", func(c *Config) { c.HTTPS.CAFile = "" }, []string{"tls.https.verify_incoming"}},
		{"HTTPS files", func(c *Config) { c.HTTPS = other.settings("gone") }, []string{"tls.https.cert_file", "gone.pem"}},
		{"signing without a certificate", func(c *Config) { c.Signs = true; c.InternalRPC = Settings{} }, []string{"auto_encrypt.allow_tls"}},
		{"TLS version", set(func(s *Settings) { s.MinVersion = "TLSv9" }), []string{"tls.internal_rpc.tls_min_version", `"TLSv9"`, "TLSv1_3"}},
		{"cipher suite", set(func(s *Settings) { s.CipherSuites = "NONE" }), []string{"tls.internal_rpc.tls_cipher_suites", `"NONE"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := f.config()
			tt.change(&c)
			_, err := New(c)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
	if _, err := New(f.config()); err != nil {
		t.Errorf("the right files: %v", err)
	}
}

func TestUnreadableFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("root reads everything: only the text is checked")
		err := loader{name: "tls.https"}.explainRead("key_file", &os.PathError{Op: "open", Path: "x", Err: os.ErrPermission})
		if !strings.Contains(err.Error(), "let the user the agent runs as read it") {
			t.Error(err)
		}
		return
	}
	f := newFiles(t)
	if err := os.Chmod(f.path("server-key.pem"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := New(f.config()); err == nil || !strings.Contains(err.Error(), "let the user the agent runs as read it") {
		t.Errorf("got %v", err)
	}
}

func TestForeignCertificateIsWarnedOf(t *testing.T) {
	f, other := newFiles(t), newFiles(t)
	r, log := newRecord()
	c := f.config()
	c.Logger = log
	c.InternalRPC.CAFile = other.path("ca.pem")
	if _, err := New(c); err != nil {
		t.Fatal(err)
	}
	r.await(t, "does not lead to its own authorities")
}

// shake makes one TLS connection from client to server and returns what each
// side saw, and the serial number of the server's certificate.
func shake(t *testing.T, server, client *tls.Config) (serial string, resumed bool, serverErr, clientErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // a pipe has no buffer: both sides would write at once
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, c := range []net.Conn{a, b} {
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() {
		s := tls.Server(a, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("x")) // with it come the session tickets
		}
		done <- err
		a.Close()
	}()
	c := tls.Client(b, client)
	clientErr = c.Handshake()
	if clientErr == nil {
		_, clientErr = io.ReadFull(c, make([]byte, 1))
	}
	b.Close()
	serverErr = <-done
	if st := c.ConnectionState(); len(st.PeerCertificates) > 0 {
		serial, resumed = st.PeerCertificates[0].SerialNumber.String(), st.DidResume
	}
	return serial, resumed, serverErr, clientErr
}

func (s *Store) client(protocol string) *tls.Config { return s.now.Load().outgoing[protocol] }

func TestReloadIsTakenWholeOrNotAtAll(t *testing.T) {
	f := newFiles(t)
	s, err := New(f.config())
	if err != nil {
		t.Fatal(err)
	}
	first, resumed, serverErr, clientErr := shake(t, s.Incoming(), s.client(ProtocolRPC))
	if serverErr != nil || clientErr != nil || resumed {
		t.Fatal(serverErr, clientErr, resumed)
	}
	if _, resumed, _, err := shake(t, s.Incoming(), s.client(ProtocolRPC)); err != nil || !resumed {
		t.Errorf("the second connection is resumed: %v, %v", resumed, err)
	}
	f.put("server.pem", []byte("broken"))
	if _, err := s.Prepare(f.settings("server"), f.settings("server")); err == nil || !strings.Contains(err.Error(), "server.pem") {
		t.Errorf("got %v", err)
	}
	if serial, _, _, err := shake(t, s.Incoming(), s.client(ProtocolRPC)); err != nil || serial != first {
		t.Errorf("a bad file changed what is in force: %v", err)
	}
	f.issue("server", issue.Options{Role: issue.Server})
	commit, err := s.Prepare(f.settings("server"), f.settings("server"))
	if err != nil {
		t.Fatal(err)
	}
	if serial, _, _, _ := shake(t, s.Incoming(), s.client(ProtocolRPC)); serial != first {
		t.Error("in force before the commit")
	}
	commit()
	second, resumed, _, err := shake(t, s.Incoming(), s.client(ProtocolRPC))
	if err != nil || second == first || resumed {
		t.Errorf("after the commit: serial %s and %s, resumed %v, %v", first, second, resumed, err)
	}
	for name, change := range map[string]func(*Settings){
		"on": func(s *Settings) { s.CertFile, s.KeyFile = "", "" },
		"CA": func(s *Settings) { s.CAFile = "" },
	} {
		set := f.settings("server")
		change(&set)
		if _, err := s.Prepare(set, f.settings("server")); err == nil || !strings.Contains(err.Error(), "restart") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// follow runs s until the test ends.
func follow(t *testing.T, s *Store) {
	t.Helper()
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- s.Run(t.Context(), func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestChangedFilesAreNoticed(t *testing.T) {
	for name, replace := range map[string]func(*files){
		"renamed into place": func(f *files) { f.issue("server", issue.Options{Role: issue.Server}) },
		"written in place": func(f *files) {
			c, k, err := f.ca.Issue(issue.Options{Role: issue.Server, Datacenter: "dc1", Domain: "consul", Life: time.Hour})
			if err != nil {
				f.t.Fatal(err)
			}
			for name, data := range map[string][]byte{"server-key.pem": k, "server.pem": c} {
				if err := os.WriteFile(f.path(name), data, 0o600); err != nil {
					f.t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			r, log := newRecord()
			c := f.config()
			c.Logger = log
			s, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			follow(t, s)
			before, _, _, _ := shake(t, s.Incoming(), s.client(ProtocolRPC))
			replace(f)
			r.await(t, "a certificate was loaded")
			if after, _, _, err := shake(t, s.Incoming(), s.client(ProtocolRPC)); err != nil || after == before {
				t.Errorf("the old certificate is presented: %v", err)
			}
			good, err := os.ReadFile(f.path("server.pem"))
			if err != nil {
				t.Fatal(err)
			}
			f.put("server.pem", []byte("broken"))
			r.await(t, "the old certificates stay in force")
			if _, _, _, err := shake(t, s.Incoming(), s.client(ProtocolRPC)); err != nil {
				t.Errorf("after a bad file: %v", err)
			}
			if !strings.Contains(r.String(), "server.pem holds no certificate") {
				t.Errorf("the log does not say what is wrong:\n%s", r)
			}
			f.put("server.pem", good)
			r.await(t, "can be used again")
		})
	}
}

// TestSwappedDirectoryIsNoticed: files are links into a directory that is a link
// itself, which is replaced, as orchestrators do.
func TestSwappedDirectoryIsNoticed(t *testing.T) {
	f := newFiles(t)
	mount := t.TempDir()
	link := func(target, name string) {
		tmp := filepath.Join(mount, ".tmp")
		if err := os.Symlink(target, tmp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(mount, name)); err != nil {
			t.Fatal(err)
		}
	}
	version := func(name string) {
		dir := filepath.Join(mount, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		f.issue("server", issue.Options{Role: issue.Server})
		for _, file := range []string{"ca.pem", "server.pem", "server-key.pem"} {
			data, err := os.ReadFile(f.path(file))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	version("..1")
	link("..1", "..data")
	for _, file := range []string{"ca.pem", "server.pem", "server-key.pem"} {
		link(filepath.Join("..data", file), file)
	}
	r, log := newRecord()
	set := Settings{
		CAFile: filepath.Join(mount, "ca.pem"), CertFile: filepath.Join(mount, "server.pem"), KeyFile: filepath.Join(mount, "server-key.pem"),
		VerifyIncoming: true, VerifyOutgoing: true,
	}
	s, err := New(Config{InternalRPC: set, Server: true, Datacenter: "dc1", Domain: "consul", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	follow(t, s)
	before, _, _, _ := shake(t, s.Incoming(), s.client(ProtocolRPC))
	version("..2")
	link("..2", "..data")
	r.await(t, "a certificate was loaded")
	if after, _, _, err := shake(t, s.Incoming(), s.client(ProtocolRPC)); err != nil || after == before {
		t.Errorf("the old certificate is presented: %v", err)
	}
}

func TestExpiryIsWarnedOf(t *testing.T) {
	const dayLong = 24 * time.Hour
	for name, c := range map[string]struct {
		life, left time.Duration
		want       string // "" is silence
	}{
		"a year, 31 days left":     {365 * dayLong, 31 * dayLong, ""},
		"a year, 29 days left":     {365 * dayLong, 29 * dayLong, "expires soon"},
		"three days, two left":     {3 * dayLong, 2 * dayLong, ""},
		"three days, an hour left": {3 * dayLong, time.Hour, "expires soon"},
		"over":                     {3 * dayLong, -time.Hour, "has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			now := time.Now()
			f.issue("server", issue.Options{Role: issue.Server, NotBefore: now, Life: c.life})
			r, log := newRecord()
			conf := f.config()
			conf.Logger, conf.Now = log, func() time.Time { return now.Add(time.Minute) }
			s, err := New(conf)
			if err != nil {
				t.Fatal(err)
			}
			if at, ok := s.Expiry(); !ok || at.Sub(now).Round(time.Minute) != c.life {
				t.Errorf("expires %v", at)
			}
			s.cfg.Now = func() time.Time { return now.Add(c.life - c.left) }
			s.remind()
			if got := r.String(); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestNoKeyIsEverInAText(t *testing.T) {
	f := newFiles(t)
	r, log := newRecord()
	c := f.config()
	c.Logger = log
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(f.path("server-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Split(string(key), "\n")[1]
	for _, data := range [][]byte{key, bytes.ToLower(key), append([]byte("junk"), key...), key[:len(key)/2]} {
		f.put("server-key.pem", data)
		_, err := s.Prepare(f.settings("server"), f.settings("server"))
		s.look()
		if text := r.String(); strings.Contains(text, body) || err != nil && strings.Contains(err.Error(), body) {
			t.Errorf("the key is in %q, %v", text, err)
		}
	}
}

// automatic makes a certificate as the cluster's own authority does.
func automatic(t *testing.T, ca *issue.Authority, uri string, dns ...string) *tls.Certificate {
	t.Helper()
	pair, err := ca.IssueURI(uri, dns, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// TestAutomaticCertificates: what the cluster's authority signed makes a client
// agent, and never a server, whatever names are in it.
func TestAutomaticCertificates(t *testing.T) {
	f := newFiles(t)
	c := f.config()
	c.Signs = true
	server, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := issue.NewAuthority(issue.AuthorityOptions{Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	agentURI := "spiffe://x.consul/agent/client/dc/dc1/id/abc"
	cc := Config{InternalRPC: Settings{CAFile: f.path("ca.pem"), VerifyServerHostname: true}, Automatic: true, Datacenter: "dc1", Domain: "consul"}
	client, err := New(cc)
	if err != nil {
		t.Fatal(err)
	}
	trusted := []*x509.Certificate{cluster.Cert}
	client.SetAutomatic(automatic(t, cluster, agentURI), trusted)
	if _, _, serverErr, _ := shake(t, server.Incoming(), client.client(ProtocolRPC)); serverErr == nil {
		t.Error("accepted before the authority was trusted")
	}
	server.SetTrusted(trusted)
	if _, _, serverErr, clientErr := shake(t, server.Incoming(), client.client(ProtocolRPC)); serverErr != nil || clientErr != nil {
		t.Errorf("an agent's certificate: %v, %v", serverErr, clientErr)
	}
	if _, _, serverErr, clientErr := shake(t, server.Incoming(), client.client(ProtocolSign)); serverErr != nil || clientErr != nil {
		t.Errorf("asking for a certificate: %v, %v", serverErr, clientErr)
	}
	client.SetAutomatic(automatic(t, cluster, "spiffe://x.consul/ns/default/dc/dc1/svc/web"), trusted)
	if _, _, serverErr, _ := shake(t, server.Incoming(), client.client(ProtocolRPC)); serverErr == nil || !strings.Contains(Explain(serverErr).Error(), "for a service, not for an agent") {
		t.Errorf("a service's certificate: %v", serverErr)
	}
	client.SetAutomatic(automatic(t, cluster, agentURI, "server.dc1.consul"), trusted)
	if _, _, serverErr, _ := shake(t, server.Incoming(), client.client(ProtocolRaft)); serverErr == nil || !strings.Contains(Explain(serverErr).Error(), "between servers only") {
		t.Errorf("a client agent under the name of a server, in Raft: %v", serverErr)
	}
	// The same certificate on the side that answers.
	fake := automatic(t, cluster, agentURI, "server.dc1.consul")
	_, _, _, clientErr := shake(t, &tls.Config{Certificates: []tls.Certificate{*fake}, NextProtos: []string{ProtocolRPC}}, client.client(ProtocolRPC)) //nolint:gosec // a test
	if clientErr == nil || !strings.Contains(clientErr.Error(), "does not answer as a server") {
		t.Errorf("a client agent that answers as a server: %v", clientErr)
	}
	if server.Peer(nil).Server {
		t.Error("plain text makes a server where a role is demanded")
	}
}

// TestAuthorityOfTheFilesMayBeTheClusters: an operator gives the cluster the
// authority of the agents' files as its root.
func TestAuthorityOfTheFilesMayBeTheClusters(t *testing.T) {
	for name, trusted := range map[string]bool{"with auto_encrypt": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			s, err := New(f.config())
			if err != nil {
				t.Fatal(err)
			}
			if trusted {
				s.SetTrusted([]*x509.Certificate{f.ca.Cert})
			}
			for _, protocol := range []string{ProtocolRaft, ProtocolRPC} {
				if _, _, serverErr, clientErr := shake(t, s.Incoming(), s.client(protocol)); serverErr != nil || clientErr != nil {
					t.Errorf("the certificate of a file, %s: %v, %v", protocol, serverErr, clientErr)
				}
			}
			for _, c := range []struct{ uri, protocol, want string }{
				{"spiffe://x.consul/ns/default/dc/dc1/svc/web", ProtocolRPC, "for a service, not for an agent"},
				{"spiffe://x.consul/ns/default/dc/dc1/svc/web", ProtocolRaft, "for a service, not for an agent"},
				{"spiffe://x.consul/agent/client/dc/dc1/id/abc", ProtocolRaft, "between servers only"},
			} {
				pair := automatic(t, f.ca, c.uri, "server.dc1.consul")
				bad := s.client(c.protocol).Clone()
				bad.ClientSessionCache = nil // no session of the certificate before
				bad.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
				if _, _, serverErr, _ := shake(t, s.Incoming(), bad); serverErr == nil || !strings.Contains(Explain(serverErr).Error(), c.want) {
					t.Errorf("%s in %s: %v, want %q", c.uri, c.protocol, serverErr, c.want)
				}
			}
		})
	}
}

func TestJournalIsBounded(t *testing.T) {
	r, log := newRecord()
	j := NewJournal(log)
	for range 1000 {
		j.RefusedBy("refused", "10.0.0.1:1", io.EOF)
	}
	if n := strings.Count(r.String(), "\n"); n < 10 || n > 40 {
		t.Errorf("%d lines of 1000", n)
	}
}

// TestTextsOfTheLibraryAreExplained: of a handshake on the port of HTTPS only the
// text is known, so it is held against what the library says.
func TestTextsOfTheLibraryAreExplained(t *testing.T) {
	f := newFiles(t)
	cert := func(file string) *x509.Certificate {
		data, err := os.ReadFile(f.path(file))
		if err != nil {
			t.Fatal(err)
		}
		certs, err := certificates(data)
		if err != nil {
			t.Fatal(err)
		}
		return certs[0]
	}
	f.issue("cli", issue.Options{Role: issue.CLI})
	own, cli := cert("server.pem"), cert("cli.pem")
	roots, none := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(f.ca.Cert)
	at := time.Now()
	for _, c := range []struct {
		name  string
		leaf  *x509.Certificate
		roots *x509.CertPool
		now   time.Time
		want  string
	}{
		{"another authority", own, none, at, "its certificate is signed by an authority that this agent does not trust: see ca_file"},
		{"expired", own, roots, own.NotAfter.Add(time.Hour), "its certificate expired on " + day(own.NotAfter)},
		{"not yet valid", own, roots, own.NotBefore.Add(-time.Hour), "its certificate is not yet valid: its time begins on " + day(own.NotBefore) + "; compare the clocks"},
		{"for another side", cli, roots, at, "its certificate may not be used for this side of a connection (extended key usage)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.leaf.Verify(x509.VerifyOptions{Roots: c.roots, CurrentTime: c.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
			text := errors.New((&tls.CertificateVerificationError{Err: err}).Error())
			if got := Explain(text).Error(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
