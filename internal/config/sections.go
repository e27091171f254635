package config

import "time"

// Ports are the ports the agent listens on. A port of 0 or less is off.
type Ports struct {
	// DNS, over UDP and TCP.
	DNS int `key:"dns" default:"8600" flag:"dns-port" debug:"DNSPort"`
	// HTTP API.
	HTTP int `key:"http" default:"8500" flag:"http-port" debug:"HTTPPort"`
	// HTTP API over TLS.
	HTTPS int `key:"https" default:"-1" flag:"https-port" debug:"HTTPSPort"`
	// xDS and other gRPC for proxies, in plain text.
	GRPC int `key:"grpc" default:"-1" flag:"grpc-port" debug:"GRPCPort" later:"gRPC for proxies" off:"-1 0"`
	// The same over TLS.
	GRPCTLS int `key:"grpc_tls" default:"-1" flag:"grpc-tls-port" debug:"GRPCTLSPort" later:"gRPC for proxies" off:"-1 0"`
	// Gossip inside the datacenter, over UDP and TCP. Must be on.
	SerfLAN int `key:"serf_lan" default:"8301" flag:"serf-lan-port" debug:"SerfPortLAN"`
	// Gossip between datacenters, over UDP and TCP; servers only.
	SerfWAN int `key:"serf_wan" default:"8302" flag:"serf-wan-port" debug:"SerfPortWAN"`
	// Consensus and requests between agents, servers only. Must be on.
	Server int `key:"server" default:"8300" flag:"server-port" debug:"ServerPort"`
}

// Addresses are the addresses of single client listeners. Each is a list
// separated by spaces of IP addresses, templates or unix:// paths; empty means
// client_addr.
type Addresses struct {
	// DNS; no unix paths.
	DNS string `key:"dns" derived:"the value of client_addr" debug:"AddressDNS"`
	// HTTP API.
	HTTP string `key:"http" derived:"the value of client_addr" debug:"AddressHTTP"`
	// HTTP API over TLS.
	HTTPS string `key:"https" derived:"the value of client_addr" debug:"AddressHTTPS"`
	// xDS and other gRPC for proxies.
	GRPC string `key:"grpc" derived:"the value of client_addr" debug:"AddressGRPC" later:"gRPC for proxies"`
	// The same over TLS.
	GRPCTLS string `key:"grpc_tls" derived:"the value of client_addr" debug:"AddressGRPCTLS" later:"gRPC for proxies"`
}

// DNS are the settings of the answers to DNS questions.
type DNS struct {
	// Let any server answer. Switched off, every question goes to the leader, which is slow and fails while there is none.
	AllowStale bool `key:"allow_stale" default:"true" reload:"yes" debug:"DNSAllowStale"`
	// Age of what this agent knows above which a question goes to the leader.
	MaxStale time.Duration `key:"max_stale" default:"87600h" reload:"yes" debug:"DNSMaxStale"`
	// TTL of answers about nodes and addresses, in whole seconds.
	NodeTTL time.Duration `key:"node_ttl" default:"0s" reload:"yes" debug:"DNSNodeTTL"`
	// TTL of answers about services, by name. A name that ends with * stands for all that begin so; the longest one counts, the exact name before all.
	ServiceTTL map[string]string `key:"service_ttl" reload:"yes" debug:"DNSServiceTTL"`
	// Set the TC bit on answers that were cut, so that clients ask again over TCP. Consul cuts without saying so by default, and so does ctl.
	EnableTruncate bool `key:"enable_truncate" default:"false" reload:"yes" debug:"DNSEnableTruncate"`
	// Leave out instances with warnings, not only critical ones.
	OnlyPassing bool `key:"only_passing" default:"false" reload:"yes" debug:"DNSOnlyPassing"`
	// Order recursors are asked in: sequential or random.
	RecursorStrategy string `key:"recursor_strategy" default:"sequential" reload:"yes" debug:"DNSRecursorStrategy"`
	// Longest wait for one recursor.
	RecursorTimeout time.Duration `key:"recursor_timeout" default:"2s" reload:"yes" debug:"DNSRecursorTimeout"`
	// Do not compress names in answers.
	DisableCompression bool `key:"disable_compression" default:"false" reload:"yes" debug:"DNSDisableCompression"`
	// Most records in an answer over UDP to a client that does not say how long answers may be; never more than 8.
	UDPAnswerLimit int `key:"udp_answer_limit" default:"3" reload:"yes" debug:"DNSUDPAnswerLimit"`
	// Most address records in an answer. 0 means any number.
	ARecordLimit int `key:"a_record_limit" default:"0" reload:"yes" debug:"DNSARecordLimit"`
	// Add the metadata of nodes to their addresses, as TXT records.
	EnableAdditionalNodeMetaTXT bool `key:"enable_additional_node_meta_txt" default:"true" reload:"yes" debug:"DNSNodeMetaTXT"`
	// The SOA record.
	SOA SOA `key:"soa"`
	// Accepted, without meaning: answers come from what this agent keeps current in memory, always.
	UseCache bool `key:"use_cache" default:"false" reload:"yes" debug:"DNSUseCache"`
	// Accepted, without meaning, like use_cache.
	CacheMaxAge time.Duration `key:"cache_max_age" default:"0s" reload:"yes" debug:"DNSCacheMaxAge"`
}

// SOA are the times of the SOA record.
type SOA struct {
	// Seconds after which secondary servers would look for changes.
	Refresh int `key:"refresh" default:"3600" reload:"yes" debug:"DNSSOA.Refresh"`
	// Seconds after which they would try again.
	Retry int `key:"retry" default:"600" reload:"yes" debug:"DNSSOA.Retry"`
	// Seconds after which they would stop answering.
	Expire int `key:"expire" default:"86400" reload:"yes" debug:"DNSSOA.Expire"`
	// Seconds a client may remember that a name does not exist.
	MinTTL int `key:"min_ttl" default:"0" reload:"yes" debug:"DNSSOA.Minttl"`
}

// UnixSockets says who owns the unix sockets the agent makes.
type UnixSockets struct {
	// Name or number of the owner.
	User string `key:"user" debug:"UnixSocketUser"`
	// Name or number of the group.
	Group string `key:"group" debug:"UnixSocketGroup"`
	// Mode in octal, such as "0770".
	Mode string `key:"mode" debug:"UnixSocketMode"`
}

// HTTP are the settings of the HTTP API.
type HTTP struct {
	// Path prefixes that answer 403.
	BlockEndpoints []string `key:"block_endpoints" debug:"HTTPBlockEndpoints"`
	// Networks (CIDR) whose clients may use the writing agent endpoints. Empty means any.
	AllowWriteHTTPFrom []string `key:"allow_write_http_from" flag:"allow-write-http-from" debug:"AllowWriteHTTPFrom"`
	// Headers added to every answer.
	ResponseHeaders map[string]string `key:"response_headers" debug:"HTTPResponseHeaders"`
	// Let ?cached use the agent's cache.
	UseCache bool `key:"use_cache" default:"true" debug:"HTTPUseCache"`
	// Largest total of request headers in bytes. 0 means 1 MiB.
	MaxHeaderBytes int `key:"max_header_bytes" default:"0" debug:"HTTPMaxHeaderBytes"`
}

// Performance is the timing of consensus and of requests between agents.
type Performance struct {
	// How long a leaving server goes on serving, so that clients move away from it.
	LeaveDrainTime time.Duration `key:"leave_drain_time" default:"5s" debug:"LeaveDrainTime"`
	// Multiplies the heartbeat, election and leader-lease timeouts of Raft (1s, 1s, 500ms), 1 to 10. Consul's default is 5; here it is 1, because the timers stay calm on busy small machines.
	RaftMultiplier int `key:"raft_multiplier" default:"1" reload:"yes" debug:"RaftMultiplier"`
	// How long a request waits for a leader to appear before it fails.
	RPCHoldTimeout time.Duration `key:"rpc_hold_timeout" default:"7s" debug:"RPCHoldTimeout"`
	// Silence after which a connection between agents is probed. At least 1s; less than 10s counts as 10s. Consul's default is 30s; here a server whose machine died holds nobody up for as long.
	GRPCKeepaliveInterval time.Duration `key:"grpc_keepalive_interval" default:"10s" debug:"GRPCKeepaliveInterval"`
	// How long such a probe may stay unanswered. At least 1s. Consul's default is 20s.
	GRPCKeepaliveTimeout time.Duration `key:"grpc_keepalive_timeout" default:"5s" debug:"GRPCKeepaliveTimeout"`
	// Spread xDS streams evenly over the servers.
	EnableXDSLoadBalancing bool `key:"enable_xds_load_balancing" default:"true" debug:"EnableXDSLoadBalancing" later:"gRPC for proxies" off:"true false"`
}

// Limits are upper limits on what clients may ask of this agent.
type Limits struct {
	// Open HTTP connections one client address may have. 0 or less means any number.
	HTTPMaxConnsPerClient int `key:"http_max_conns_per_client" default:"200" reload:"yes" debug:"HTTPMaxConnsPerClient"`
	// Longest TLS handshake of a connection to the HTTPS port.
	HTTPSHandshakeTimeout time.Duration `key:"https_handshake_timeout" default:"5s" debug:"HTTPSHandshakeTimeout"`
	// Longest time from the opening of a connection between agents to its first byte, and longest TLS handshake between them.
	RPCHandshakeTimeout time.Duration `key:"rpc_handshake_timeout" default:"5s" debug:"RPCHandshakeTimeout"`
	// Longest time a request that does not block may take from agent to agent.
	RPCClientTimeout time.Duration `key:"rpc_client_timeout" default:"60s" reload:"yes" debug:"RPCClientTimeout"`
	// Requests a second this agent sends to servers. -1 means any number.
	RPCRate float64 `key:"rpc_rate" default:"-1" reload:"yes" debug:"RPCRateLimit"`
	// Requests it may send at once above that rate.
	RPCMaxBurst int `key:"rpc_max_burst" default:"1000" reload:"yes" debug:"RPCMaxBurst"`
	// Open connections one agent address may have to this server. 0 or less means any number.
	RPCMaxConnsPerClient int `key:"rpc_max_conns_per_client" default:"100" reload:"yes" debug:"RPCMaxConnsPerClient"`
	// Largest value of a key in bytes; larger ones are refused with 413.
	KVMaxValueSize int `key:"kv_max_value_size" default:"524288" debug:"KVMaxValueSize"`
	// Largest body of a transaction in bytes.
	TxnMaxReqLen int `key:"txn_max_req_len" default:"524288" debug:"TxnMaxReqLen" later:"transactions" off:"524288"`
	// Limits on the requests a server takes from everybody together.
	RequestLimits RequestLimits `key:"request_limits"`
}

// RequestLimits limits the requests a server takes from everybody together.
type RequestLimits struct {
	// disabled, permissive (only counts and logs) or enforcing.
	Mode string `key:"mode" default:"disabled" reload:"yes" debug:"RequestLimitsMode" later:"request limits" off:"disabled"`
	// Reads a second. -1 means any number.
	ReadRate float64 `key:"read_rate" default:"-1" reload:"yes" debug:"RequestLimitsReadRate" later:"request limits" off:"-1"`
	// Writes a second. -1 means any number.
	WriteRate float64 `key:"write_rate" default:"-1" reload:"yes" debug:"RequestLimitsWriteRate" later:"request limits" off:"-1"`
}

// GossipLAN is the timing of gossip inside the datacenter.
type GossipLAN struct {
	// Random members each round of gossip goes to.
	Nodes int `key:"gossip_nodes" default:"3"`
	// Pause between rounds of gossip.
	Interval time.Duration `key:"gossip_interval" default:"200ms"`
	// Pause between probes of a random member.
	ProbeInterval time.Duration `key:"probe_interval" default:"1s"`
	// How long a probe may stay unanswered before others are asked to probe.
	ProbeTimeout time.Duration `key:"probe_timeout" default:"500ms"`
	// Multiplies the time a suspect has to prove that it is alive.
	SuspicionMult int `key:"suspicion_mult" default:"4"`
	// Multiplies the times a message is passed on.
	RetransmitMult int `key:"retransmit_mult" default:"4"`
}

// GossipWAN is the timing of gossip between datacenters.
type GossipWAN struct {
	// Random members each round of gossip goes to.
	Nodes int `key:"gossip_nodes" default:"3"`
	// Pause between rounds of gossip.
	Interval time.Duration `key:"gossip_interval" default:"500ms"`
	// Pause between probes of a random member.
	ProbeInterval time.Duration `key:"probe_interval" default:"5s"`
	// How long a probe may stay unanswered before others are asked to probe.
	ProbeTimeout time.Duration `key:"probe_timeout" default:"3s"`
	// Multiplies the time a suspect has to prove that it is alive.
	SuspicionMult int `key:"suspicion_mult" default:"6"`
	// Multiplies the times a message is passed on.
	RetransmitMult int `key:"retransmit_mult" default:"4"`
}

// RaftLogStore are the settings of the files of the Raft log.
type RaftLogStore struct {
	// Form of the log files: default or wal, which are the same here. boltdb is not built in.
	Backend string `key:"backend" default:"default" debug:"RaftLogStoreBackend"`
	// Accepted, without meaning: the newest log entries are kept in memory always, at most 1024 of them and 16 MiB.
	DisableLogCache bool `key:"disable_log_cache" default:"false" debug:"RaftLogStoreDisableLogCache"`
	// Comparison of the log between servers. Here every entry has its own checksum, always.
	Verification RaftVerification `key:"verification"`
	// The write-ahead log.
	WAL RaftWAL `key:"wal"`
}

// RaftVerification is the comparison of the log between servers.
type RaftVerification struct {
	// Compare the logs of leader and followers from time to time.
	Enabled bool `key:"enabled" default:"false" debug:"RaftLogStoreVerificationEnabled" later:"comparison of Raft logs" off:"false"`
	// Pause between comparisons.
	Interval time.Duration `key:"interval" default:"0s" debug:"RaftLogStoreVerificationInterval" later:"comparison of Raft logs" off:"0s"`
}

// RaftWAL are the settings of the write-ahead log.
type RaftWAL struct {
	// Size of a segment file in MiB, 1 to 1024.
	SegmentSizeMB int `key:"segment_size_mb" default:"64" debug:"RaftLogStoreWALSegmentSizeMB"`
}

// Autopilot are the first settings of the clean-up of dead servers.
type Autopilot struct {
	// Remove a failed server when a healthy one takes its place.
	CleanupDeadServers bool `key:"cleanup_dead_servers" default:"true"`
	// Longest silence of the leader after which a server counts as unhealthy.
	LastContactThreshold time.Duration `key:"last_contact_threshold" default:"200ms"`
	// Log entries a server may be behind and still be healthy.
	MaxTrailingLogs int `key:"max_trailing_logs" default:"250"`
	// Never remove dead servers below this number of voters.
	MinQuorum int `key:"min_quorum" default:"0"`
	// How long a new server must be healthy before it may vote.
	ServerStabilizationTime time.Duration `key:"server_stabilization_time" default:"10s"`
}

// UI are the settings of the web UI. It is not built yet: everything here is
// accepted and says so.
type UI struct {
	// Serve the web UI.
	Enabled bool `key:"enabled" default:"false" flag:"ui" debug:"UIConfig.Enabled" later:"the web UI" off:"false"`
	// Serve this directory in place of the built-in files.
	Dir string `key:"dir" flag:"ui-dir" debug:"UIConfig.Dir" later:"the web UI"`
	// Path the web UI is served under.
	ContentPath string `key:"content_path" default:"/ui/" flag:"ui-content-path" debug:"UIConfig.ContentPath" later:"the web UI" off:"/ui/"`
}

// Telemetry are the settings of the metrics.
type Telemetry struct {
	// First part of every metric's name.
	MetricsPrefix string `key:"metrics_prefix" default:"consul"`
	// Do not put the host name into the names of gauges.
	DisableHostname bool `key:"disable_hostname" default:"false"`
	// Metrics to allow (+name) and to drop (-name), by the beginning of their names.
	PrefixFilter []string `key:"prefix_filter" reload:"yes"`
	// Allow metrics no filter names.
	FilterDefault bool `key:"filter_default" default:"true"`
	// Accepted, without meaning: metrics are served as Prometheus text always, and series do not expire.
	PrometheusRetentionTime time.Duration `key:"prometheus_retention_time" default:"0s"`
	// Accepted: there are no usage metrics for each tenant.
	DisablePerTenancyUsageMetrics bool `key:"disable_per_tenancy_usage_metrics" default:"false"`
}

// Connect is the mesh's part of the configuration. Of the mesh there is the
// certificate authority.
type Connect struct {
	// Keep a certificate authority in the cluster and give services certificates. Set it alike on all servers.
	Enabled bool `key:"enabled" default:"true" debug:"ConnectEnabled"`
	// Certificate authority: consul, the cluster's own. vault and aws-pca do not exist here.
	CAProvider string `key:"ca_provider" default:"consul" debug:"ConnectCAProvider"`
	// First settings of the authority, used by the first leader of a new cluster; in a running cluster they are changed through the API (ctl connect ca set-config). The names LeafCertTTL and so on are accepted, too.
	CAConfig CAConfig `key:"ca_config"`
}

// CAConfig are the first settings of the certificate authority.
type CAConfig struct {
	// How long the certificate of a service or agent holds, 1h to 8760h.
	LeafCertTTL time.Duration `key:"leaf_cert_ttl" default:"72h" debug:"ConnectCAConfig.LeafCertTTL"`
	// How long intermediate certificates hold; at least three times leaf_cert_ttl. There are none in a cluster of one datacenter.
	IntermediateCertTTL time.Duration `key:"intermediate_cert_ttl" default:"8760h" debug:"ConnectCAConfig.IntermediateCertTTL"`
	// How long a root holds; at least intermediate_cert_ttl.
	RootCertTTL time.Duration `key:"root_cert_ttl" default:"87600h" debug:"ConnectCAConfig.RootCertTTL"`
	// Type of the root's key: ec or rsa.
	PrivateKeyType string `key:"private_key_type" default:"ec" debug:"ConnectCAConfig.PrivateKeyType"`
	// Size of the root's key: 224, 256, 384 or 521 for ec, 2048 or 4096 for rsa.
	PrivateKeyBits int `key:"private_key_bits" derived:"256 for ec, 2048 for rsa" debug:"ConnectCAConfig.PrivateKeyBits"`
	// Certificates signed a second at most. 0 means any number.
	CSRMaxPerSecond float64 `key:"csr_max_per_second" default:"50" debug:"ConnectCAConfig.CSRMaxPerSecond"`
	// Certificates signed at a time at most. 0 means any number.
	CSRMaxConcurrent int `key:"csr_max_concurrent" default:"0" debug:"ConnectCAConfig.CSRMaxConcurrent"`
	// Root certificate to begin with, as PEM, instead of one the cluster makes.
	RootCert string `key:"root_cert" debug:"ConnectCAConfig.RootCert"`
	// Private key of root_cert, as PEM.
	PrivateKey string `key:"private_key" secret:"yes" debug:"ConnectCAConfig.PrivateKey"`
}
