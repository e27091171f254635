package config

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/ctl-sh/ctl/internal/lazyregexp"
)

var (
	datacenterName = lazyregexp.New(`^[a-z0-9_-]+$`)
	dnsLabel       = lazyregexp.New(`^[A-Za-z0-9-]+$`)
	metaKey        = lazyregexp.New(`^[A-Za-z0-9_-]+$`)
	uiPath         = lazyregexp.New(`^[A-Za-z0-9/_-]+$`)
)

// Limits on node_meta, as the catalog has them.
const (
	maxMetaPairs    = 64
	maxMetaKeyLen   = 128
	maxMetaValueLen = 512
)

// validator reports rules that are broken. A rule about a setting whose value
// could not be read stays silent.
type validator struct {
	c   *Config
	out *findings
}

// fail reports a broken rule about the keys, at the place of the first one.
func (v validator) fail(keys []string, do, what string, args ...any) {
	if v.out.unclear(keys...) {
		return
	}
	v.out.problems = append(v.out.problems, Problem{Where: v.c.Origin(keys[0]), Key: keys[0], What: fmt.Sprintf(what, args...), Do: do})
}

func (v validator) warn(key, text string, args ...any) {
	v.out.warn(v.c.Origin(key), key, text, args...)
}

// validate checks everything that needs no look at the machine.
func (c *Config) validate(out *findings) {
	v := validator{c, out}
	v.role()
	v.identity()
	v.meta()
	v.encryption()
	v.logging()
	v.numbers()
	v.networks()
	v.scripts()
	v.ports()
	v.choices()
	v.dns()
	v.connect()
	v.tls()
	v.autoEncrypt()
}

// role checks server, bootstrap and what they need.
func (v validator) role() {
	c := v.c
	expect := []string{"bootstrap_expect", "server", "bootstrap"}
	switch {
	case c.BootstrapExpect < 0:
		v.fail(expect[:1], "give the number of servers, or remove it", "bootstrap_expect cannot be %d. Must be greater than or equal to zero", c.BootstrapExpect)
	case c.DevMode && (c.BootstrapExpect > 0 || v.c.isSet("bootstrap_expect") && c.Bootstrap):
		v.fail(expect[:1], "remove one of them: -dev is always a cluster of one", "'bootstrap_expect > 0' not allowed in dev mode")
	case c.BootstrapExpect > 0 && !c.Server || !c.Server && c.isSet("bootstrap_expect") && c.Bootstrap:
		v.fail(expect, "set server = true, or remove it from clients", "'bootstrap_expect > 0' requires 'server = true'")
	case c.BootstrapExpect > 0 && c.Bootstrap:
		v.fail(expect, "keep bootstrap_expect alone", "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive")
	case c.Bootstrap && !c.Server:
		v.fail([]string{"bootstrap", "server"}, "set server = true, or remove it from clients", "'bootstrap = true' requires 'server = true'")
	}
	if c.Bootstrap && c.Server && !c.DevMode {
		v.warn("bootstrap", "Bootstrap mode enabled! Do not enable unless necessary")
	}
	if c.BootstrapExpect > 1 && c.Server {
		v.expectWarnings()
	}
	if c.Server && c.AdvertiseReconnectTimeout > 0 {
		v.fail([]string{"advertise_reconnect_timeout", "server"}, "remove it from servers", "advertise_reconnect_timeout can only be used on a client")
	}
	if !c.Server && len(c.RetryJoinWAN) > 0 {
		v.fail([]string{"retry_join_wan", "server"}, "remove it from clients; retry_join joins the own datacenter", "only servers join other datacenters")
	}
}

func (v validator) expectWarnings() {
	n := v.c.BootstrapExpect
	if n == 2 {
		v.warn("bootstrap_expect", "A cluster with 2 servers will provide no failure tolerance. See https://developer.hashicorp.com/consul/docs/architecture/consensus#deployment-table")
	} else if n%2 == 0 {
		v.warn("bootstrap_expect", "A cluster with an even number of servers does not achieve optimum fault tolerance.")
	}
	v.warn("bootstrap_expect", "bootstrap_expect > 0: expecting %d servers", n)
}

// identity checks where this agent is and what it is called.
func (v validator) identity() {
	c := v.c
	if c.DataDir == "" && !c.DevMode && c.isSet("data_dir") {
		v.fail([]string{"data_dir"}, "set data_dir (or -data-dir) to a directory this user may write, or use -dev", "data_dir cannot be empty")
	}
	for key, name := range map[string]string{"datacenter": c.Datacenter, "primary_datacenter": c.PrimaryDatacenter} {
		if datacenterName().MatchString(name) || (key == "primary_datacenter" && !c.isSet(key)) {
			continue
		}
		v.fail([]string{key}, "rename it", "%s can only contain lowercase alphanumeric, - or _ characters. received: %q", key, name)
	}
	if strings.Contains(c.Datacenter, "_") {
		v.warn("datacenter", "the underscore in %q is fine for everything but names in certificates", c.Datacenter)
	}
	if c.NodeID != "" {
		if id, err := uuid.Parse(c.NodeID); err != nil || len(c.NodeID) != 36 {
			v.fail([]string{"node_id"}, "remove it to let the agent choose one", "%q is not a UUID", c.NodeID)
		} else {
			c.NodeID = id.String()
		}
	}
	if c.isSet("node_name") && strings.TrimSpace(c.NodeName) == "" {
		v.fail([]string{"node_name"}, "give a name, or remove it to use the host name", "node_name cannot be empty")
	}
	if c.NodeName != "" {
		v.nodeName(c.NodeName)
	}
}

// nodeName warns of names DNS cannot carry.
func (v validator) nodeName(name string) {
	switch {
	case !dnsLabel().MatchString(name):
		v.warn("node_name", "Node name %q will not be discoverable via DNS due to invalid characters. Valid characters include all alpha-numerics and dashes.", name)
	case len(name) > 63:
		v.warn("node_name", "Node name %q will not be discoverable via DNS due to it being too long. Valid lengths are between 1 and 63 bytes.", name)
	}
}

func (v validator) meta() {
	const key = "node_meta"
	m := v.c.NodeMeta
	if len(m) > maxMetaPairs {
		v.fail([]string{key}, "remove some", "%d pairs; at most %d are allowed", len(m), maxMetaPairs)
	}
	for _, k := range sortedKeys(m) {
		switch {
		case !metaKey().MatchString(k):
			v.fail([]string{key}, "use letters, digits, - and _", "the key %q has invalid characters", k)
		case len(k) > maxMetaKeyLen:
			v.fail([]string{key}, "shorten it", "the key %q is longer than %d bytes", k, maxMetaKeyLen)
		case strings.HasPrefix(k, "consul-"):
			v.fail([]string{key}, "rename it", "the key %q has the reserved prefix consul-", k)
		case len(m[k]) > maxMetaValueLen:
			v.fail([]string{key}, "shorten it", "the value of %q is longer than %d bytes", k, maxMetaValueLen)
		case !utf8.ValidString(m[k]):
			v.fail([]string{key}, "write it in UTF-8", "the value of %q is not valid text", k)
		}
	}
}

func (v validator) encryption() {
	if v.c.Encrypt == "" {
		return
	}
	key, err := base64.StdEncoding.DecodeString(v.c.Encrypt)
	const do = "make a key with: ctl keygen"
	switch {
	case err != nil:
		v.fail([]string{"encrypt"}, do, "the gossip key is not base64")
	case len(key) != 16 && len(key) != 24 && len(key) != 32:
		v.fail([]string{"encrypt"}, do, "Invalid key: key size must be 16, 24 or 32 bytes, this one has %d", len(key))
	}
}

func (v validator) logging() {
	c := v.c
	if !slices.Contains([]string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR"}, c.LogLevel) {
		v.fail([]string{"log_level"}, "use one of them", "Invalid log level: %s. Valid log levels are: [TRACE DEBUG INFO WARN ERROR]", strings.ToLower(c.LogLevel))
	}
	if c.LogRotateMaxFiles < -1 {
		v.fail([]string{"log_rotate_max_files"}, "use 0 to keep all, -1 to keep none, or a number", "%d files cannot be kept", c.LogRotateMaxFiles)
	}
	if c.LogRotateBytes < 0 {
		v.fail([]string{"log_rotate_bytes"}, "use 0 for no limit", "%d is negative", c.LogRotateBytes)
	}
	facilities := strings.Fields("KERN USER MAIL DAEMON AUTH SYSLOG LPR NEWS UUCP CRON AUTHPRIV FTP LOCAL0 LOCAL1 LOCAL2 LOCAL3 LOCAL4 LOCAL5 LOCAL6 LOCAL7")
	if c.EnableSyslog && !slices.Contains(facilities, strings.ToUpper(c.SyslogFacility)) {
		v.fail([]string{"syslog_facility"}, "use one of "+strings.Join(facilities, " "), "there is no facility %q", c.SyslogFacility)
	}
	for _, f := range c.Telemetry.PrefixFilter {
		if f == "" || (f[0] != '+' && f[0] != '-') {
			v.warn("telemetry.prefix_filter", "Filter rule must begin with either '+' or '-': %q", f)
		}
	}
}

// scripts warns about an agent that runs whatever it is sent.
func (v validator) scripts() {
	if v.c.EnableScriptChecks && len(v.c.HTTP.AllowWriteHTTPFrom) == 0 {
		v.warn("enable_script_checks", "anybody who reaches the HTTP API can run programs on this machine: set http_config.allow_write_http_from, or use enable_local_script_checks")
	}
}

// numbers checks ranges.
func (v validator) numbers() {
	c := v.c
	type bound struct {
		key           string
		value, lo, hi int
	}
	for _, b := range []bound{
		{"performance.raft_multiplier", c.Performance.RaftMultiplier, 1, 10},
		{"protocol", c.Protocol, 2, 3},
		{"raft_protocol", c.RaftProtocol, 3, 3},
		{"raft_logstore.wal.segment_size_mb", c.RaftLogStore.WAL.SegmentSizeMB, 1, 1024},
		{"raft_snapshot_threshold", c.RaftSnapshotThreshold, 1, 0},
		{"raft_trailing_logs", c.RaftTrailingLogs, 1, 0},
		{"limits.kv_max_value_size", c.Limits.KVMaxValueSize, 1, 1 << 30},
		{"limits.rpc_max_burst", c.Limits.RPCMaxBurst, 1, 0},
		{"check_output_max_size", c.CheckOutputMaxSize, 1, 0},
		{"http_config.max_header_bytes", c.HTTP.MaxHeaderBytes, 0, 0},
		{"retry_max", c.RetryMax, 0, 0},
		{"retry_max_wan", c.RetryMaxWAN, 0, 0},
		{"gossip_lan.gossip_nodes", c.GossipLAN.Nodes, 1, 0},
		{"gossip_lan.suspicion_mult", c.GossipLAN.SuspicionMult, 1, 0},
		{"gossip_lan.retransmit_mult", c.GossipLAN.RetransmitMult, 1, 0},
		{"gossip_wan.gossip_nodes", c.GossipWAN.Nodes, 1, 0},
		{"gossip_wan.suspicion_mult", c.GossipWAN.SuspicionMult, 1, 0},
		{"gossip_wan.retransmit_mult", c.GossipWAN.RetransmitMult, 1, 0},
		{"autopilot.max_trailing_logs", c.Autopilot.MaxTrailingLogs, 0, 0},
		{"autopilot.min_quorum", c.Autopilot.MinQuorum, 0, 0},
		{"dns_config.udp_answer_limit", c.DNS.UDPAnswerLimit, 0, 0},
		{"dns_config.a_record_limit", c.DNS.ARecordLimit, 0, 0},
		{"dns_config.soa.refresh", c.DNS.SOA.Refresh, 0, math.MaxInt32},
		{"dns_config.soa.retry", c.DNS.SOA.Retry, 0, math.MaxInt32},
		{"dns_config.soa.expire", c.DNS.SOA.Expire, 0, math.MaxInt32},
		{"dns_config.soa.min_ttl", c.DNS.SOA.MinTTL, 0, math.MaxInt32},
	} {
		switch {
		case b.hi == b.lo && b.hi != 0 && b.value != b.hi:
			v.fail([]string{b.key}, "remove it", "%d is not supported; only %d is", b.value, b.hi)
		case b.hi > 0 && (b.value < b.lo || b.value > b.hi):
			v.fail([]string{b.key}, "choose a value in that range", "%d cannot be used. Must be between %d and %d", b.value, b.lo, b.hi)
		case b.value < b.lo:
			v.fail([]string{b.key}, "choose a larger value", "%d cannot be used. Must be at least %d", b.value, b.lo)
		}
	}
	v.durations()
}

func (v validator) durations() {
	c := v.c
	for _, b := range []struct {
		key       string
		value, lo time.Duration
	}{
		{"performance.grpc_keepalive_interval", c.Performance.GRPCKeepaliveInterval, time.Second},
		{"performance.grpc_keepalive_timeout", c.Performance.GRPCKeepaliveTimeout, time.Second},
		{"server_rejoin_age_max", c.ServerRejoinAgeMax, 6 * time.Hour},
		{"retry_interval", c.RetryInterval, time.Millisecond},
		{"retry_interval_wan", c.RetryIntervalWAN, time.Millisecond},
		{"raft_snapshot_interval", c.RaftSnapshotInterval, time.Millisecond},
		{"gossip_lan.gossip_interval", c.GossipLAN.Interval, time.Millisecond},
		{"gossip_lan.probe_interval", c.GossipLAN.ProbeInterval, time.Millisecond},
		{"gossip_lan.probe_timeout", c.GossipLAN.ProbeTimeout, time.Millisecond},
		{"gossip_wan.gossip_interval", c.GossipWAN.Interval, time.Millisecond},
		{"gossip_wan.probe_interval", c.GossipWAN.ProbeInterval, time.Millisecond},
		{"gossip_wan.probe_timeout", c.GossipWAN.ProbeTimeout, time.Millisecond},
		{"default_query_time", c.DefaultQueryTime, time.Millisecond},
		{"max_query_time", c.MaxQueryTime, time.Millisecond},
		{"discovery_max_stale", c.DiscoveryMaxStale, 0},
		{"dns_config.recursor_timeout", c.DNS.RecursorTimeout, time.Millisecond},
		{"dns_config.node_ttl", c.DNS.NodeTTL, 0},
		{"sync_coordinate_interval_min", c.SyncCoordinateIntervalMin, 100 * time.Millisecond},
	} {
		if b.value < b.lo {
			v.fail([]string{b.key}, "choose a longer time", "%v is too short. Must be at least %v", b.value, b.lo)
		}
	}
	if rate := c.SyncCoordinateRateTarget; rate <= 0 {
		v.fail([]string{"sync_coordinate_rate_target"}, "choose how often in a second, 64 being the default, or set disable_coordinates to true", "%v cannot be used. Must be greater than 0", rate)
	}
	for key, d := range map[string]time.Duration{"reconnect_timeout": c.ReconnectTimeout, "reconnect_timeout_wan": c.ReconnectTimeoutWAN} {
		if d < 8*time.Hour {
			v.warn(key, "%v is below the recommended minimum of 8h: members that are away for longer are forgotten", d)
		}
	}
}

// networks checks lists of networks and joins.
func (v validator) networks() {
	c := v.c
	for key, list := range map[string][]string{
		"serf_lan_allowed_cidrs": c.SerfLANAllowedCIDRs, "serf_wan_allowed_cidrs": c.SerfWANAllowedCIDRs,
		"http_config.allow_write_http_from": c.HTTP.AllowWriteHTTPFrom,
	} {
		for _, text := range list {
			if _, err := netip.ParsePrefix(text); err != nil {
				v.fail([]string{key}, "write it like 10.0.0.0/8", "%q is not a network", text)
			}
		}
	}
	for key, list := range map[string][]string{"retry_join": c.RetryJoin, "retry_join_wan": c.RetryJoinWAN} {
		for _, text := range list {
			switch {
			case strings.TrimSpace(text) == "":
				v.fail([]string{key}, "remove it or fill it in", "an address in the list is empty")
			case strings.Contains(text, "provider="):
				v.warn(key, "cloud auto-join (provider=…) is not built in: this entry is never joined; list addresses or a DNS name")
			}
		}
	}
	for _, p := range c.HTTP.BlockEndpoints {
		if !strings.HasPrefix(p, "/") {
			v.warn("http_config.block_endpoints", "%q blocks nothing: paths begin with /", p)
		}
	}
	if mode := c.UnixSockets.Mode; mode != "" {
		if n, err := strconv.ParseUint(mode, 8, 32); err != nil || n > 0o777 {
			v.fail([]string{"unix_sockets.mode"}, `write it in octal, like "0770"`, "%q is not a file mode", mode)
		}
	}
}

func (v validator) ports() {
	p := v.c.Ports
	for _, x := range []struct {
		key    string
		port   int
		needed bool
	}{
		{"ports.dns", p.DNS, false}, {"ports.http", p.HTTP, false}, {"ports.https", p.HTTPS, false}, {"ports.grpc", p.GRPC, false},
		{"ports.grpc_tls", p.GRPCTLS, false}, {"ports.serf_lan", p.SerfLAN, true}, {"ports.serf_wan", p.SerfWAN, false}, {"ports.server", p.Server, true},
	} {
		switch {
		case x.port > 65535:
			v.fail([]string{x.key}, "choose one up to 65535", "invalid port: %d", x.port)
		case x.needed && x.port <= 0:
			v.fail([]string{x.key}, "choose one from 1 to 65535", "invalid port: %d. Must be > 0", x.port)
		}
	}
}

// choices checks settings with a few allowed values.
func (v validator) choices() {
	c := v.c
	switch c.RaftLogStore.Backend {
	case "default", "wal", "":
	case "boltdb":
		v.warn("raft_logstore.backend", "there is no BoltDB backend: the write-ahead log is used")
	default:
		v.fail([]string{"raft_logstore.backend"}, "use default or wal", "there is no backend %q", c.RaftLogStore.Backend)
	}
	if m := c.Limits.RequestLimits.Mode; !slices.Contains([]string{"", "disabled", "permissive", "enforcing"}, m) {
		v.fail([]string{"limits.request_limits.mode"}, "use disabled, permissive or enforcing", "there is no mode %q", m)
	}
	if c.UI.Enabled && c.UI.Dir != "" && c.isSet("ui_config.enabled") {
		v.fail([]string{"ui_config.dir", "ui_config.enabled"}, "keep one of them", "'ui_config.enabled' and 'ui_config.dir' cannot be given together")
	}
	if !uiPath().MatchString(c.UI.ContentPath) {
		v.fail([]string{"ui_config.content_path"}, "use letters, digits, /, - and _", "the path %q has invalid characters", c.UI.ContentPath)
	}
}
