package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// base is what a configuration needs so that only the case at hand speaks.
const base = `{"data_dir":"/d"}`

func jsonSource(name, text string) Source { return Source{Name: name, Data: []byte(text)} }

// load merges the texts, named a.json, b.json …, after base.
func load(t *testing.T, in Input, texts ...string) (*Config, []Warning, error) {
	t.Helper()
	in.Sources = append([]Source{jsonSource("base.json", base)}, in.Sources...)
	for i, text := range texts {
		name := string(rune('a'+i)) + ".json"
		if !strings.HasPrefix(strings.TrimSpace(text), "{") {
			name = string(rune('a'+i)) + ".hcl"
		}
		in.Sources = append(in.Sources, jsonSource(name, text))
	}
	return Load(in)
}

func TestMerge(t *testing.T) {
	for _, c := range []struct {
		name  string
		in    Input
		texts []string
		check func(*Config) any
		want  any
	}{
		{name: "default", check: func(c *Config) any { return c.Datacenter }, want: "dc1"},
		{name: "later scalar wins", texts: []string{`{"node_name":"a"}`, `{"node_name":"b"}`}, check: func(c *Config) any { return c.NodeName }, want: "b"},
		{name: "explicit false wins", texts: []string{`{"server":true}`, `{"server":false}`}, check: func(c *Config) any { return c.Server }, want: false},
		{name: "null leaves it", texts: []string{`{"node_name":"a"}`, `{"node_name":null}`}, check: func(c *Config) any { return c.NodeName }, want: "a"},
		{name: "struct field by field", texts: []string{`{"ports":{"http":1}}`, `{"ports":{"dns":2}}`},
			check: func(c *Config) any { return []int{c.Ports.HTTP, c.Ports.DNS, c.Ports.Server} }, want: []int{1, 2, 8300}},
		{name: "map key by key", texts: []string{`{"node_meta":{"a":"1","b":"1"}}`, `{"node_meta":{"b":"2"}}`},
			check: func(c *Config) any { return c.NodeMeta }, want: map[string]string{"a": "1", "b": "2"}},
		{name: "map keys keep their case", texts: []string{`{"node_meta":{"RackID":"1"}}`}, check: func(c *Config) any { return c.NodeMeta["RackID"] }, want: "1"},
		{name: "lists are joined, flags first, duplicates kept",
			in:    Input{Flags: []FlagValue{{"retry-join", "retry_join", []string{"flag1", "a1"}}}},
			texts: []string{`{"retry_join":["a1"]}`, `retry_join = ["b1"]`}, check: func(c *Config) any { return c.RetryJoin }, want: []string{"flag1", "a1", "a1", "b1"}},
		{name: "scalar flag wins over files", in: Input{Flags: []FlagValue{{"node", "node_name", []string{"flag"}}}},
			texts: []string{`{"node_name":"a"}`}, check: func(c *Config) any { return c.NodeName }, want: "flag"},
		{name: "map flag overlays files", in: Input{Flags: []FlagValue{{"node-meta", "node_meta", []string{"b:2", "c:x:y"}}}},
			texts: []string{`{"node_meta":{"a":"1","b":"1"}}`}, check: func(c *Config) any { return c.NodeMeta }, want: map[string]string{"a": "1", "b": "2", "c": "x:y"}},
		{name: "-hcl wins over flags", in: Input{Flags: []FlagValue{{"node", "node_name", []string{"flag"}}}, Fragments: []Source{{"-hcl", "hcl", []byte(`node_name = "hcl"`)}}},
			check: func(c *Config) any { return c.NodeName }, want: "hcl"},
		{name: "file wins over -dev", in: Input{Dev: true}, texts: []string{`{"log_level":"warn"}`}, check: func(c *Config) any { return c.LogLevel }, want: "WARN"},
		{name: "empty file is skipped", texts: []string{" \n", `{"node_name":"a"}`}, check: func(c *Config) any { return c.NodeName }, want: "a"},
		{name: "byte order mark", texts: []string{"\xef\xbb\xbf" + `node_name = "a"`}, check: func(c *Config) any { return c.NodeName }, want: "a"},
		{name: "HCL block", texts: []string{"ports {\n http = 9 \n}\nnode_meta { A = \"b\" }"}, check: func(c *Config) any { return []any{c.Ports.HTTP, c.NodeMeta["A"]} }, want: []any{9, "b"}},
		{name: "HCL assignment of an object", texts: []string{`ports = { http = 9 }`}, check: func(c *Config) any { return c.Ports.HTTP }, want: 9},
		{name: "JSON list of one object", texts: []string{`{"ports":[{"http":9}]}`}, check: func(c *Config) any { return c.Ports.HTTP }, want: 9},
		{name: "whole number with an exponent", texts: []string{`{"ports":{"http":9e3}}`}, check: func(c *Config) any { return c.Ports.HTTP }, want: 9000},
		{name: "heredoc", texts: []string{"node_name = <<X\nabc\nX\n"}, check: func(c *Config) any { return strings.TrimSpace(c.NodeName) }, want: "abc"},
		{name: "old list name joins the new one", texts: []string{`{"start_join":["old"],"retry_join":["new"]}`}, check: func(c *Config) any { return c.RetryJoin }, want: []string{"old", "new"}},
		{name: "new name wins over a later old one", texts: []string{`{"ui_config":{"content_path":"/new/"}}`, `{"ui_content_path":"/old/"}`}, check: func(c *Config) any { return c.UI.ContentPath }, want: "/new/"},
		{name: "old name", texts: []string{`{"ui":true}`}, check: func(c *Config) any { return c.UI.Enabled }, want: true},
		{name: "client leaves on SIGTERM and SIGINT", check: func(c *Config) any { return []bool{c.LeaveOnTerminate, c.SkipLeaveOnInterrupt} }, want: []bool{true, false}},
		{name: "server stays", texts: []string{`{"server":true}`}, check: func(c *Config) any { return []bool{c.LeaveOnTerminate, c.SkipLeaveOnInterrupt} }, want: []bool{false, true}},
		{name: "server told to leave", texts: []string{`{"server":true,"leave_on_terminate":true,"skip_leave_on_interrupt":false}`},
			check: func(c *Config) any { return []bool{c.LeaveOnTerminate, c.SkipLeaveOnInterrupt} }, want: []bool{true, false}},
		{name: "bootstrap_expect 1 is bootstrap", texts: []string{`{"server":true,"bootstrap_expect":1}`}, check: func(c *Config) any { return []any{c.Bootstrap, c.BootstrapExpect} }, want: []any{true, 0}},
		{name: "datacenter is lower-cased, underscore kept", texts: []string{`{"datacenter":"Consul_Cluster"}`}, check: func(c *Config) any { return []string{c.Datacenter, c.PrimaryDatacenter} }, want: []string{"consul_cluster", "consul_cluster"}},
		{name: "log level in any case", texts: []string{`{"log_level":"err"}`}, check: func(c *Config) any { return c.LogLevel }, want: "ERROR"},
		{name: "raft multiplier is 1", check: func(c *Config) any { return c.Performance.RaftMultiplier }, want: 1},
		{name: "limits", check: func(c *Config) any { return []int{c.Limits.HTTPMaxConnsPerClient, c.Limits.KVMaxValueSize} }, want: []int{200, 524288}},
		{name: "-dev", in: Input{Dev: true}, check: func(c *Config) any {
			return []any{c.DevMode, c.Server, c.BindAddr, c.UI.Enabled, c.EnableDebug, c.LogLevel, c.Performance.RaftMultiplier, c.GossipLAN.ProbeInterval}
		}, want: []any{true, true, "127.0.0.1", true, true, "DEBUG", 1, 100 * time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := load(t, c.in, c.texts...)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.check(got), c.want); d != "" {
				t.Errorf("got - want +:\n%s", d)
			}
		})
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		name  string
		in    Input
		texts []string
		want  []string // each must be in the text; one problem each
	}{
		{name: "not JSON", texts: []string{"{\n  hello\n}"}, want: []string{"a.json:2:3: not valid JSON"}},
		{name: "comma at the end", texts: []string{"{\"server\":true,\n}"}, want: []string{"a.json:2:1: not valid JSON: invalid character '}'"}},
		{name: "comment in JSON", texts: []string{"{\n // hi\n \"server\":true}"}, want: []string{"a.json:2:2: not valid JSON: JSON has no comments"}},
		{name: "cut off", texts: []string{"{\"ports\":\n{\"http\": 8500"}, want: []string{"a.json:2:14: not valid JSON: the file ends in the middle; close every { and ["}},
		{name: "two objects", texts: []string{"{}\n{}"}, want: []string{`a.json:2:1: not valid JSON: "{}" after the end`}},
		{name: "not HCL", texts: []string{"server = = 1"}, want: []string{"a.hcl:1:10: not valid HCL"}},
		{name: "HCL cut off", texts: []string{"node_name = \"a\"\nbind_addr = # to do\n"}, want: []string{"a.hcl:2:11: not valid HCL: the file ends after =; give the key a value"}},
		{name: "not an object", in: Input{Sources: []Source{{"x.json", "", []byte("[1]")}}}, want: []string{"x.json:1:1: a configuration is an object, this is a list"}},
		{name: "unknown extension", in: Input{Sources: []Source{{"x.yaml", "", []byte("a: 1")}}}, want: []string{"file x.yaml has unknown extension; must be .hcl or .json, or config format must be set"}},
		{name: "unknown key", texts: []string{"{\n\"datacentre\":\"x\"}"}, want: []string{`a.json:2:1: datacentre: invalid config key; did you mean "datacenter"?`}},
		{name: "unknown nested key", texts: []string{`{"dns_config":{"foo":1}}`}, want: []string{"dns_config.foo: invalid config key"}},
		{name: "unknown nested key of a check", texts: []string{`{"services":[{"name":"x","check":{"intervall":"1s"}}]}`}, want: []string{`services[0].check.intervall: invalid config key; did you mean "services[0].check.interval"?`}},
		{name: "upper case", texts: []string{`{"DATA_DIR":"/x"}`}, want: []string{`DATA_DIR: invalid config key; did you mean "data_dir"?`}},
		{name: "flag name as a key", texts: []string{`{"node-name":"x"}`}, want: []string{`did you mean "node_name"?`}},
		{name: "key in the wrong place", texts: []string{`{"raft_multiplier":1}`}, want: []string{`did you mean "performance.raft_multiplier"?`}},
		{name: "unknown HCL key", texts: []string{"\nprots { http = 1 }"}, want: []string{`a.hcl:2:1: prots: invalid config key; did you mean "ports"?`}},
		{name: "bool as a string", texts: []string{"{\n \"server\": \"yes\"}"}, want: []string{`a.json:2:12: server: expected true or false, got the string "yes"; write true, without quotes`}},
		{name: "port as a string", texts: []string{`{"ports":{"http":"8500"}}`}, want: []string{`ports.http: expected a number without fraction, got the string "8500"; write the number without quotes`}},
		{name: "port with a fraction", texts: []string{`{"ports":{"http":85.5}}`}, want: []string{"expected a number without fraction, got 85.5"}},
		{name: "list as a string", texts: []string{`{"retry_join":"10.0.0.1"}`}, want: []string{`retry_join: expected a list of strings, got the string "10.0.0.1"; write a list: ["10.0.0.1"]`}},
		{name: "number in a list", texts: []string{`{"retry_join":["a",1]}`}, want: []string{"retry_join[1]: expected a string, got the number 1"}},
		{name: "duration as a number", texts: []string{`{"retry_interval":30}`}, want: []string{`got the number 30; write it with its unit, such as "30s"`}},
		{name: "duration that is none", texts: []string{`{"retry_interval":"abc"}`}, want: []string{`retry_interval: invalid duration: "abc"`}},
		{name: "negative duration", texts: []string{`{"retry_interval":"-1s"}`}, want: []string{"is negative"}},
		{name: "object as a string", texts: []string{`{"ports":"x"}`}, want: []string{"ports: expected an object"}},
		{name: "number in a map", texts: []string{`{"node_meta":{"a":1}}`}, want: []string{"node_meta.a: expected a string, got the number 1; put it in quotes"}},
		{name: "type of a key of a later capability", texts: []string{`{"peering":{"enabled":"x"}}`}, want: []string{"peering.enabled: expected true or false"}},
		{name: "services as an object", texts: []string{`{"services":{"name":"x"}}`}, want: []string{"services: expected a list of objects, got an object"}},
		{name: "secret of the wrong type is not shown", texts: []string{`{"encrypt":12345678}`}, want: []string{"encrypt: expected a string, got something else"}},
		{name: "key twice", texts: []string{"{\"server\":true,\n\"server\":false}"}, want: []string{"a.json:2:1: server: set twice in one file, first at a.json:1:2"}},
		{name: "key twice in HCL", texts: []string{"server = true\nserver = false"}, want: []string{"a.hcl:2:1: server: set twice in one file, first at a.hcl:1:1"}},
		{name: "block twice in HCL", texts: []string{"ports { http = 1 }\nports { dns = 1 }"}, want: []string{"a.hcl:2:1: ports: given 2 times in one file, first at a.hcl:1:1"}},
		{name: "map key twice", texts: []string{`{"node_meta":{"a":"1","a":"2"}}`}, want: []string{"node_meta.a: set twice"}},
		{name: "too deep", texts: []string{`{"audit":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`}, want: []string{"nested more than 64 levels deep"}},
		{name: "an unknown CA provider", texts: []string{`{"connect":{"ca_provider":"x"}}`}, want: []string{"connect.ca_provider: unknown CA provider: x"}},
		{name: "a CA provider of others", texts: []string{`{"connect":{"ca_provider":"vault"}}`}, want: []string{`"vault" is not supported`}},
		{name: "leaf certificates too short", texts: []string{`{"connect":{"ca_config":{"leaf_cert_ttl":"59m"}}}`}, want: []string{"a leaf certificate cannot hold for 59m0s; use 1h to 8760h"}},
		{name: "intermediates too short", texts: []string{`{"connect":{"ca_config":{"leaf_cert_ttl":"4000h"}}}`}, want: []string{"intermediate_cert_ttl: it must be at least three times"}},
		{name: "roots too short", texts: []string{`{"connect":{"ca_config":{"root_cert_ttl":"2h"}}}`}, want: []string{"root_cert_ttl: it must be at least intermediate_cert_ttl"}},
		{name: "a key of no type", texts: []string{`{"connect":{"ca_config":{"private_key_type":"dsa"}}}`}, want: []string{`there is no key type "dsa"`}},
		{name: "a key of no size", texts: []string{`{"connect":{"ca_config":{"private_key_type":"rsa","private_key_bits":256}}}`}, want: []string{"a key of type rsa has one of [2048 4096] bits, not 256"}},
		{name: "a root without its key", texts: []string{`{"connect":{"ca_config":{"root_cert":"x"}}}`}, want: []string{"root_cert: it is given without private_key"}},
		{name: "several at once, none invented", texts: []string{`{"sever":true,"bootstrap_expect":3,"performance":{"raft_multiplier":11},"ports":{"http":"x"}}`},
			want: []string{`did you mean "server"?`, "ports.http: expected", "11 cannot be used. Must be between 1 and 10"}},
		{name: "nothing invented after a broken file", texts: []string{`{"server":`, `{"bootstrap_expect":3}`}, want: []string{"ends in the middle"}},

		{name: "no data_dir", in: Input{Sources: []Source{jsonSource("x.json", `{"data_dir":""}`)}}, want: []string{"x.json:1:13: data_dir: data_dir cannot be empty; set data_dir (or -data-dir)"}},
		{name: "bootstrap_expect on a client", texts: []string{`{"bootstrap_expect":3}`}, want: []string{"a.json:1:21: bootstrap_expect: 'bootstrap_expect > 0' requires 'server = true'"}},
		{name: "bootstrap_expect 1 on a client", texts: []string{`{"bootstrap_expect":1}`}, want: []string{"requires 'server = true'"}},
		{name: "bootstrap_expect in dev", in: Input{Dev: true}, texts: []string{`{"bootstrap_expect":3}`}, want: []string{"'bootstrap_expect > 0' not allowed in dev mode"}},
		{name: "bootstrap_expect 1 in dev", in: Input{Dev: true}, texts: []string{`{"bootstrap_expect":1}`}, want: []string{"not allowed in dev mode"}},
		{name: "bootstrap_expect below zero", texts: []string{`{"server":true,"bootstrap_expect":-1}`}, want: []string{"bootstrap_expect cannot be -1. Must be greater than or equal to zero"}},
		{name: "bootstrap on a client", texts: []string{`{"bootstrap":true}`}, want: []string{"'bootstrap = true' requires 'server = true'"}},
		{name: "bootstrap and bootstrap_expect", texts: []string{`{"server":true,"bootstrap":true,"bootstrap_expect":3}`}, want: []string{"mutually exclusive"}},
		{name: "datacenter with a space", texts: []string{`{"datacenter":"dc one"}`}, want: []string{`datacenter can only contain lowercase alphanumeric, - or _ characters. received: "dc one"`}},
		{name: "encrypt not base64", texts: []string{`{"encrypt":"%%%"}`}, want: []string{"encrypt: the gossip key is not base64; make a key with: ctl keygen"}},
		{name: "encrypt of the wrong length", texts: []string{`{"encrypt":"YWJj"}`}, want: []string{"Invalid key: key size must be 16, 24 or 32 bytes, this one has 3"}},
		{name: "raft_protocol", texts: []string{`{"raft_protocol":2}`}, want: []string{"raft_protocol: 2 is not supported; only 3 is"}},
		{name: "raft_multiplier", texts: []string{`{"performance":{"raft_multiplier":0}}`}, want: []string{"performance.raft_multiplier: 0 cannot be used. Must be between 1 and 10"}},
		{name: "log level", texts: []string{`{"log_level":"bogus"}`}, want: []string{"Invalid log level: bogus. Valid log levels are:"}},
		{name: "port too large", texts: []string{`{"ports":{"http":70000}}`}, want: []string{"ports.http: invalid port: 70000"}},
		{name: "server port off", texts: []string{`{"ports":{"server":-1}}`}, want: []string{"ports.server: invalid port: -1. Must be > 0"}},
		{name: "node id", texts: []string{`{"node_id":"x"}`}, want: []string{`"x" is not a UUID`}},
		{name: "node name empty", texts: []string{`{"node_name":""}`}, want: []string{"node_name cannot be empty"}},
		{name: "node meta reserved", texts: []string{`{"node_meta":{"consul-x":"1"}}`}, want: []string{"reserved prefix"}},
		{name: "cidr", texts: []string{`{"serf_lan_allowed_cidrs":["10.0.0.0"]}`}, want: []string{`"10.0.0.0" is not a network`}},
		{name: "advertise_reconnect_timeout on a server", texts: []string{`{"server":true,"advertise_reconnect_timeout":"1h"}`}, want: []string{"can only be used on a client"}},
		{name: "flag of the wrong type", in: Input{Flags: []FlagValue{{"node-meta", "node_meta", []string{"x"}}}}, want: []string{"flag -node-meta: node_meta: expected key:value, got \"x\""}},

		{name: "door: ACLs that deny", texts: []string{`{"acl":{"enabled":true}}`, `{"acl":{"default_policy":"deny"}}`}, want: []string{"b.json:1:26: acl.default_policy: asks for ACLs that deny by default"}},
		{name: "door: old ACL keys", texts: []string{`{"acl_datacenter":"dc1","acl_default_policy":"deny"}`}, want: []string{"asks for ACLs that deny by default"}},
		{name: "TLS version", texts: []string{`{"tls":{"defaults":{"tls_min_version":"SSLv3"}}}`}, want: []string{`tls.defaults.tls_min_version: there is no TLS version "SSLv3"`}},
		{name: "TLS version of one block", texts: []string{`{"tls":{"https":{"tls_min_version":"tls12"}}}`}, want: []string{`tls.https.tls_min_version: there is no TLS version "tls12"`}},
		{name: "cipher suite", texts: []string{`{"tls_cipher_suites":"TLS_NONE"}`}, want: []string{`tls.defaults.tls_cipher_suites: there is no cipher suite "TLS_NONE"`}},
		{name: "cipher suite of TLS 1.3", texts: []string{`{"tls":{"internal_rpc":{"tls_cipher_suites":"TLS_AES_128_GCM_SHA256"}}}`}, want: []string{"which cannot be chosen"}},
		{name: "cipher suite beside TLS 1.3", texts: []string{`{"tls":{"defaults":{"tls_cipher_suites":"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256","tls_min_version":"TLSv1_3"}}}`}, want: []string{"no cipher suite can be chosen for TLS 1.3"}},
		{name: "door: auto_config", texts: []string{`{"auto_config":{"enabled":true}}`}, want: []string{"automatic configuration with certificates"}},
		{name: "auto_encrypt.tls on a server", texts: []string{`{"server":true,"auto_encrypt":{"tls":true}}`}, want: []string{"auto_encrypt.tls: only client agents get"}},
		{name: "auto_encrypt.allow_tls on a client", texts: []string{`{"auto_encrypt":{"allow_tls":true}}`}, want: []string{"auto_encrypt.allow_tls: only servers give"}},
		{name: "auto_encrypt without an authority", texts: []string{`{"server":true,"connect":{"enabled":false},"auto_encrypt":{"allow_tls":true}}`}, want: []string{"no certificate authority without connect"}},
		{name: "auto_encrypt address", texts: []string{`{"auto_encrypt":{"tls":true,"ip_san":["x"]}}`}, want: []string{`auto_encrypt.ip_san: "x" is not an IP address`}},
		{name: "auto_encrypt wildcard", texts: []string{`{"auto_encrypt":{"tls":true,"dns_san":["a.example","*.example"]}}`}, want: []string{`auto_encrypt.dns_san: "*.example" is no host name; wildcards are not allowed`}},
		{name: "auto_encrypt name of a server", texts: []string{`{"auto_encrypt":{"tls":true,"dns_san":["server.dc1.consul"]}}`}, want: []string{`auto_encrypt.dns_san: the name "server.dc1.consul" is a server's`}},
		{name: "door: segment", texts: []string{`{"segment":"x"}`}, want: []string{"network segments are a Consul Enterprise feature"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, warnings, err := load(t, c.in, c.texts...)
			var p Problems
			if !errors.As(err, &p) {
				t.Fatalf("got %v, want Problems", err)
			}
			if got != nil {
				t.Error("a configuration beside an error")
			}
			for _, w := range warnings {
				if strings.HasPrefix(c.name, "door") && w.Key != "ports.https" && strings.Contains(w.String(), "no effect") {
					t.Errorf("refused and yet said to have no effect: %v", w)
				}
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in\n%v", w, err)
				}
			}
			if len(p) != len(c.want) {
				t.Errorf("%d problems, want %d:\n%v", len(p), len(c.want), err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		name  string
		in    Input
		texts []string
		want  []string // one warning each
	}{
		{name: "nothing to say", texts: []string{`{"node_name":"a","retry_join":["10.0.0.1"]}`}},
		{name: "later object once a file", texts: []string{"{\n\"cache\":{\"entry_fetch_rate\":1.5,\"entry_fetch_max_burst\":3}}", `{"cache":{"entry_fetch_rate":1.5}}`},
			want: []string{"a.json:2:1: cache: accepted (entry_fetch_rate, entry_fetch_max_burst), but this version of ctl does not have a choice of how the agent cache is kept current yet", "b.json:1:2: cache: accepted (entry_fetch_rate)"}},
		{name: "services", texts: []string{`{"services":[{"name":"x","port":1,"check":{"http":"http://x","interval":"1s"}}],"service":{"name":"y","connect":{"sidecar_service":{"port":1}}}}`},
			want: []string{"service.connect.sidecar_service: accepted"}},
		{name: "a sidecar that says nothing", texts: []string{`{"service":{"name":"y","connect":{"sidecar_service":{}}}}`}, want: []string{"service.connect.sidecar_service: accepted"}},
		{name: "HCL blocks", texts: []string{"service { name = \"x\"\n tags = [\"a\"]\n check { ttl = \"1s\" } }\nui_config { enabled = true }"}, want: []string{"a.hcl:4:13: ui_config.enabled: accepted"}},
		{name: "switched off asks for nothing", texts: []string{`{"acl":{"enabled":false,"default_policy":"deny"},"connect":{"enabled":false},"peering":{"enabled":false},"verify_incoming":false,"ports":{"grpc":-1,"https":0},"enable_script_checks":false}`},
			want: []string{"The 'verify_incoming' field is deprecated. Use the 'tls.defaults.verify_incoming' field instead."}},
		{name: "ACLs that allow", texts: []string{`{"acl":{"enabled":true}}`}, want: []string{"acl: accepted (enabled)"}},
		{name: "the mesh", texts: []string{`{"connect":{"enabled":true,"enable_mesh_gateway_wan_federation":true,"ca_config":{"LeafCertTTL":"2h"}}}`},
			want: []string{"connect.enable_mesh_gateway_wan_federation: accepted, but this version of ctl does not have the service mesh yet", "LeafCertTTL"}},
		{name: "ui says it once", texts: []string{`{"ui":true}`}, want: []string{"a.json:1:2: ui: The 'ui' field is deprecated. Use the 'ui_config.enabled' field instead. This version of ctl does not have the web UI yet"}},
		{name: "ui flag", in: Input{Flags: []FlagValue{{"ui", "ui_config.enabled", []string{"true"}}}}, want: []string{"flag -ui: ui_config.enabled: accepted"}},
		{name: "script checks flag", in: Input{Flags: []FlagValue{{"enable-script-checks", "enable_script_checks", []string{"true"}}}}, want: []string{"flag -enable-script-checks: enable_script_checks: anybody who reaches the HTTP API"}},
		{name: "enterprise", texts: []string{`{"read_replica":true,"audit":{"enabled":true},"autopilot":{"redundancy_zone_tag":"z"}}`},
			want: []string{`"read_replica" is a Consul Enterprise configuration and will have no effect`, `"audit" is a`, `"redundancy_zone_tag" is a`}},
		{name: "deprecated inside a later block", texts: []string{`{"acl":{"tokens":{"master":"x"}}}`}, want: []string{"acl: accepted (tokens)", "The 'acl.tokens.master' field is deprecated"}},
		{name: "circonus", texts: []string{`{"telemetry":{"circonus_api_token":"x"}}`}, want: []string{"telemetry.circonus_api_token: accepted, but it is Circonus, which ctl does not have"}},
		{name: "overridden door", texts: []string{`{"auto_config":{"enabled":true}}`, `{"auto_config":{"enabled":false}}`}, want: []string{"auto_config: accepted"}},
		{name: "auto_encrypt", texts: []string{`{"auto_encrypt":{"tls":true}}`}},
		{name: "auto_encrypt that nobody needs", texts: []string{`{"server":true,"auto_encrypt":{"allow_tls":true}}`}, want: []string{"verify_incoming is off"}},
		{name: "TLS", texts: []string{`{"server":true,"tls":{"defaults":{"ca_file":"a","cert_file":"b","key_file":"c","verify_incoming":true},"internal_rpc":{"verify_server_hostname":true}}}`}},
		{name: "TLS without roles", texts: []string{`{"server":true,"tls":{"internal_rpc":{"verify_incoming":true}}}`}, want: []string{"every agent with a certificate can act as a server"}},
		{name: "TLS for gRPC", texts: []string{`{"tls":{"grpc":{"cert_file":"b"}}}`}, want: []string{"tls.grpc: accepted (cert_file), but this version of ctl does not have gRPC for proxies yet"}},
		{name: "server_name", texts: []string{`{"server_name":"x"}`}, want: []string{"server_name: accepted, but it is of no use here"}},
		{name: "bootstrap", texts: []string{`{"server":true,"bootstrap":true}`}, want: []string{"Bootstrap mode enabled"}},
		{name: "bootstrap_expect 3", texts: []string{`{"server":true,"bootstrap_expect":3}`}, want: []string{"bootstrap_expect > 0: expecting 3 servers"}},
		{name: "bootstrap_expect even", texts: []string{`{"server":true,"bootstrap_expect":4}`}, want: []string{"even number of servers", "expecting 4 servers"}},
		{name: "underscore in the datacenter", texts: []string{`{"datacenter":"a_b"}`}, want: []string{"is fine for everything but names in certificates"}},
		{name: "node name", texts: []string{`{"node_name":"a.b"}`}, want: []string{"will not be discoverable via DNS due to invalid characters"}},
		{name: "cloud join", texts: []string{`{"retry_join":["provider=aws tag_key=x"]}`}, want: []string{"cloud auto-join (provider=…) is not built in"}},
		{name: "-dev alone is quiet", in: Input{Dev: true}},
		{name: "grpc port", texts: []string{`{"ports":{"grpc":8502}}`}, want: []string{"ports.grpc: accepted, but this version of ctl does not have gRPC for proxies yet"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, warnings, err := load(t, c.in, c.texts...)
			if err != nil {
				t.Fatal(err)
			}
			var texts []string
			for _, w := range warnings {
				texts = append(texts, w.String())
			}
			for _, w := range c.want {
				if !slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, w) }) {
					t.Errorf("no warning says %q", w)
				}
			}
			if len(texts) != len(c.want) || t.Failed() {
				t.Errorf("got %d warnings, want %d:\n%s", len(texts), len(c.want), strings.Join(texts, "\n"))
			}
		})
	}
}

func TestOrigin(t *testing.T) {
	c, _, err := load(t, Input{Flags: []FlagValue{{"bind", "bind_addr", []string{"127.0.0.1"}}}}, "{\n \"node_name\": \"x\"}")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"node_name": "a.json:2:15", "bind_addr": "flag -bind", "domain": ""} {
		if got := c.Origin(path).String(); got != want {
			t.Errorf("origin of %s is %q, want %q", path, got, want)
		}
	}
}

// FuzzLoad feeds arbitrary texts: whatever they are, there is a configuration
// or an error, never both, and no panic.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		base, `{`, `{"ports":{"http":1},"services":[{"name":"x"}]}`, `{"server":true,"server":1}`, "server = true\nports { http = 1 }",
		"a = <<X\nb\nX\n", `"a" "b" {}`, "{\"a\":\"\xff\"}", `{"retry_join":[null]}`, "a = [1,{b=2}]", "x = -0x", `{"node_meta":[{"a":"b"}]}`,
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, isJSON bool) {
		format := "hcl"
		if isJSON {
			format = "json"
		}
		c, _, err := Load(Input{Dev: true, Sources: []Source{{Name: "fuzz", Format: format, Data: data}}})
		if (c == nil) == (err == nil) {
			t.Fatalf("configuration %v and error %v", c, err)
		}
		if c != nil {
			c.Redacted()
		}
	})
}
