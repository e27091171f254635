// Package config is the agent's configuration: its files and flags, their
// merge, defaults, validation, resolution to addresses, and redaction.
//
// It is not for the operator's client settings (address, token, format), and it
// starts nothing. Rules that keep it right: a setting exists once, as a field of
// Config with its name, default, reload mark and comment, or as a row of the
// table of keys that later capabilities bring; everything else (merge, flags,
// JSON Schema, reference page, redaction) is derived from that. Every complaint
// names where the setting stands and the way out, and all of them are reported
// together. A setting whose absence would open a door is refused, not ignored.
//
// Source: Consul's agent configuration reference. Where ctl differs, the
// comment of the field says so.
package config

import "time"

//go:generate go run ./gen

// Config is the merged configuration with all defaults applied. The struct tags
// say: key, the name in files; default, its value when nobody sets it, or
// derived, how that value is found; flag, the command-line flag of the same
// meaning; reload, whether a reload applies a change; secret, never to be shown;
// later, the capability that will give it effect (until then setting it warns);
// off, the values that ask for nothing and so never warn; debug, its name in
// /v1/agent/self where that is not the field's own. The comments of the fields
// are the reference documentation.
//
// A Config is not changed after Load returned it; any number of goroutines may
// read it.
type Config struct {
	// Makes this agent a server: it takes part in the consensus and keeps the state. Otherwise it is a client, which forwards.
	Server bool `key:"server" default:"false" flag:"server" debug:"ServerMode"`
	// Lets this server elect itself as the only member of a new cluster. At most one server of a datacenter may have it; prefer bootstrap_expect.
	Bootstrap bool `key:"bootstrap" default:"false" flag:"bootstrap"`
	// Number of servers that must have found each other before the first election of a new cluster. Every server must have the same number; 1 means the same as bootstrap.
	BootstrapExpect int `key:"bootstrap_expect" default:"0" flag:"bootstrap-expect"`
	// Name of the datacenter this agent is in. It is lower-cased and may have letters, digits, - and _; an underscore is fine here, and only makes the name unfit for certificates.
	Datacenter string `key:"datacenter" default:"dc1" flag:"datacenter"`
	// Name of the datacenter that is authoritative for ACLs and the certificate authority.
	PrimaryDatacenter string `key:"primary_datacenter" derived:"the value of datacenter"`
	// Directory of everything this agent keeps; only one agent may use it at a time. With -dev nothing is kept. Consul refuses to start without it.
	DataDir string `key:"data_dir" derived:"/var/lib/ctl/<node_name> for root, else ctl/<node_name> in the user's data directory" flag:"data-dir"`
	// Name of this node, unique in its datacenter. Names outside [A-Za-z0-9-] or longer than 63 bytes cannot be looked up by DNS.
	NodeName string `key:"node_name" derived:"the host name" flag:"node"`
	// Identity of this node, a UUID that stays the same when name or address change.
	NodeID string `key:"node_id" derived:"the one kept in data_dir, or a random one" flag:"node-id"`
	// Do not derive the node id from the host's own id.
	DisableHostNodeID bool `key:"disable_host_node_id" default:"true" flag:"disable-host-node-id"`
	// Key/value pairs attached to this node in the catalog: at most 64, keys of at most 128 bytes of [A-Za-z0-9_-] that do not begin with consul-, values of at most 512 bytes.
	NodeMeta map[string]string `key:"node_meta" flag:"node-meta" reload:"yes"`

	// Address the cluster ports listen on: one IP address or a template that yields one.
	BindAddr string `key:"bind_addr" default:"0.0.0.0" flag:"bind"`
	// Addresses, separated by spaces, that HTTP and DNS listen on. Empty means none.
	ClientAddr string `key:"client_addr" default:"127.0.0.1" flag:"client"`
	// Address other agents reach this one by.
	AdvertiseAddr string `key:"advertise_addr" derived:"bind_addr, or the only private IPv4 address" flag:"advertise"`
	// IPv4 address to advertise beside advertise_addr.
	AdvertiseAddrIPv4 string `key:"advertise_addr_ipv4" derived:"advertise_addr if it is IPv4"`
	// IPv6 address to advertise beside advertise_addr.
	AdvertiseAddrIPv6 string `key:"advertise_addr_ipv6" derived:"advertise_addr if it is IPv6"`
	// Address servers of other datacenters reach this one by.
	AdvertiseAddrWAN string `key:"advertise_addr_wan" derived:"the value of advertise_addr" flag:"advertise-wan"`
	// IPv4 address to advertise beside advertise_addr_wan.
	AdvertiseAddrWANIPv4 string `key:"advertise_addr_wan_ipv4" derived:"advertise_addr_wan if it is IPv4"`
	// IPv6 address to advertise beside advertise_addr_wan.
	AdvertiseAddrWANIPv6 string `key:"advertise_addr_wan_ipv6" derived:"advertise_addr_wan if it is IPv6"`
	// Overrides, for this client only, how long the others wait before they forget it once it failed. 0 uses theirs.
	AdvertiseReconnectTimeout time.Duration `key:"advertise_reconnect_timeout" default:"0s"`
	// Address gossip inside the datacenter listens on.
	SerfLAN string `key:"serf_lan" derived:"the value of bind_addr" flag:"serf-lan-bind" debug:"SerfBindAddrLAN"`
	// Address gossip between datacenters listens on.
	SerfWAN string `key:"serf_wan" derived:"the value of bind_addr" flag:"serf-wan-bind" debug:"SerfBindAddrWAN"`
	// Networks (CIDR) whose members may join this datacenter's gossip. Empty means any.
	SerfLANAllowedCIDRs []string `key:"serf_lan_allowed_cidrs" flag:"serf-lan-allowed-cidrs" debug:"SerfAllowedCIDRsLAN"`
	// Networks (CIDR) whose members may join the gossip between datacenters. Empty means any.
	SerfWANAllowedCIDRs []string `key:"serf_wan_allowed_cidrs" flag:"serf-wan-allowed-cidrs" debug:"SerfAllowedCIDRsWAN"`
	// Further addresses of this node by name; lan, wan and their _ipv4 and _ipv6 forms are filled in.
	TaggedAddresses map[string]string `key:"tagged_addresses"`

	// Addresses of agents to join at start: an address, host:port, or template. Tried until one answers; its own address is fine. Cloud auto-join (provider=...) is not built in.
	RetryJoin []string `key:"retry_join" flag:"retry-join" debug:"RetryJoinLAN"`
	// Longest pause between attempts to join. Unlike Consul, the first attempts follow each other quickly and the pause grows to this.
	RetryInterval time.Duration `key:"retry_interval" default:"30s" flag:"retry-interval" debug:"RetryJoinIntervalLAN"`
	// Attempts to join before the agent gives up and exits. 0 means for ever.
	RetryMax int `key:"retry_max" default:"0" flag:"retry-max" debug:"RetryJoinMaxAttemptsLAN"`
	// Addresses of servers of other datacenters to join at start. Servers only.
	RetryJoinWAN []string `key:"retry_join_wan" flag:"retry-join-wan"`
	// Longest pause between attempts to join other datacenters.
	RetryIntervalWAN time.Duration `key:"retry_interval_wan" default:"30s" flag:"retry-interval-wan" debug:"RetryJoinIntervalWAN"`
	// Attempts to join other datacenters before the agent exits. 0 means for ever.
	RetryMaxWAN int `key:"retry_max_wan" default:"0" flag:"retry-max-wan" debug:"RetryJoinMaxAttemptsWAN"`
	// Join the known members again at start even if this node left gracefully before.
	RejoinAfterLeave bool `key:"rejoin_after_leave" default:"false" flag:"rejoin"`
	// Leave the cluster gracefully on SIGTERM.
	LeaveOnTerminate bool `key:"leave_on_terminate" derived:"true on a client, false on a server" debug:"LeaveOnTerm"`
	// Do not leave the cluster on SIGINT.
	SkipLeaveOnInterrupt bool `key:"skip_leave_on_interrupt" derived:"false on a client, true on a server" debug:"SkipLeaveOnInt"`
	// How long a failed member of the datacenter is remembered and tried again. At least 8h.
	ReconnectTimeout time.Duration `key:"reconnect_timeout" default:"72h" debug:"ReconnectTimeoutLAN"`
	// How long a failed server of another datacenter is remembered and tried again. At least 8h.
	ReconnectTimeoutWAN time.Duration `key:"reconnect_timeout_wan" default:"72h"`
	// A server that was away for longer than this refuses to start with its old data. At least 6h.
	ServerRejoinAgeMax time.Duration `key:"server_rejoin_age_max" default:"168h"`
	// Key that encrypts gossip: 16, 24 or 32 bytes in base64, as ctl keygen prints it. Used only where no keyring is kept yet.
	Encrypt string `key:"encrypt" flag:"encrypt" secret:"yes" debug:"EncryptKey"`
	// Refuse gossip that is not encrypted. Switch off only while encryption is being introduced.
	EncryptVerifyIncoming bool `key:"encrypt_verify_incoming" default:"true"`
	// Send only encrypted gossip. Switch off only while encryption is being introduced.
	EncryptVerifyOutgoing bool `key:"encrypt_verify_outgoing" default:"true"`
	// Keep no keyring in data_dir; the key is encrypt, at every start.
	DisableKeyringFile bool `key:"disable_keyring_file" default:"false" flag:"disable-keyring-file"`
	// Do not measure the distance between nodes by gossip.
	DisableCoordinates bool `key:"disable_coordinates" default:"false"`
	// How often in a second all agents of the cluster together look whether the servers know where they are in the network.
	SyncCoordinateRateTarget float64 `key:"sync_coordinate_rate_target" default:"64"`
	// Shortest pause between two such looks of this agent; a large cluster makes it longer. At least 100ms.
	SyncCoordinateIntervalMin time.Duration `key:"sync_coordinate_interval_min" default:"15s"`
	// Domain the DNS names of this cluster are in, and part of the names in certificates.
	Domain string `key:"domain" default:"consul." flag:"domain" debug:"DNSDomain"`
	// Second domain the same DNS names are in.
	AltDomain string `key:"alt_domain" flag:"alt-domain" debug:"DNSAltDomain"`
	// DNS servers that are asked for names of other domains: IP addresses, with a port where it is not 53, or templates. Names of the own domains are never sent there.
	Recursors []string `key:"recursors" flag:"recursor" reload:"yes" debug:"DNSRecursors"`

	// Lowest level of log lines that are written: TRACE, DEBUG, INFO, WARN or ERROR, in any case.
	LogLevel string `key:"log_level" default:"INFO" flag:"log-level" reload:"yes" debug:"Logging.LogLevel"`
	// Write log lines as JSON.
	LogJSON bool `key:"log_json" default:"false" flag:"log-json" debug:"Logging.LogJSON"`
	// File the log is also written to. A directory, named with a slash at the end or existing already, gets a ctl.log inside; Consul refuses an existing directory without the slash.
	LogFile string `key:"log_file" flag:"log-file" debug:"Logging.LogFilePath"`
	// Size in bytes at which the log file is rotated. 0 means never by size.
	LogRotateBytes int `key:"log_rotate_bytes" default:"0" flag:"log-rotate-bytes" debug:"Logging.LogRotateBytes"`
	// Age at which the log file is rotated.
	LogRotateDuration time.Duration `key:"log_rotate_duration" default:"24h" flag:"log-rotate-duration" debug:"Logging.LogRotateDuration"`
	// Rotated log files to keep: 0 keeps all, -1 none.
	LogRotateMaxFiles int `key:"log_rotate_max_files" default:"0" flag:"log-rotate-max-files" debug:"Logging.LogRotateMaxFiles"`
	// Also send the log to syslog.
	EnableSyslog bool `key:"enable_syslog" default:"false" flag:"syslog" debug:"Logging.EnableSyslog"`
	// Syslog facility: KERN, USER, DAEMON, LOCAL0 to LOCAL7 and so on.
	SyslogFacility string `key:"syslog_facility" default:"LOCAL0" debug:"Logging.SyslogFacility"`
	// File that gets the process id.
	PidFile string `key:"pid_file" flag:"pid-file" debug:"PidFile"`

	// Serve profiles under /debug/pprof.
	EnableDebug bool `key:"enable_debug" default:"false" reload:"yes"`
	// Refuse remote execution. There is none to refuse yet.
	DisableRemoteExec bool `key:"disable_remote_exec" default:"true" later:"remote execution" off:"true"`
	// Accepted: ctl never asks anybody for updates.
	DisableUpdateCheck bool `key:"disable_update_check" default:"false"`
	// Accepted: ctl never sends a signature.
	DisableAnonymousSignature bool `key:"disable_anonymous_signature" default:"false"`
	// Allow characters in URL paths that cannot be printed.
	DisableHTTPUnprintableCharFilter bool `key:"disable_http_unprintable_char_filter" default:"false"`
	// How long a blocking query waits when it names no time.
	DefaultQueryTime time.Duration `key:"default_query_time" default:"300s" flag:"default-query-time"`
	// Longest time a blocking query may ask for; longer ones are cut to it.
	MaxQueryTime time.Duration `key:"max_query_time" default:"600s" flag:"max-query-time"`
	// Let any server answer the reads of catalog and health that name no consistency, if it heard from the leader within this time. 0 leaves them consistent.
	DiscoveryMaxStale time.Duration `key:"discovery_max_stale" default:"0s"`
	// Gossip protocol version, 2 or 3.
	Protocol int `key:"protocol" default:"2" flag:"protocol" debug:"RPCProtocol"`
	// Raft protocol version. Only 3 exists.
	RaftProtocol int `key:"raft_protocol" default:"3" flag:"raft-protocol"`
	// Log entries after which a snapshot is taken.
	RaftSnapshotThreshold int `key:"raft_snapshot_threshold" default:"16384" reload:"yes"`
	// How often it is looked at whether a snapshot is due.
	RaftSnapshotInterval time.Duration `key:"raft_snapshot_interval" default:"30s" reload:"yes"`
	// Log entries kept after a snapshot, so that a follower that was away can catch up without one.
	RaftTrailingLogs int `key:"raft_trailing_logs" default:"10240" reload:"yes"`
	// Do not ask for a pre-vote before an election.
	RaftPrevoteDisabled bool `key:"raft_prevote_disabled" default:"false"`

	// Services this agent registers. An agent restarted or reloaded registers what the files say then.
	Services []Definition `key:"services" shape:"service" reload:"yes"`
	// Health checks of this agent, of the node or of one of its services.
	Checks []Definition `key:"checks" shape:"check" reload:"yes"`
	// Watches: programs and addresses that are told when something changes.
	Watches []Definition `key:"watches" shape:"watch" reload:"yes"`
	// Allow checks that run programs, also those registered over HTTP: whoever reaches the HTTP API can then run any program as the agent's user.
	EnableScriptChecks bool `key:"enable_script_checks" default:"false" flag:"enable-script-checks" debug:"EnableRemoteScriptChecks"`
	// Allow checks that run programs, from configuration files only.
	EnableLocalScriptChecks bool `key:"enable_local_script_checks" derived:"the value of enable_script_checks" flag:"enable-local-script-checks"`
	// How long a change of a check's output alone is held back: half of it, and a random part of it more. 0 tells the catalog every output.
	CheckUpdateInterval time.Duration `key:"check_update_interval" default:"5m"`
	// Longest kept output of a check in bytes.
	CheckOutputMaxSize int `key:"check_output_max_size" default:"4096" flag:"check_output_max_size"`
	// Keep no output of checks.
	DiscardCheckOutput bool `key:"discard_check_output" default:"false" reload:"yes"`
	// Let checks over TLS show this agent's certificate (tls.internal_rpc) and trust its authorities instead of the system's, for services that ask their clients for a certificate.
	EnableAgentTLSForChecks bool `key:"enable_agent_tls_for_checks" default:"false"`

	// Ports the agent listens on. 0 or less switches a listener off.
	Ports Ports `key:"ports"`
	// Addresses of single listeners, instead of client_addr.
	Addresses Addresses `key:"addresses"`
	// Answers to DNS questions.
	DNS DNS `key:"dns_config"`
	// Owner and mode of unix sockets named in addresses.
	UnixSockets UnixSockets `key:"unix_sockets"`
	// The HTTP API.
	HTTP HTTP `key:"http_config"`
	// Timing of consensus and of requests between agents.
	Performance Performance `key:"performance"`
	// Upper limits on what clients may ask of this agent.
	Limits Limits `key:"limits"`
	// Certificates of this agent, and what is demanded of those of others.
	TLS TLS `key:"tls"`
	// Certificates of client agents from the servers, in place of files.
	AutoEncrypt AutoEncrypt `key:"auto_encrypt"`
	// Timing of gossip inside the datacenter.
	GossipLAN GossipLAN `key:"gossip_lan"`
	// Timing of gossip between datacenters.
	GossipWAN GossipWAN `key:"gossip_wan"`
	// The files of the Raft log.
	RaftLogStore RaftLogStore `key:"raft_logstore"`
	// First settings of the clean-up of dead servers; in a running cluster they are changed through the API.
	Autopilot Autopilot `key:"autopilot"`
	// The service mesh: its certificate authority.
	Connect Connect `key:"connect"`
	// The web UI.
	UI UI `key:"ui_config"`
	// Metrics. The HTTP API serves them always, as JSON and as Prometheus text.
	Telemetry Telemetry `key:"telemetry"`

	// DevMode says that -dev was given: one server, in memory only.
	DevMode bool `key:"-"`

	origins map[string]Origin // where each key that was set was set last
}
