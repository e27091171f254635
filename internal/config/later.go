package config

// later is the table of the keys whose capability is not built yet. A key moves
// from here to a field of Config when its capability arrives. Keys in front of
// which a door would stand open are marked by refusals in doors.go.
//
// def is the value the setting has in Consul, for the reference. Setting a key
// to false, zero or nothing asks for nothing and draws no warning; so does a
// block that says enabled = false.
func later() []group {
	return []group{
		{capability: "these settings of service discovery", rows: []row{
			{"translate_wan_addrs", Bool, reloadNo, "false", "Answer with the WAN address of nodes of other datacenters."},
			{"ports.sidecar_min_port", Int, reloadNo, "21000", "First port given to sidecar proxies."},
			{"ports.sidecar_max_port", Int, reloadNo, "21255", "Last port given to sidecar proxies."},
			{"ports.expose_min_port", Int, reloadNo, "21500", "First port given to exposed check paths."},
			{"ports.expose_max_port", Int, reloadNo, "21755", "Last port given to exposed check paths."},
			{"ports.proxy_min_port", Int, reloadNo, "20000", "First port given to managed proxies."},
			{"ports.proxy_max_port", Int, reloadNo, "20255", "Last port given to managed proxies."},
		}},
		{capability: "sessions", rows: []row{
			{"session_ttl_min", Duration, reloadNo, "10s", "Shortest TTL of a session."},
		}},
		{capability: "reload on file change", rows: []row{
			{"auto_reload_config", Bool, reloadNo, "false", "Reload when a configuration file changes."},
		}},
		{capability: "ACLs", rows: []row{
			{"acl", Object, reloadNo, "", "Access control."},
			{"acl.enabled", Bool, reloadNo, "false", "Check the rights of every request."},
			{"acl.default_policy", String, reloadNo, "allow", "What a request may do that no rule speaks of: allow or deny."},
			{"acl.down_policy", String, reloadNo, "extend-cache", "What holds while the primary datacenter is away."},
			{"acl.token_ttl", Duration, reloadNo, "30s", "How long a token's rights are kept."},
			{"acl.policy_ttl", Duration, reloadNo, "30s", "How long a policy is kept."},
			{"acl.role_ttl", Duration, reloadNo, "30s", "How long a role is kept."},
			{"acl.enable_key_list_policy", Bool, reloadNo, "false", "Ask for the list right where keys are listed."},
			{"acl.enable_token_replication", Bool, reloadNo, "false", "Copy tokens from the primary datacenter."},
			{"acl.enable_token_persistence", Bool, reloadNo, "false", "Keep tokens set through the API."},
			{"acl.tokens", Object, reloadYes, "", "Tokens this agent uses itself."},
			{"acl.tokens.initial_management", String, reloadYes, "", "Secret of the first management token."},
			{"acl.tokens.agent_recovery", String, reloadYes, "", "Secret that opens this agent while the servers are away."},
			{"acl.tokens.default", String, reloadYes, "", "Secret used for requests without one."},
			{"acl.tokens.agent", String, reloadYes, "", "Secret for the agent's own work."},
			{"acl.tokens.replication", String, reloadYes, "", "Secret for copying from the primary datacenter."},
			{"acl.tokens.config_file_service_registration", String, reloadYes, "", "Secret for services of the configuration files."},
			{"acl.tokens.dns", String, reloadYes, "", "Secret for DNS."},
			{"acl_datacenter", String, reloadNo, "", "Old way to switch ACLs on, by naming the authoritative datacenter."},
		}},
		{capability: "gRPC for proxies", rows: tlsGRPCRows()},
		{status: Ignored, capability: "of no use here, where a server's certificate is for server.<datacenter>.<domain>", rows: []row{
			{"server_name", String, reloadNo, "", "Name in this server's certificate."},
		}},
		{capability: "automatic configuration", rows: autoConfigRows()},
		{capability: "the service mesh", rows: connectRows()},
		{capability: "the web UI", rows: []row{
			{"ui_config.metrics_provider", String, reloadYes, "", "Where the UI gets its charts from."},
			{"ui_config.metrics_provider_files", Strings, reloadYes, "", "JavaScript files of the provider."},
			{"ui_config.metrics_provider_options_json", String, reloadYes, "", "Options of the provider, as JSON."},
			{"ui_config.metrics_proxy", Object, reloadYes, "", "Access to a metrics server through the agent."},
			{"ui_config.metrics_proxy.base_url", String, reloadYes, "", "URL of the metrics server."},
			{"ui_config.metrics_proxy.add_headers", Objects, reloadYes, "", "Headers added to requests."},
			{"ui_config.metrics_proxy.add_headers.name", String, reloadYes, "", "Name of the header."},
			{"ui_config.metrics_proxy.add_headers.value", String, reloadYes, "", "Value of the header."},
			{"ui_config.metrics_proxy.path_allowlist", Strings, reloadYes, "", "Paths that may be asked for."},
			{"ui_config.dashboard_url_templates", StringMap, reloadYes, "", "Links to dashboards."},
		}},
		{capability: "metric sinks", rows: []row{
			{"telemetry.statsd_address", String, reloadNo, "", "Address of a statsd server."},
			{"telemetry.statsite_address", String, reloadNo, "", "Address of a statsite server."},
			{"telemetry.dogstatsd_addr", String, reloadNo, "", "Address of a DogStatsD server."},
			{"telemetry.dogstatsd_tags", Strings, reloadNo, "", "Tags added to every metric."},
			{"telemetry.retry_failed_connection", Bool, reloadNo, "true", "Try a metrics server again that was away at start."},
			{"telemetry.enable_host_metrics", Bool, reloadNo, "false", "Publish metrics of the machine."},
		}},
		{capability: "a choice of how the agent cache is kept current", rows: []row{
			{"cache", Object, reloadYes, "", "The agent's cache."},
			{"cache.entry_fetch_rate", Float, reloadYes, "", "Refreshes of an entry a second."},
			{"cache.entry_fetch_max_burst", Int, reloadYes, "2", "Refreshes at once above the rate."},
			{"use_streaming_backend", Bool, reloadNo, "true", "Keep views up to date by a stream."},
			{"rpc", Object, reloadNo, "", "Requests between agents."},
			{"rpc.enable_streaming", Bool, reloadNo, "true", "Serve streams of changes."},
		}},
		{capability: "peering", rows: []row{
			{"peering", Object, reloadNo, "", "Connections to other clusters."},
			{"peering.enabled", Bool, reloadNo, "true", "Allow connections to other clusters."},
		}},
		{capability: "config entries", rows: []row{
			{"config_entries", Object, reloadYes, "", "Config entries the cluster begins with."},
			{"config_entries.bootstrap", Objects, reloadYes, "", "Entries the leader creates when they are absent."},
			{"config_entries.bootstrap.*", Free, reloadYes, "", ""},
			{"enable_central_service_config", Bool, reloadNo, "true", "Merge config entries into service definitions."},
		}},
		{status: Ignored, capability: "Raft on BoltDB, which ctl does not have", rows: []row{
			{"raft_logstore.boltdb", Object, reloadNo, "", "The log on BoltDB."},
			{"raft_logstore.boltdb.no_freelist_sync", Bool, reloadNo, "false", "Do not write BoltDB's free list."},
			{"raft_boltdb", Object, reloadNo, "", "The log on BoltDB, old name."},
			{"raft_boltdb.NoFreelistSync", Bool, reloadNo, "false", "Do not write BoltDB's free list."},
			{"raft_boltdb.no_freelist_sync", Bool, reloadNo, "false", "Do not write BoltDB's free list."},
		}},
		{status: Ignored, capability: "Circonus, which ctl does not have", rows: circonusRows()},
		{status: Ignored, capability: "a constant of the agent, for tests only", rows: internalRows()},
		{status: Enterprise, rows: enterpriseRows()},
		{status: Forbidden, rows: []row{
			{"segment", String, reloadNo, "", "Network segment of this client."},
			{"segments", Objects, reloadNo, "", "Network segments of this server."},
			{"segments.*", Free, reloadNo, "", ""},
		}},
	}
}

// tlsGRPCRows is the block of tls that waits for gRPC for proxies.
func tlsGRPCRows() []row {
	const p = "tls.grpc"
	return []row{
		{p, Object, reloadYes, "", "gRPC for proxies."},
		{p + ".ca_file", String, reloadYes, "", "File of the authorities to trust."},
		{p + ".ca_path", String, reloadYes, "", "Directory of the authorities to trust."},
		{p + ".cert_file", String, reloadYes, "", "File of this agent's certificate."},
		{p + ".key_file", String, reloadYes, "", "File of this agent's private key."},
		{p + ".tls_min_version", String, reloadNo, "TLSv1_2", "Oldest TLS version."},
		{p + ".tls_cipher_suites", String, reloadNo, "", "Allowed cipher suites, separated by commas."},
		{p + ".verify_incoming", Bool, reloadNo, "false", "Ask others for a certificate."},
		{p + ".use_auto_cert", Bool, reloadNo, "false", "Use the automatic certificate."},
	}
}

func autoConfigRows() []row {
	const static = "auto_config.authorization.static"
	return []row{
		{"auto_config", Object, reloadNo, "", "Configuration of clients from the servers."},
		{"auto_config.enabled", Bool, reloadNo, "false", "Switch it on."},
		{"auto_config.intro_token", String, reloadNo, "", "JWT that introduces this client."},
		{"auto_config.intro_token_file", String, reloadNo, "", "File with that JWT."},
		{"auto_config.server_addresses", Strings, reloadNo, "", "Servers to ask."},
		{"auto_config.dns_sans", Strings, reloadNo, "", "Further DNS names in the certificate."},
		{"auto_config.ip_sans", Strings, reloadNo, "", "Further addresses in the certificate."},
		{"auto_config.authorization", Object, reloadNo, "", "Whom servers give a configuration."},
		{"auto_config.authorization.enabled", Bool, reloadNo, "false", "Give configurations."},
		{static, Object, reloadNo, "", "Rules for the JWT."},
		{static + ".claim_assertions", Strings, reloadNo, "", "Expressions the claims must satisfy."},
		{static + ".allow_reuse", Bool, reloadNo, "false", "Allow a JWT more than once."},
		{static + ".jwt_supported_algs", Strings, reloadNo, "", "Allowed signature algorithms."},
		{static + ".bound_audiences", Strings, reloadNo, "", "Audiences that are allowed."},
		{static + ".claim_mappings", StringMap, reloadNo, "", "Claims copied to variables."},
		{static + ".list_claim_mappings", StringMap, reloadNo, "", "List claims copied to variables."},
		{static + ".oidc_discovery_url", String, reloadNo, "", "URL of the OIDC provider."},
		{static + ".oidc_discovery_ca_cert", String, reloadNo, "", "Authority of that provider, as PEM."},
		{static + ".jwks_url", String, reloadNo, "", "URL of the key set."},
		{static + ".jwks_ca_cert", String, reloadNo, "", "Authority of that URL, as PEM."},
		{static + ".jwt_validation_pub_keys", Strings, reloadNo, "", "Public keys, as PEM."},
		{static + ".bound_issuer", String, reloadNo, "", "Issuer that is allowed."},
		{static + ".expiration_leeway", Duration, reloadNo, "0s", "Slack at the expiry."},
		{static + ".not_before_leeway", Duration, reloadNo, "0s", "Slack at the beginning."},
		{static + ".clock_skew_leeway", Duration, reloadNo, "0s", "Slack for clocks."},
	}
}

func connectRows() []row {
	return []row{
		{"connect.enable_mesh_gateway_wan_federation", Bool, reloadNo, "false", "Join datacenters through mesh gateways."},
		{"default_intention_policy", String, reloadNo, "", "What connections do that no intention speaks of: allow or deny."},
		{"primary_gateways", Strings, reloadNo, "", "Mesh gateways of the primary datacenter."},
		{"primary_gateways_interval", Duration, reloadNo, "30s", "Pause between attempts to reach them."},
		{"xds", Object, reloadYes, "", "Configuration of proxies."},
		{"xds.update_max_per_second", Float, reloadYes, "250", "Updates a second."},
	}
}

func circonusRows() []row {
	var rows []row
	for _, k := range []struct{ name, comment string }{
		{"api_token", "API token."},
		{"api_app", "Application name of the token."},
		{"api_url", "URL of the API."},
		{"broker_id", "Broker to use."},
		{"broker_select_tag", "Tag that chooses a broker."},
		{"check_display_name", "Shown name of the check."},
		{"check_force_metric_activation", "Activate metrics that were switched off."},
		{"check_id", "Check to use."},
		{"check_instance_id", "Name of this source of metrics."},
		{"check_search_tag", "Tag that finds the check."},
		{"check_tags", "Tags of a new check."},
		{"submission_interval", "Pause between submissions."},
		{"submission_url", "URL metrics go to."},
	} {
		rows = append(rows, row{"telemetry.circonus_" + k.name, String, reloadNo, "", k.comment})
	}
	return rows
}

func internalRows() []row {
	return []row{
		{"ae_interval", Duration, reloadNo, "1m", "Pause between full comparisons with the catalog."},
		{"check_reap_interval", Duration, reloadNo, "30s", "Pause between looks for services to deregister."},
		{"check_deregister_interval_min", Duration, reloadNo, "1m", "Shortest time to deregistration."},
		{"segment_limit", Int, reloadNo, "64", "Most network segments."},
		{"segment_name_limit", Int, reloadNo, "64", "Longest name of a segment."},
		{"consul", Free, reloadNo, "", "Timing of coordinates and Raft."},
	}
}

func enterpriseRows() []row {
	return []row{
		{"read_replica", Bool, reloadNo, "false", "Server without a vote."},
		{"non_voting_server", Bool, reloadNo, "false", "Old name of read_replica."},
		{"partition", String, reloadNo, "", "Admin partition."},
		{"license_path", String, reloadNo, "", "Licence file."},
		{"audit", Free, reloadNo, "", "Audit log."},
		{"cloud", Free, reloadNo, "", "HashiCorp cloud."},
		{"reporting", Free, reloadNo, "", "Usage reports."},
		{"snapshot_agent", Free, reloadNo, "", "Snapshot agent."},
		{"experiments", Strings, reloadNo, "", "Experiments."},
		{"locality", Free, reloadNo, "", "Region and zone of this agent."},
		{"dns_config.prefer_namespace", Bool, reloadNo, "false", "Meaning of ambiguous names."},
		{"acl.msp_disable_bootstrap", Bool, reloadNo, "false", "Forbid the ACL bootstrap."},
		{"acl.tokens.managed_service_provider", Objects, reloadNo, "", "Tokens of a service provider."},
		{"acl.tokens.managed_service_provider.*", Free, reloadNo, "", ""},
		{"autopilot.redundancy_zone_tag", String, reloadNo, "", "Tag of the redundancy zone."},
		{"autopilot.upgrade_version_tag", String, reloadNo, "", "Tag of the version."},
		{"autopilot.disable_upgrade_migration", Bool, reloadNo, "false", "Keep old servers in charge."},
	}
}

// alias is an old name of a key.
type alias struct {
	old, key string
	kind     Kind
	value    map[string]string // old values that are now called differently
}

// aliases are the old names that are still accepted, each with a warning. The
// new name wins if both are set; lists are joined.
func aliases() []alias {
	return []alias{
		{old: "start_join", key: "retry_join", kind: Strings},
		{old: "start_join_wan", key: "retry_join_wan", kind: Strings},
		{old: "ui", key: "ui_config.enabled", kind: Bool},
		{old: "ui_dir", key: "ui_config.dir", kind: String},
		{old: "ui_content_path", key: "ui_config.content_path", kind: String},
		{old: "acl_default_policy", key: "acl.default_policy", kind: String},
		{old: "acl_down_policy", key: "acl.down_policy", kind: String},
		{old: "acl_ttl", key: "acl.token_ttl", kind: Duration},
		{old: "acl_token", key: "acl.tokens.default", kind: String},
		{old: "acl_agent_token", key: "acl.tokens.agent", kind: String},
		{old: "acl_agent_master_token", key: "acl.tokens.agent_recovery", kind: String},
		{old: "acl_master_token", key: "acl.tokens.initial_management", kind: String},
		{old: "acl_replication_token", key: "acl.tokens.replication", kind: String},
		{old: "enable_acl_replication", key: "acl.enable_token_replication", kind: Bool},
		{old: "acl_enable_key_list_policy", key: "acl.enable_key_list_policy", kind: Bool},
		{old: "acl_enforce_version_8", key: "", kind: Bool},
		{old: "acl.tokens.master", key: "acl.tokens.initial_management", kind: String},
		{old: "acl.tokens.agent_master", key: "acl.tokens.agent_recovery", kind: String},
		{old: "ca_file", key: "tls.defaults.ca_file", kind: String},
		{old: "ca_path", key: "tls.defaults.ca_path", kind: String},
		{old: "cert_file", key: "tls.defaults.cert_file", kind: String},
		{old: "key_file", key: "tls.defaults.key_file", kind: String},
		{old: "tls_cipher_suites", key: "tls.defaults.tls_cipher_suites", kind: String},
		{old: "tls_min_version", key: "tls.defaults.tls_min_version", kind: String,
			value: map[string]string{"tls10": "TLSv1_0", "tls11": "TLSv1_1", "tls12": "TLSv1_2", "tls13": "TLSv1_3"}},
		{old: "connect.ca_config.LeafCertTTL", key: "connect.ca_config.leaf_cert_ttl", kind: Duration},
		{old: "connect.ca_config.IntermediateCertTTL", key: "connect.ca_config.intermediate_cert_ttl", kind: Duration},
		{old: "connect.ca_config.RootCertTTL", key: "connect.ca_config.root_cert_ttl", kind: Duration},
		{old: "connect.ca_config.PrivateKeyType", key: "connect.ca_config.private_key_type", kind: String},
		{old: "connect.ca_config.PrivateKeyBits", key: "connect.ca_config.private_key_bits", kind: Int},
		{old: "connect.ca_config.CSRMaxPerSecond", key: "connect.ca_config.csr_max_per_second", kind: Float},
		{old: "connect.ca_config.CSRMaxConcurrent", key: "connect.ca_config.csr_max_concurrent", kind: Int},
		{old: "connect.ca_config.RootCert", key: "connect.ca_config.root_cert", kind: String},
		{old: "connect.ca_config.PrivateKey", key: "connect.ca_config.private_key", kind: String},
		{old: "tls_prefer_server_cipher_suites", key: "", kind: Bool},
		{old: "verify_incoming", key: "tls.defaults.verify_incoming", kind: Bool},
		{old: "verify_incoming_https", key: "tls.https.verify_incoming", kind: Bool},
		{old: "verify_incoming_rpc", key: "tls.internal_rpc.verify_incoming", kind: Bool},
		{old: "verify_outgoing", key: "tls.defaults.verify_outgoing", kind: Bool},
		{old: "verify_server_hostname", key: "tls.internal_rpc.verify_server_hostname", kind: Bool},
	}
}
