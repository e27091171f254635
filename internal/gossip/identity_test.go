package gossip_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
)

func TestTagsAreThoseOfConsul(t *testing.T) {
	server := gossip.Identity{
		ID: "u-u-i-d", Datacenter: "consul_cluster", Build: "1.21.4:ctl", Server: true,
		RPCPort: 8300, WANJoinPort: 8302, GRPCTLSPort: 8503, Expect: 3,
	}
	for _, c := range []struct {
		name string
		id   gossip.Identity
		want map[string]string
	}{
		{"server", server, map[string]string{
			"role": "consul", "dc": "consul_cluster", "id": "u-u-i-d", "port": "8300", "vsn": "2", "vsn_min": "2",
			"vsn_max": "3", "raft_vsn": "3", "build": "1.21.4:ctl", "acls": "0", "segment": "", "ft_fs": "1",
			"ft_si": "1", "grpc_tls_port": "8503", "wan_join_port": "8302", "expect": "3",
		}},
		{"client", gossip.Identity{ID: "i", Datacenter: "dc1", Build: "b", ReconnectTimeout: 3600e9}, map[string]string{
			"role": "node", "dc": "dc1", "id": "i", "vsn": "2", "vsn_min": "2", "vsn_max": "3", "build": "b",
			"segment": "", "rc_tm": "1h0m0s",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				conf := l.config(1)
				conf.Identity = c.id
				a := l.start(conf)
				if diff := cmp.Diff(c.want, a.LocalMember().Tags); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestMemberJSON(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a := l.start(l.config(1))
		synctest.Wait()
		got, err := json.Marshal(a.Members())
		if err != nil {
			t.Fatal(err)
		}
		want := `[{"Name":"node-1","Addr":"127.0.0.1","Port":8301,"Tags":{"build":"1.21.4:ctl","dc":"dc1",` +
			`"id":"00000000-0000-0000-0000-000000000001","role":"node","segment":"","vsn":"2","vsn_max":"3","vsn_min":"2"},` +
			`"Status":1,"ProtocolMin":1,"ProtocolMax":5,"ProtocolCur":2,"DelegateMin":2,"DelegateMax":5,"DelegateCur":4}]`
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestServerOf(t *testing.T) {
	tags := func(change ...string) map[string]string {
		m := map[string]string{
			"role": "consul", "dc": "dc1", "id": "i", "port": "8300", "vsn": "2", "raft_vsn": "3", "build": "1.21.4:ctl",
			"segment": "", "acls": "0", "wan_join_port": "8302", "expect": "3",
		}
		for i := 0; i < len(change); i += 2 {
			m[change[i]] = change[i+1]
		}
		return m
	}
	base := gossip.Server{
		ID: "i", Name: "n", Datacenter: "dc1", Addr: "10.0.0.1:8300", GossipAddr: "10.0.0.1:8301", WANAddr: "10.0.0.1:8302",
		Build: "1.21.4:ctl", Version: 2, RaftVersion: 3, Expect: 3, Status: gossip.StatusAlive,
	}
	with := func(f func(*gossip.Server)) gossip.Server {
		s := base
		f(&s)
		return s
	}
	for _, c := range []struct {
		name string
		addr string
		tags map[string]string
		want gossip.Server
		ok   bool
	}{
		{"server", "10.0.0.1", tags(), base, true},
		{"bootstrap", "10.0.0.1", tags("bootstrap", "1", "expect", ""), with(func(s *gossip.Server) { s.Bootstrap, s.Expect = true, 0 }), true},
		{"non-voter", "10.0.0.1", tags("read_replica", "1"), with(func(s *gossip.Server) { s.NonVoter = true }), true},
		{"non-voter of an older agent", "10.0.0.1", tags("nonvoter", "1"), with(func(s *gossip.Server) { s.NonVoter = true }), true},
		{"flags", "10.0.0.1", tags("acls", "1", "use_tls", "1"), with(func(s *gossip.Server) { s.ACLs, s.UseTLS = true, true }), true},
		{"IPv6", "fd00::1", tags("wan_join_port", ""), with(func(s *gossip.Server) {
			s.Addr, s.GossipAddr, s.WANAddr = "[fd00::1]:8300", "[fd00::1]:8301", ""
		}), true},
		{"numbers that are none", "10.0.0.1", tags("expect", "-3", "vsn", "x", "wan_join_port", "1e3"),
			with(func(s *gossip.Server) { s.Expect, s.Version, s.WANAddr = 0, 0, "" }), true},
		{"client", "10.0.0.1", tags("role", "node"), gossip.Server{}, false},
		{"no port", "10.0.0.1", tags("port", ""), gossip.Server{}, false},
		{"port 0", "10.0.0.1", tags("port", "0"), gossip.Server{}, false},
		{"port too high", "10.0.0.1", tags("port", "70000"), gossip.Server{}, false},
		{"no tags", "10.0.0.1", nil, gossip.Server{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := gossip.Member{Name: "n", Addr: c.addr, Port: 8301, Tags: c.tags, Status: gossip.StatusAlive}
			got, ok := gossip.ServerOf(m)
			if diff := cmp.Diff(c.want, got); diff != "" || ok != c.ok {
				t.Errorf("ok %v, %s", ok, diff)
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*gossip.Config)
		want   string
	}{
		{"no name", func(c *gossip.Config) { c.NodeName = "" }, "node_name: must not be empty"},
		{"a name with a line break", func(c *gossip.Config) { c.NodeName = "a\nleave" }, "control character"},
		{"a name too long", func(c *gossip.Config) { c.NodeName = strings.Repeat("x", 256) }, "at most 255"},
		{"a name that is not UTF-8", func(c *gossip.Config) { c.NodeName = "\xff" }, "not UTF-8"},
		{"no datacenter", func(c *gossip.Config) { c.Identity.Datacenter = "" }, "datacenter"},
		{"a bind address that is a name", func(c *gossip.Config) { c.BindAddr = "host" }, "bind_addr"},
		{"an advertise address that is a name", func(c *gossip.Config) { c.AdvertiseAddr = "host" }, "advertise_addr"},
		{"a port out of range", func(c *gossip.Config) { c.BindPort = 70000 }, "ports.serf_lan"},
		{"no probes", func(c *gossip.Config) { c.Timing.ProbeInterval = 0 }, "gossip_lan.probe_interval"},
		{"a key that is not base64", func(c *gossip.Config) { c.EncryptKey = "***" }, "not base64"},
		{"a key of a wrong size", func(c *gossip.Config) { c.EncryptKey = "YWJj" }, "Invalid key: key size must be 16, 24 or 32 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := gossip.DefaultConfig(gossip.LAN)
			conf.NodeName, conf.Identity.Datacenter = "a", "dc1"
			if err := conf.Validate(); err != nil {
				t.Fatal(err)
			}
			c.change(&conf)
			_, err := gossip.New(conf)
			if !failure.Is(err, failure.Invalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
