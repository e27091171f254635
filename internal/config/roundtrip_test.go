package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// roundTrips has a value other than the default for every typed key, as JSON.
func roundTrips() map[string]string {
	return map[string]string{
		"server": `true`, "bootstrap": `true`, "bootstrap_expect": `5`, "datacenter": `"dc7"`, "primary_datacenter": `"dc8"`,
		"data_dir": `"/var/x"`, "node_name": `"n7"`, "node_id": `"d2b8d4bb-0f7c-4a6e-8f0e-3a3e8a0c1234"`, "disable_host_node_id": `false`,
		"node_meta": `{"A":"b c"}`, "bind_addr": `"10.0.0.1"`, "client_addr": `"127.0.0.1 ::1"`, "advertise_addr": `"10.0.0.2"`,
		"advertise_addr_ipv4": `"10.0.0.3"`, "advertise_addr_ipv6": `"fd00::3"`, "advertise_addr_wan": `"10.0.0.4"`,
		"advertise_addr_wan_ipv4": `"10.0.0.5"`, "advertise_addr_wan_ipv6": `"fd00::5"`, "advertise_reconnect_timeout": `"9h0m0s"`,
		"serf_lan": `"10.0.0.6"`, "serf_wan": `"10.0.0.7"`, "serf_lan_allowed_cidrs": `["10.0.0.0/8"]`, "serf_wan_allowed_cidrs": `["11.0.0.0/8"]`,
		"tagged_addresses": `{"vpn":"10.8.0.1"}`, "retry_join": `["a","b:8301"]`, "retry_interval": `"7s"`, "retry_max": `3`,
		"retry_join_wan": `["c"]`, "retry_interval_wan": `"8s"`, "retry_max_wan": `4`, "rejoin_after_leave": `true`, "leave_on_terminate": `true`,
		"skip_leave_on_interrupt": `true`, "reconnect_timeout": `"10h0m0s"`, "reconnect_timeout_wan": `"11h0m0s"`, "server_rejoin_age_max": `"7h0m0s"`,
		"encrypt": `"AAECAwQFBgcICQoLDA0ODw=="`, "encrypt_verify_incoming": `false`, "encrypt_verify_outgoing": `false`, "disable_keyring_file": `true`,
		"disable_coordinates": `true`, "sync_coordinate_rate_target": `32.5`, "sync_coordinate_interval_min": `"2s"`, "domain": `"example."`, "alt_domain": `"other."`, "recursors": `["8.8.8.8","1.1.1.1:53"]`, "log_level": `"TRACE"`, "log_json": `true`, "log_file": `"/var/log/"`,
		"log_rotate_bytes": `1000`, "log_rotate_duration": `"1h0m0s"`, "log_rotate_max_files": `-1`, "enable_syslog": `true`, "syslog_facility": `"DAEMON"`,
		"pid_file": `"/run/x"`, "enable_debug": `true`, "disable_remote_exec": `false`, "disable_update_check": `true`, "disable_anonymous_signature": `true`,
		"disable_http_unprintable_char_filter": `true`, "default_query_time": `"1m0s"`, "max_query_time": `"2m0s"`, "discovery_max_stale": `"5s"`, "protocol": `3`, "raft_protocol": `3`,
		"raft_snapshot_threshold": `99`, "raft_snapshot_interval": `"9s"`, "raft_trailing_logs": `98`, "raft_prevote_disabled": `true`,
		"services": `[{"id":"web1","name":"web"}]`, "checks": `[{"id":"c","name":"disk","ttl":"30s"}]`, "watches": `[{"handler":"cat","key":"k","type":"key"}]`,
		"enable_script_checks": `true`, "enable_local_script_checks": `true`, "check_update_interval": `"1m0s"`, "check_output_max_size": `99`, "discard_check_output": `true`, "enable_agent_tls_for_checks": `true`,
		"ports.dns": `1`, "ports.http": `2`, "ports.https": `3`, "ports.grpc": `4`, "ports.grpc_tls": `5`, "ports.serf_lan": `6`, "ports.serf_wan": `7`, "ports.server": `8`,
		"addresses.dns": `"127.0.0.1"`, "addresses.http": `"unix:///run/x"`, "addresses.https": `"127.0.0.3"`, "addresses.grpc": `"127.0.0.4"`, "addresses.grpc_tls": `"127.0.0.5"`,
		"dns_config.allow_stale": `false`, "dns_config.max_stale": `"5s"`, "dns_config.node_ttl": `"6s"`, "dns_config.service_ttl": `{"a*":"5s"}`,
		"dns_config.enable_truncate": `true`, "dns_config.only_passing": `true`, "dns_config.recursor_strategy": `"random"`, "dns_config.recursor_timeout": `"3s"`,
		"dns_config.disable_compression": `true`, "dns_config.udp_answer_limit": `5`, "dns_config.a_record_limit": `4`, "dns_config.enable_additional_node_meta_txt": `false`,
		"dns_config.soa.refresh": `1`, "dns_config.soa.retry": `2`, "dns_config.soa.expire": `3`, "dns_config.soa.min_ttl": `4`,
		"dns_config.use_cache": `true`, "dns_config.cache_max_age": `"7s"`,
		"unix_sockets.user": `"u"`, "unix_sockets.group": `"g"`, "unix_sockets.mode": `"0770"`,
		"http_config.block_endpoints": `["/v1/kv"]`, "http_config.allow_write_http_from": `["127.0.0.0/8"]`, "http_config.response_headers": `{"X-A":"1"}`,
		"http_config.use_cache": `false`, "http_config.max_header_bytes": `4096`,
		"performance.leave_drain_time": `"1s"`, "performance.raft_multiplier": `5`, "performance.rpc_hold_timeout": `"2s"`, "performance.grpc_keepalive_interval": `"3s"`,
		"performance.grpc_keepalive_timeout": `"4s"`, "performance.enable_xds_load_balancing": `false`,
		"limits.http_max_conns_per_client": `1`, "limits.https_handshake_timeout": `"1s"`, "limits.rpc_handshake_timeout": `"2s"`, "limits.rpc_client_timeout": `"3s"`,
		"limits.rpc_rate": `1.5`, "limits.rpc_max_burst": `2`, "limits.rpc_max_conns_per_client": `3`, "limits.kv_max_value_size": `4`, "limits.txn_max_req_len": `5`,
		"limits.request_limits.mode": `"enforcing"`, "limits.request_limits.read_rate": `2.5`, "limits.request_limits.write_rate": `3.5`,
		"auto_encrypt.tls": `true`, "auto_encrypt.allow_tls": `true`, "auto_encrypt.dns_san": `["a.example"]`, "auto_encrypt.ip_san": `["10.0.0.9"]`,
		"tls.defaults.ca_file": `"/ca.pem"`, "tls.defaults.ca_path": `"/ca"`, "tls.defaults.cert_file": `"/c.pem"`, "tls.defaults.key_file": `"/k.pem"`,
		"tls.defaults.tls_min_version": `"TLSv1_3"`, "tls.defaults.tls_cipher_suites": `"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"`, "tls.defaults.verify_incoming": `true`, "tls.defaults.verify_outgoing": `true`, "tls.defaults.verify_server_hostname": `true`,
		"tls.internal_rpc.ca_file": `"/ca.pem"`, "tls.internal_rpc.ca_path": `"/ca"`, "tls.internal_rpc.cert_file": `"/c.pem"`, "tls.internal_rpc.key_file": `"/k.pem"`,
		"tls.internal_rpc.tls_min_version": `"TLSv1_3"`, "tls.internal_rpc.tls_cipher_suites": `"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"`, "tls.internal_rpc.verify_incoming": `true`, "tls.internal_rpc.verify_outgoing": `true`, "tls.internal_rpc.verify_server_hostname": `true`,
		"tls.https.ca_file": `"/ca.pem"`, "tls.https.ca_path": `"/ca"`, "tls.https.cert_file": `"/c.pem"`, "tls.https.key_file": `"/k.pem"`,
		"tls.https.tls_min_version": `"TLSv1_3"`, "tls.https.tls_cipher_suites": `"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"`, "tls.https.verify_incoming": `true`, "tls.https.verify_outgoing": `true`,
		"gossip_lan.gossip_nodes": `1`, "gossip_lan.gossip_interval": `"1ms"`, "gossip_lan.probe_interval": `"2ms"`, "gossip_lan.probe_timeout": `"3ms"`,
		"gossip_lan.suspicion_mult": `5`, "gossip_lan.retransmit_mult": `6`, "gossip_wan.gossip_nodes": `1`, "gossip_wan.gossip_interval": `"1ms"`,
		"gossip_wan.probe_interval": `"2ms"`, "gossip_wan.probe_timeout": `"4ms"`, "gossip_wan.suspicion_mult": `5`, "gossip_wan.retransmit_mult": `6`,
		"raft_logstore.backend": `"wal"`, "raft_logstore.disable_log_cache": `true`, "raft_logstore.verification.enabled": `true`,
		"raft_logstore.verification.interval": `"1m0s"`, "raft_logstore.wal.segment_size_mb": `1`,
		"autopilot.cleanup_dead_servers": `false`, "autopilot.last_contact_threshold": `"1s"`, "autopilot.max_trailing_logs": `1`, "autopilot.min_quorum": `3`,
		"autopilot.server_stabilization_time": `"2s"`, "connect.enabled": `false`, "connect.ca_provider": `""`,
		"connect.ca_config.leaf_cert_ttl": `"2h0m0s"`, "connect.ca_config.intermediate_cert_ttl": `"9000h0m0s"`, "connect.ca_config.root_cert_ttl": `"9001h0m0s"`,
		"connect.ca_config.private_key_type": `"rsa"`, "connect.ca_config.private_key_bits": `4096`, "connect.ca_config.csr_max_per_second": `1.5`,
		"connect.ca_config.csr_max_concurrent": `2`, "connect.ca_config.root_cert": `"pem"`, "connect.ca_config.private_key": `"key"`,
		"ui_config.enabled": `true`, "ui_config.dir": `"/ui"`, "ui_config.content_path": `"/x/"`,
		"telemetry.metrics_prefix": `"ctl"`, "telemetry.disable_hostname": `true`, "telemetry.prefix_filter": `["+a"]`, "telemetry.filter_default": `false`,
		"telemetry.prometheus_retention_time": `"1m0s"`, "telemetry.disable_per_tenancy_usage_metrics": `true`,
	}
}

// TestRoundTrip sets every typed key by JSON, HCL and, where there is one, its
// flag, and reads the same value back.
func TestRoundTrip(t *testing.T) {
	cases := roundTrips()
	for _, k := range keys().all {
		if k.field == nil || k.Kind == Object {
			continue
		}
		text, ok := cases[k.Path]
		if !ok {
			t.Errorf("key %s has no round-trip case: add one to roundTrips", k.Path)
			continue
		}
		delete(cases, k.Path)
		t.Run(k.Path, func(t *testing.T) {
			settings := map[string][]setting{
				"json": settingsOf(t, Source{Name: "a.json", Data: []byte(nest(k.Path, text, true))}),
				"hcl":  settingsOf(t, Source{Name: "a.hcl", Data: []byte(nest(k.Path, text, false))}),
			}
			if k.Flag != "" {
				settings["flag"] = flagSettings(t, k, text)
			}
			for form, list := range settings {
				c := &Config{origins: map[string]Origin{}}
				c.merge(list)
				if got := asJSON(t, c.get(k)); got != text {
					t.Errorf("%s: got %s, want %s", form, got, text)
				}
				if k.Path != "raft_protocol" && cmp.Equal(c.get(k), Default().get(k)) {
					t.Errorf("the case of %s is the default: it proves nothing", k.Path)
				}
			}
		})
	}
	for path := range cases {
		t.Errorf("round-trip case for %s, which is no key", path)
	}
}

func settingsOf(t *testing.T, s Source) []setting {
	t.Helper()
	out := &findings{}
	c := checker{out: out}
	c.source(s)
	if err := out.err(); err != nil {
		t.Fatalf("%s: %v", s.Data, err)
	}
	return c.settings
}

// flagSettings gives the value on a command line.
func flagSettings(t *testing.T, k *Key, text string) []setting {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	var args []string
	switch d := v.(type) {
	case []any:
		for _, e := range d {
			args = append(args, fmt.Sprintf("--%s=%v", k.Flag, e))
		}
	case map[string]any:
		for key, e := range d {
			args = append(args, fmt.Sprintf("--%s=%s:%v", k.Flag, key, e))
		}
	default:
		args = []string{fmt.Sprintf("--%s=%v", k.Flag, v)}
	}
	fs := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	f := BindFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	out := &findings{}
	c := checker{out: out}
	c.flags(f.Values(), true)
	c.flags(f.Values(), false)
	if err := out.err(); err != nil {
		t.Fatal(err)
	}
	return c.settings
}

// nest writes a key with its value as a file.
func nest(path, text string, isJSON bool) string {
	parts := strings.Split(path, ".")
	if !isJSON {
		text = strings.ReplaceAll(text, `":"`, `"="`)
		return strings.Join(parts[:len(parts)-1], " {\n") + map[bool]string{true: " {\n"}[len(parts) > 1] + parts[len(parts)-1] + " = " + text + strings.Repeat("\n}", len(parts)-1)
	}
	for i := range slices.Backward(parts) {
		text = fmt.Sprintf("{%q:%s}", parts[i], text)
	}
	return text
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	if d, ok := v.(time.Duration); ok {
		v = d.String()
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEveryKeyIsDescribed(t *testing.T) {
	all := Keys()
	for _, k := range all {
		if k.Comment == "" {
			t.Errorf("key %s has no comment: write one above its field (then go generate) or in its row", k.Path)
		}
		if k.Status == Later && k.Capability == "" {
			t.Errorf("key %s waits for nothing", k.Path)
		}
		if k.Status == Deprecated && k.Replaced != "" && keys().byPath[k.Replaced] == nil {
			t.Errorf("old key %s leads to %s, which does not exist", k.Path, k.Replaced)
		}
		if k.field == nil && k.Kind != Object && k.Kind != Objects && k.Default != "" && k.Status == Later {
			defaultValue(k) // panics if the text is none of the kind
		}
	}
	if len(all) < 300 {
		t.Errorf("only %d keys", len(all))
	}
	debug := map[string]string{}
	for _, k := range all {
		if other := debug[k.debug]; k.field != nil && k.Kind != Object && other != "" {
			t.Errorf("keys %s and %s are both %s in DebugConfig", other, k.Path, k.debug)
		}
		debug[k.debug] = k.Path
	}
}

// TestFlagNames pins the command line: scripts depend on every name.
func TestFlagNames(t *testing.T) {
	fs := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	BindFlags(fs)
	var got []string
	fs.VisitAll(func(f *pflag.Flag) { got = append(got, f.Name) })
	want := strings.Fields(`advertise advertise-wan allow-write-http-from alt-domain auto-reload-config bind bootstrap bootstrap-expect
		check_output_max_size client config-dir config-file config-format data-dir datacenter default-query-time dev disable-host-node-id
		disable-keyring-file dns-port domain enable-local-script-checks enable-script-checks encrypt grpc-port grpc-tls-port hcl http-port
		https-port join join-wan log-file log-json log-level log-rotate-bytes log-rotate-duration log-rotate-max-files max-query-time node
		node-id node-meta non-voting-server partition pid-file primary-gateway protocol raft-protocol read-replica recursor rejoin
		retry-interval retry-interval-wan retry-join retry-join-wan retry-max retry-max-wan segment serf-lan-allowed-cidrs serf-lan-bind
		serf-lan-port serf-wan-allowed-cidrs serf-wan-bind serf-wan-port server server-port syslog ui ui-content-path ui-dir`)
	sort.Strings(got)
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("got - want +:\n%s", d)
	}
}
