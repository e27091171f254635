package cli

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/spf13/cobra"
)

// parsedConn returns a Conn whose command was given args in the environment env,
// and that command. No setting is looked up yet.
func parsedConn(t *testing.T, env map[string]string, args ...string) (*Factory, *cobra.Command, *Conn) {
	t.Helper()
	streams, _, _ := iostreams.Test("")
	f := &Factory{Streams: streams, LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
	cmd := &cobra.Command{Use: "x"}
	conn := f.ConnectServer(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return f, cmd, conn
}

// testConn returns a Conn whose command was given args in the environment env.
func testConn(t *testing.T, env map[string]string, args ...string) *Conn {
	t.Helper()
	f, cmd, conn := parsedConn(t, env, args...)
	context, err := f.chooseContext(cmd.Flags())
	if err != nil {
		t.Fatal(err)
	}
	conn.values = readSettings(cmd.Flags(), f.LookupEnv, context)
	return conn
}

func TestSettingsPrecedence(t *testing.T) {
	for _, c := range []struct {
		name    string
		setting string
		env     map[string]string
		args    []string
		want    string
		source  string
	}{
		{"default", "http-addr", nil, nil, DefaultAddress, "default"},
		{"CONSUL_", "http-addr", map[string]string{"CONSUL_HTTP_ADDR": "c:1"}, nil, "c:1", "CONSUL_HTTP_ADDR"},
		{"CTL_ over CONSUL_", "http-addr", map[string]string{"CONSUL_HTTP_ADDR": "c:1", "CTL_HTTP_ADDR": "t:1"}, nil, "t:1", "CTL_HTTP_ADDR"},
		{"flag over CTL_", "http-addr", map[string]string{"CTL_HTTP_ADDR": "t:1"}, []string{"--http-addr", "f:1"}, "f:1", "--http-addr"},
		{"empty variable is not set", "http-addr", map[string]string{"CTL_HTTP_ADDR": "", "CONSUL_HTTP_ADDR": "c:1"}, nil, "c:1", "CONSUL_HTTP_ADDR"},
		{"empty flag is not set", "http-addr", map[string]string{"CTL_HTTP_ADDR": "t:1"}, []string{"--http-addr="}, "t:1", "CTL_HTTP_ADDR"},
		{"empty token flag means no token", "token", map[string]string{"CTL_HTTP_TOKEN": "t"}, []string{"--token="}, "", "--token"},
		{"case is kept", "ca-file", map[string]string{"CONSUL_CACERT": "/Etc/CA.pem"}, nil, "/Etc/CA.pem", "CONSUL_CACERT"},
		{"datacenter has no CONSUL_ variable", "datacenter", map[string]string{"CONSUL_DATACENTER": "dc9"}, nil, "", "default"},
		{"datacenter from CTL_", "datacenter", map[string]string{"CTL_DATACENTER": "dc9"}, nil, "dc9", "CTL_DATACENTER"},
		{"stale flag", "stale", nil, []string{"--stale"}, "true", "--stale"},
		{"stale=false over the environment", "stale", map[string]string{"CTL_STALE": "true"}, []string{"--stale=false"}, "false", "--stale"},
		{"no flag for it", "http-auth", map[string]string{"CONSUL_HTTP_AUTH": "u:p"}, nil, "u:p", "CONSUL_HTTP_AUTH"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := testConn(t, c.env, c.args...)
			if got := conn.values.text(c.setting); got != c.want {
				t.Errorf("value %q, want %q", got, c.want)
			}
			if got := conn.values.source(c.setting); got != c.source {
				t.Errorf("source %q, want %q", got, c.source)
			}
		})
	}
}

// TestEverySettingIsRead catches a setting that is listed but not wired.
func TestEverySettingIsRead(t *testing.T) {
	for _, s := range Settings() {
		t.Run(s.Name, func(t *testing.T) {
			for prefix, allowed := range map[string]bool{"CTL_": true, "CONSUL_": !s.OwnOnly} {
				conn := testConn(t, map[string]string{prefix + s.Env: "true"})
				if got := conn.values.text(s.Name) == "true"; got != allowed && s.Default != "true" {
					t.Errorf("%s%s read: %v, want %v", prefix, s.Env, got, allowed)
				}
			}
			if s.Usage == "" {
				t.Error("no usage text")
			}
			flag := testConn(t, nil).flags.Lookup(s.Name)
			if (flag == nil) != s.NoFlag {
				t.Errorf("flag %v, NoFlag %v", flag, s.NoFlag)
			}
		})
	}
}

func TestToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(" from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		env  map[string]string
		args []string
		want string
	}{
		{"none", nil, nil, ""},
		{"variable", map[string]string{"CONSUL_HTTP_TOKEN": "a"}, nil, "a"},
		{"file of the same origin wins", map[string]string{"CTL_HTTP_TOKEN": "a", "CTL_HTTP_TOKEN_FILE": file}, nil, "from-file"},
		{"CTL_ token over CONSUL_ file", map[string]string{"CTL_HTTP_TOKEN": "a", "CONSUL_HTTP_TOKEN_FILE": "/nonexistent"}, nil, "a"},
		{"flag over file variable", map[string]string{"CTL_HTTP_TOKEN_FILE": "/nonexistent"}, []string{"--token", "f"}, "f"},
		{"file flag over token flag", nil, []string{"--token", "f", "--token-file", file}, "from-file"},
		{"empty flag over file variable", map[string]string{"CTL_HTTP_TOKEN_FILE": file}, []string{"--token", ""}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := testConn(t, c.env, c.args...).token()
			if err != nil || got != c.want {
				t.Errorf("token %q, %v, want %q", got, err, c.want)
			}
		})
	}
	_, err := testConn(t, map[string]string{"CTL_HTTP_TOKEN_FILE": "/nonexistent"}).token()
	if err == nil || !strings.Contains(err.Error(), "CTL_HTTP_TOKEN_FILE") {
		t.Errorf("a missing token file does not name its origin: %v", err)
	}
}

func TestAddress(t *testing.T) {
	for _, c := range []struct {
		name    string
		env     map[string]string
		address string
		want    string
		fails   string
	}{
		{"host and port", nil, "h:8500", "http://h:8500", ""},
		{"http", nil, "http://h:8500", "http://h:8500", ""},
		{"https", nil, "https://h", "https://h", ""},
		{"path in front of the API", nil, "https://h/consul/", "https://h/consul", ""},
		{"IPv6", nil, "[::1]:8500", "http://[::1]:8500", ""},
		{"unix", nil, "unix:///run/ctl.sock", "unix:///run/ctl.sock", ""},
		{"SSL variable", map[string]string{"CONSUL_HTTP_SSL": "true"}, "h:1", "https://h:1", ""},
		{"SSL variable beats http://", map[string]string{"CTL_HTTP_SSL": "1"}, "http://h:1", "https://h:1", ""},
		{"SSL variable false", map[string]string{"CTL_HTTP_SSL": "false", "CONSUL_HTTP_SSL": "true"}, "h:1", "http://h:1", ""},
		{"SSL variable that is no boolean", map[string]string{"CTL_HTTP_SSL": "maybe"}, "h:1", "", `CTL_HTTP_SSL: "maybe" is neither true nor false`},
		{"unknown scheme", nil, "ftp://h", "", `unknown scheme "ftp"`},
		{"nothing behind the scheme", nil, "http://", "", "nothing after the scheme"},
	} {
		t.Run(c.name, func(t *testing.T) {
			scheme, rest, err := testConn(t, c.env, "--http-addr", c.address).splitAddress(c.address)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("error %v, want %q", err, c.fails)
				}
				return
			}
			if got := scheme + "://" + rest; err != nil || got != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

// TestClientIgnoresTheProcessEnvironment checks that the official client's own
// reading of CONSUL_* does not come through: only Factory.LookupEnv counts.
func TestClientIgnoresTheProcessEnvironment(t *testing.T) {
	t.Setenv("CONSUL_HTTP_ADDR", "http://127.0.0.1:1")
	t.Setenv("CONSUL_HTTP_TOKEN", "wrong")
	t.Setenv("CONSUL_HTTP_TOKEN_FILE", "/nonexistent")
	t.Setenv("CONSUL_HTTP_SSL", "true")
	t.Setenv("CONSUL_HTTP_AUTH", "wrong:wrong")
	for _, c := range []struct{ name, token string }{
		{"other token", "right"},
		{"same token as the variable the client would read", "wrong"},
		{"no token", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got http.Header
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = r.Header
				w.Write([]byte(`["dc1"]`))
			}))
			defer srv.Close()
			env := map[string]string{"CTL_HTTP_ADDR": srv.URL}
			if c.token != "" {
				env["CTL_HTTP_TOKEN"] = c.token
			}
			client, err := testConn(t, env).Client()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Catalog().Datacenters(); err != nil {
				t.Fatal(err)
			}
			if got.Get("X-Consul-Token") != c.token {
				t.Errorf("token %q was sent, want %q", got.Get("X-Consul-Token"), c.token)
			}
			if got.Get("Authorization") != "" {
				t.Errorf("Authorization %q was sent", got.Get("Authorization"))
			}
		})
	}
}

func TestClientSendsWhatItIsTold(t *testing.T) {
	t.Parallel()
	var user, password, query string
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ = r.BasicAuth()
		query = r.URL.RawQuery
		w.Write([]byte(`[]`))
	}))
	defer srv.Close()
	env := map[string]string{
		"CTL_HTTP_ADDR": srv.URL, "CONSUL_HTTP_AUTH": "ada:lo:ve", "CTL_HTTP_SSL_VERIFY": "false",
	}
	conn := testConn(t, env, "--datacenter", "dc2", "--stale")
	client, err := conn.Client()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := client.Catalog().Nodes(conn.Query(t.Context())); err != nil {
		t.Fatal(err)
	}
	if user != "ada" || password != "lo:ve" || query != "dc=dc2&stale=" {
		t.Errorf("sent user %q, password %q, query %q", user, password, query)
	}
}

func TestTLSServerIsVerified(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`[]`)) }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	client, err := testConn(t, map[string]string{"CTL_HTTP_ADDR": srv.URL}).Client()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Catalog().Datacenters(); err == nil || !strings.Contains(err.Error(), "x509") {
		t.Errorf("a certificate nobody vouches for: %v", err)
	}
	_, err = testConn(t, map[string]string{"CTL_CACERT": "/nonexistent"}).Client()
	if err == nil || !strings.HasPrefix(err.Error(), "Error connecting to the agent: TLS settings: ") {
		t.Errorf("a missing CA file: %v", err)
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "ctl") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Skip("no unix sockets here: ", err)
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`["dc1"]`)) })}}
	srv.Start()
	defer srv.Close()
	client, err := testConn(t, map[string]string{"CONSUL_HTTP_ADDR": "unix://" + path}).Client()
	if err != nil {
		t.Fatal(err)
	}
	names, err := client.Catalog().Datacenters()
	if err != nil || len(names) != 1 {
		t.Errorf("asked over a unix socket: %v, %v", names, err)
	}
}
