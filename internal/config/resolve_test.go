package config

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type fakeHost struct{ private []string }

func (f fakeHost) Expand(t string) (string, error) {
	switch t {
	case "{{ one }}":
		return "10.9.0.1", nil
	case "unix:///run/ctl.sock {{ one }}":
		return "unix:///run/ctl.sock 10.9.0.1", nil
	case "{{ two }}":
		return "10.9.0.1 10.9.0.2", nil
	case "{{ none }}":
		return "", nil
	}
	return "", errors.New("no such template")
}

func (f fakeHost) PrivateIPv4() ([]netip.Addr, error) {
	var list []netip.Addr
	for _, a := range f.private {
		list = append(list, netip.MustParseAddr(a))
	}
	return list, nil
}

func (f fakeHost) PublicIPv6() ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("2001:db8::1")}, nil
}

func machine(private ...string) Machine {
	return Machine{Addresses: fakeHost{private}, Hostname: func() (string, error) { return "host7", nil }, DataHome: func() (string, error) { return "/home", nil }}
}

func tcp(list ...string) []Listener {
	var out []Listener
	for _, a := range list {
		out = append(out, Listener{"tcp", a})
	}
	return out
}

func TestResolve(t *testing.T) {
	ep := func(bind, advertise string) Endpoint {
		return Endpoint{netip.MustParseAddrPort(bind), netip.MustParseAddrPort(advertise)}
	}
	for _, c := range []struct {
		name, text string
		m          Machine
		get        func(*Runtime) any
		want       any
	}{
		{"wildcard advertises the only private address", `{}`, machine("10.0.0.7"), func(r *Runtime) any { return r.SerfLAN }, ep("0.0.0.0:8301", "10.0.0.7:8301")},
		{"IPv6 wildcard advertises the public address", `{"bind_addr":"::"}`, machine(), func(r *Runtime) any { return r.SerfLAN }, ep("[::]:8301", "[2001:db8::1]:8301")},
		{"bind address is advertised", `{"bind_addr":"127.0.0.2"}`, machine(), func(r *Runtime) any { return r.SerfLAN }, ep("127.0.0.2:8301", "127.0.0.2:8301")},
		{"advertise needs no detection", `{"advertise_addr":"10.1.1.1"}`, machine("10.0.0.7", "10.0.0.8"), func(r *Runtime) any { return r.SerfLAN }, ep("0.0.0.0:8301", "10.1.1.1:8301")},
		{"IPv4 advertise address serves for a wildcard", `{"advertise_addr_ipv4":"10.1.1.1"}`, machine(), func(r *Runtime) any { return r.SerfLAN.Advertise.Addr().String() }, "10.1.1.1"},
		{"template", `{"bind_addr":"{{ one }}"}`, machine(), func(r *Runtime) any { return r.SerfLAN.Bind.String() }, "10.9.0.1:8301"},
		{"client has no RPC and no WAN", `{"bind_addr":"127.0.0.2"}`, machine(), func(r *Runtime) any { return []bool{r.RPC.IsValid(), r.SerfWAN.IsValid()} }, []bool{false, false}},
		{"server has both", `{"bind_addr":"127.0.0.2","server":true,"advertise_addr_wan":"1.2.3.4"}`, machine(), func(r *Runtime) any { return []Endpoint{r.RPC, r.SerfWAN} },
			[]Endpoint{ep("127.0.0.2:8300", "127.0.0.2:8300"), ep("127.0.0.2:8302", "1.2.3.4:8302")}},
		{"WAN off", `{"bind_addr":"127.0.0.2","server":true,"ports":{"serf_wan":-1}}`, machine(), func(r *Runtime) any { return r.SerfWAN.IsValid() }, false},
		{"serf_lan has its own address", `{"bind_addr":"127.0.0.2","serf_lan":"127.0.0.3"}`, machine(), func(r *Runtime) any { return r.SerfLAN }, ep("127.0.0.3:8301", "127.0.0.2:8301")},
		{"several client addresses", `{"bind_addr":"127.0.0.2","client_addr":"127.0.0.1 ::1"}`, machine(), func(r *Runtime) any { return r.HTTP }, tcp("127.0.0.1:8500", "[::1]:8500")},
		{"addresses.http instead of client_addr", `{"bind_addr":"127.0.0.2","addresses":{"http":"unix:///run/ctl.sock {{ one }}"}}`, machine(), func(r *Runtime) any { return r.HTTP },
			append([]Listener{{"unix", "/run/ctl.sock"}}, tcp("10.9.0.1:8500")...)},
		{"unix socket with HTTP over TCP off", `{"bind_addr":"127.0.0.2","ports":{"http":-1},"addresses":{"http":"unix:///run/ctl.sock"}}`, machine(), func(r *Runtime) any { return r.HTTP }, []Listener{{"unix", "/run/ctl.sock"}}},
		{"DNS skips unix sockets of client_addr", `{"bind_addr":"127.0.0.2","client_addr":"unix:///x 127.0.0.1"}`, machine(), func(r *Runtime) any { return r.DNS }, tcp("127.0.0.1:8600")},
		{"port off", `{"bind_addr":"127.0.0.2","ports":{"dns":-1}}`, machine(), func(r *Runtime) any { return len(r.DNS) }, 0},
		{"client_addr with no result", `{"bind_addr":"127.0.0.2","client_addr":"{{ none }}"}`, machine(), func(r *Runtime) any { return len(r.HTTP) }, 0},
		{"host name", `{"bind_addr":"127.0.0.2"}`, machine(), func(r *Runtime) any { return r.NodeName }, "host7"},
		{"configured name", `{"bind_addr":"127.0.0.2","node_name":"x"}`, machine(), func(r *Runtime) any { return r.NodeName }, "x"},
		{"expect", `{"bind_addr":"127.0.0.2","server":true,"bootstrap_expect":3}`, machine(), func(r *Runtime) any { return r.Expect }, 3},
		{"bootstrap expects one", `{"bind_addr":"127.0.0.2","server":true,"bootstrap":true}`, machine(), func(r *Runtime) any { return r.Expect }, 1},
		{"nobody told it to begin", `{"bind_addr":"127.0.0.2","server":true}`, machine(), func(r *Runtime) any { return r.Expect }, 0},
		{"tagged addresses", `{"bind_addr":"127.0.0.2","advertise_addr_wan":"fd00::1","advertise_addr_ipv6":"fd00::2","tagged_addresses":{"vpn":"10.8.0.1"}}`, machine(),
			func(r *Runtime) any { return r.TaggedAddresses }, map[string]string{"lan": "127.0.0.2", "lan_ipv4": "127.0.0.2", "lan_ipv6": "fd00::2", "wan": "fd00::1", "wan_ipv6": "fd00::1", "vpn": "10.8.0.1"}},
		{"retry_join template yields several", `{"bind_addr":"127.0.0.2","retry_join":["{{ two }}","c.example:8301"]}`, machine(), func(r *Runtime) any { return r.RetryJoin }, []string{"10.9.0.1", "10.9.0.2", "c.example:8301"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, _, err := load(t, Input{}, c.text)
			if err != nil {
				t.Fatal(err)
			}
			r, _, err := cfg.Resolve(c.m)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.get(r), c.want, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
				t.Errorf("got - want +:\n%s", d)
			}
		})
	}
}

func TestResolveProblems(t *testing.T) {
	for _, c := range []struct {
		name, text string
		m          Machine
		want       string
	}{
		{"no private address", `{}`, machine(), "advertise_addr: No private IPv4 address found"},
		{"several private addresses", `{}`, machine("10.0.0.7", "172.17.0.1"), "Multiple private IPv4 addresses found. Please configure one with 'bind' and/or 'advertise'."},
		{"bind to several", `{"bind_addr":"{{ two }}"}`, machine(), "a.json:1:14: bind_addr: \"{{ two }}\" names 10.9.0.1 and 10.9.0.2: multiple addresses found; give one IP address"},
		{"bind to nothing", `{"bind_addr":""}`, machine(), "bind_addr cannot be empty"},
		{"bind to a name", `{"bind_addr":"localhost"}`, machine(), `"localhost" is not an IP address`},
		{"bind to a socket", `{"bind_addr":"unix:///x"}`, machine(), "is a unix socket"},
		{"bad template", `{"bind_addr":"{{ nope }}"}`, machine(), "no such template"},
		{"advertise a wildcard", `{"bind_addr":"127.0.0.2","advertise_addr":"0.0.0.0"}`, machine(), "Advertise address cannot be 0.0.0.0, :: or [::]"},
		{"DNS on a socket", `{"bind_addr":"127.0.0.2","addresses":{"dns":"unix:///x"}}`, machine(), "addresses.dns: DNS address cannot be a unix socket"},
		{"HTTP on the DNS port", `{"bind_addr":"127.0.0.2","ports":{"http":8600}}`, machine(), "ports.http: HTTP address 127.0.0.1:8600 already configured for DNS"},
		{"HTTP on the RPC port", `{"bind_addr":"127.0.0.2","server":true,"client_addr":"0.0.0.0","ports":{"http":8300}}`, machine(), "HTTP address 0.0.0.0:8300 already configured for RPC; change ports.http or ports.server"},
		{"Serf on Serf", `{"bind_addr":"127.0.0.2","server":true,"ports":{"serf_wan":8301}}`, machine(), "ports.serf_wan: Serf Advertised WAN address 127.0.0.2:8301 already configured for Serf Advertised LAN"},
		{"wildcard and address", `{"bind_addr":"127.0.0.2","ports":{"dns":-1},"client_addr":"0.0.0.0 127.0.0.1"}`, machine(), "HTTP address 0.0.0.0:8500 covers 127.0.0.1:8500"},
		{"no host name", `{"bind_addr":"127.0.0.2"}`, Machine{Addresses: fakeHost{}, Hostname: func() (string, error) { return "", nil }}, "the host has no name; set node_name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, _, err := load(t, Input{}, c.text)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = cfg.Resolve(c.m)
			var p Problems
			if !errors.As(err, &p) || len(p) != 1 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want one problem with %q", err, c.want)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	for _, c := range []struct {
		name, running, read string
		reloaded, ignored   []string
	}{
		{name: "nothing", running: `{"node_meta":{}}`, read: `{"retry_join":[]}`},
		{name: "reloadable", running: `{}`, read: `{"log_level":"DEBUG","limits":{"rpc_rate":5}}`, reloaded: []string{"log_level", "limits.rpc_rate"}},
		{name: "waits for a restart", running: `{"ports":{"http":1}}`, read: `{"ports":{"http":2},"retry_join":["a"]}`, ignored: []string{"retry_join", "ports.http"}},
		{name: "both", running: `{"node_meta":{"a":"1"}}`, read: `{"node_meta":{"a":"2"},"node_name":"x"}`, reloaded: []string{"node_meta"}, ignored: []string{"node_name"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, _, errA := load(t, Input{}, c.running)
			b, _, errB := load(t, Input{}, c.read)
			if err := errors.Join(errA, errB); err != nil {
				t.Fatal(err)
			}
			reloaded, ignored := Diff(a, b)
			if d := cmp.Diff([][]string{reloaded, ignored}, [][]string{c.reloaded, c.ignored}); d != "" {
				t.Errorf("got - want +:\n%s", d)
			}
		})
	}
}

func TestReloaded(t *testing.T) {
	var both []*Runtime
	for _, text := range []string{
		`{"node_name":"old","bind_addr":"127.0.0.2","log_level":"INFO"}`,
		`{"node_name":"new","bind_addr":"127.0.0.3","log_level":"DEBUG","limits":{"rpc_rate":5}}`,
	} {
		c, _, err := load(t, Input{}, text)
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := c.Resolve(machine())
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, r)
	}
	got := both[0].Reloaded(both[1])
	if got.LogLevel != "DEBUG" || got.Limits.RPCRate != 5 {
		t.Errorf("reloadable: got log_level %s, rpc_rate %v, want DEBUG, 5", got.LogLevel, got.Limits.RPCRate)
	}
	if got.NodeName != "old" || got.Config.NodeName != "old" || got.SerfLAN != both[0].SerfLAN {
		t.Errorf("not reloadable: got %s, %s, %v; want what ran", got.NodeName, got.Config.NodeName, got.SerfLAN)
	}
	if both[0].LogLevel != "INFO" {
		t.Error("the running configuration was changed")
	}
	if _, ignored := Diff(got.Config, both[1].Config); len(ignored) != 2 {
		t.Errorf("still waiting for a restart: got %v, want node_name and bind_addr", ignored)
	}
}

func TestRedacted(t *testing.T) {
	const key = "AAECAwQFBgcICQoLDA0ODw=="
	c, _, err := load(t, Input{}, `{"server":true,"bind_addr":"127.0.0.2","encrypt":"`+key+`","retry_join":["10.0.0.1","provider=aws secret_access_key=s3cret"],"acl":{"tokens":{"default":"s3cret"}},"connect":{"ca_config":{"root_cert":"pem","PrivateKey":"s3cret"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := c.Resolve(machine())
	if err != nil {
		t.Fatal(err)
	}
	m := r.Redacted()
	text := asJSON(t, m)
	for _, secret := range []string{key, "s3cret"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is shown:\n%s", secret, text)
		}
	}
	for name, want := range map[string]any{
		"EncryptKey": "hidden", "ServerMode": true, "HTTPPort": 8500, "GRPCPort": -1, "GRPCTLSPort": -1, "ConnectEnabled": true, "NodeName": "host7",
		"RetryJoinIntervalLAN": "30s", "AdvertiseAddrLAN": "127.0.0.2", "GossipLANProbeInterval": "1s", "AutopilotMinQuorum": 0, "LeaveOnTerm": false,
	} {
		if !cmp.Equal(m[name], want) {
			t.Errorf("%s is %v, want %v", name, m[name], want)
		}
	}
	logging, ok := m["Logging"].(map[string]any)
	if !ok || logging["LogLevel"] != "INFO" {
		t.Errorf("Logging is %v", m["Logging"])
	}
	if got := Default().Redacted()["EncryptKey"]; got != "" {
		t.Errorf("a key that is not set shows as %v", got)
	}
}

func TestAnAgentWithoutDataDirGetsOneOfItsOwn(t *testing.T) {
	for _, c := range []struct {
		name, text string
		dev        bool
		want       string
		warns      bool
	}{
		{"named", `{"data_dir":"/d","bind_addr":"127.0.0.2"}`, false, "/d", false},
		{"not named", `{"bind_addr":"127.0.0.2"}`, false, "/home/host7", true},
		{"not named, node named", `{"bind_addr":"127.0.0.2","node_name":"n1"}`, false, "/home/n1", true},
		{"not named, node name like a path", `{"bind_addr":"127.0.0.2","node_name":"../../n1"}`, false, "/home/n1", true},
		{"dev", `{}`, true, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, _, err := Load(Input{Dev: c.dev, Sources: []Source{{Name: "a.json", Format: "json", Data: []byte(c.text)}}})
			if err != nil {
				t.Fatal(err)
			}
			rt, warnings, err := cfg.Resolve(machine())
			if err != nil {
				t.Fatal(err)
			}
			warned := false
			for _, w := range warnings {
				warned = warned || w.Key == "data_dir"
			}
			if rt.DataDir != c.want || warned != c.warns {
				t.Errorf("data_dir %q, warned %v", rt.DataDir, warned)
			}
			if c.want != cfg.DataDir && cfg.DataDir != "" {
				t.Error("the loaded configuration was changed")
			}
		})
	}
}
