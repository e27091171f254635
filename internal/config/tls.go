package config

import (
	"net"
	"strings"

	"github.com/ctl-sh/ctl/internal/tlsconf"
	"github.com/ctl-sh/ctl/internal/tlsconf/issue"
)

// TLS are the certificates of this agent, and what is demanded of those of
// others. What a block does not set it takes from defaults.
type TLS struct {
	// Settings for every block that has none of its own.
	Defaults TLSDefaults `key:"defaults"`
	// Requests and consensus between agents, on ports.server.
	InternalRPC TLSInternalRPC `key:"internal_rpc"`
	// The HTTP API on ports.https.
	HTTPS TLSHTTPS `key:"https"`
}

// TLSDefaults are what the other blocks of tls take where they set nothing.
type TLSDefaults struct {
	// File with the certificates of the authorities to trust, in PEM form. A changed file is noticed.
	CAFile string `key:"ca_file" reload:"yes" debug:"TLS.Defaults.CAFile"`
	// Directory of such files, beside ca_file.
	CAPath string `key:"ca_path" reload:"yes" debug:"TLS.Defaults.CAPath"`
	// File with this agent's certificate and what it is signed by, in PEM form. A changed file is noticed.
	CertFile string `key:"cert_file" reload:"yes" debug:"TLS.Defaults.CertFile"`
	// File with the private key of that certificate.
	KeyFile string `key:"key_file" reload:"yes" debug:"TLS.Defaults.KeyFile"`
	// Oldest TLS version: TLSv1_0, TLSv1_1, TLSv1_2 or TLSv1_3. TLS_AUTO is the default.
	MinVersion string `key:"tls_min_version" default:"TLSv1_2" debug:"TLS.Defaults.TLSMinVersion"`
	// Cipher suites for TLS 1.2 and older, names separated by commas. Those of TLS 1.3 cannot be chosen.
	CipherSuites string `key:"tls_cipher_suites" debug:"TLS.Defaults.CipherSuites"`
	// Refuse whoever connects without a certificate of these authorities.
	VerifyIncoming bool `key:"verify_incoming" default:"false" debug:"TLS.Defaults.VerifyIncoming"`
	// Connect to servers over TLS, and check that their certificates are of these authorities. Otherwise connections to them are in plain text.
	VerifyOutgoing bool `key:"verify_outgoing" default:"false" debug:"TLS.Defaults.VerifyOutgoing"`
	// Also demand that the certificate of a server is for server.<datacenter>.<domain>; implies verify_outgoing. With verify_incoming, only such certificates may take part in consensus.
	VerifyServerHostname bool `key:"verify_server_hostname" default:"false" debug:"TLS.Defaults.VerifyServerHostname"`
}

// TLSInternalRPC is TLS between agents.
type TLSInternalRPC struct {
	// As in defaults.
	CAFile string `key:"ca_file" derived:"tls.defaults.ca_file" reload:"yes" debug:"TLS.InternalRPC.CAFile"`
	// As in defaults.
	CAPath string `key:"ca_path" derived:"tls.defaults.ca_path" reload:"yes" debug:"TLS.InternalRPC.CAPath"`
	// As in defaults.
	CertFile string `key:"cert_file" derived:"tls.defaults.cert_file" reload:"yes" debug:"TLS.InternalRPC.CertFile"`
	// As in defaults.
	KeyFile string `key:"key_file" derived:"tls.defaults.key_file" reload:"yes" debug:"TLS.InternalRPC.KeyFile"`
	// As in defaults.
	MinVersion string `key:"tls_min_version" derived:"tls.defaults.tls_min_version" debug:"TLS.InternalRPC.TLSMinVersion"`
	// As in defaults.
	CipherSuites string `key:"tls_cipher_suites" derived:"tls.defaults.tls_cipher_suites" debug:"TLS.InternalRPC.CipherSuites"`
	// As in defaults. A server that verifies takes no connection in plain text.
	VerifyIncoming bool `key:"verify_incoming" derived:"tls.defaults.verify_incoming" debug:"TLS.InternalRPC.VerifyIncoming"`
	// As in defaults.
	VerifyOutgoing bool `key:"verify_outgoing" derived:"tls.defaults.verify_outgoing" debug:"TLS.InternalRPC.VerifyOutgoing"`
	// As in defaults.
	VerifyServerHostname bool `key:"verify_server_hostname" derived:"tls.defaults.verify_server_hostname" debug:"TLS.InternalRPC.VerifyServerHostname"`
}

// TLSHTTPS is TLS on the HTTP API.
type TLSHTTPS struct {
	// As in defaults.
	CAFile string `key:"ca_file" derived:"tls.defaults.ca_file" reload:"yes" debug:"TLS.HTTPS.CAFile"`
	// As in defaults.
	CAPath string `key:"ca_path" derived:"tls.defaults.ca_path" reload:"yes" debug:"TLS.HTTPS.CAPath"`
	// As in defaults.
	CertFile string `key:"cert_file" derived:"tls.defaults.cert_file" reload:"yes" debug:"TLS.HTTPS.CertFile"`
	// As in defaults.
	KeyFile string `key:"key_file" derived:"tls.defaults.key_file" reload:"yes" debug:"TLS.HTTPS.KeyFile"`
	// As in defaults.
	MinVersion string `key:"tls_min_version" derived:"tls.defaults.tls_min_version" debug:"TLS.HTTPS.TLSMinVersion"`
	// As in defaults.
	CipherSuites string `key:"tls_cipher_suites" derived:"tls.defaults.tls_cipher_suites" debug:"TLS.HTTPS.CipherSuites"`
	// As in defaults: clients of the API need a certificate, too.
	VerifyIncoming bool `key:"verify_incoming" derived:"tls.defaults.verify_incoming" debug:"TLS.HTTPS.VerifyIncoming"`
	// Accepted: this agent connects to nobody's HTTP API.
	VerifyOutgoing bool `key:"verify_outgoing" derived:"tls.defaults.verify_outgoing" debug:"TLS.HTTPS.VerifyOutgoing"`
}

// AutoEncrypt is how client agents get certificates from the servers.
type AutoEncrypt struct {
	// Get this client's certificate from the servers, for connections to them and, without cert_file, for HTTPS. Servers are verified by ca_file, so that is needed; implies verify_outgoing.
	TLS bool `key:"tls" default:"false" debug:"AutoEncryptTLS"`
	// Give client agents certificates, signed by the cluster's authority, and take those. Whoever reaches ports.server can have one, as long as there is no access control. Servers only.
	AllowTLS bool `key:"allow_tls" default:"false" debug:"AutoEncryptAllowTLS"`
	// Further DNS names in this client's certificate.
	DNSSAN []string `key:"dns_san" debug:"AutoEncryptDNSSAN"`
	// Further addresses in this client's certificate.
	IPSAN []string `key:"ip_san" debug:"AutoEncryptIPSAN"`
}

// autoEncrypt checks what automatic certificates need.
func (v validator) autoEncrypt() {
	a := v.c.AutoEncrypt
	switch {
	case a.TLS && v.c.Server:
		v.fail([]string{"auto_encrypt.tls", "server"}, "remove it; servers have certificates of their own (tls.defaults.cert_file) and give others theirs with auto_encrypt.allow_tls", "only client agents get their certificate from the servers")
	case a.AllowTLS && !v.c.Server:
		v.fail([]string{"auto_encrypt.allow_tls", "server"}, "remove it; a client asks for a certificate with auto_encrypt.tls", "only servers give certificates")
	case a.AllowTLS && !v.c.Connect.Enabled:
		v.fail([]string{"auto_encrypt.allow_tls", "connect.enabled"}, "switch connect.enabled on", "there is no certificate authority without connect")
	}
	for _, text := range a.IPSAN {
		if net.ParseIP(text) == nil {
			v.fail([]string{"auto_encrypt.ip_san"}, "write one such as 10.0.0.7", "%q is not an IP address", text)
		}
	}
	for _, name := range a.DNSSAN {
		if err := issue.CheckHost(name); err != nil {
			v.fail([]string{"auto_encrypt.dns_san"}, "write host names that are this client's own", "%s; the servers would give no certificate for it", err.Error())
		}
	}
	if a.AllowTLS && v.c.Server && !v.c.TLS.InternalRPC.VerifyIncoming {
		v.warn("auto_encrypt.allow_tls", "certificates are given, but nobody needs one: tls.internal_rpc.verify_incoming is off")
	}
}

// inheritTLS gives the blocks of tls what they take from its defaults.
func (c *Config) inheritTLS() {
	for _, block := range []string{"tls.internal_rpc.", "tls.https."} {
		for _, k := range keys().all {
			name, ok := strings.CutPrefix(k.Path, block)
			if from := keys().byPath["tls.defaults."+name]; ok && k.field != nil && from != nil && !c.isSet(k.Path) {
				c.set(k, c.get(from))
			}
		}
	}
}

// tls checks what can be checked without looking at the files.
func (v validator) tls() {
	for _, b := range []struct{ name, version, suites string }{
		{"tls.defaults", v.c.TLS.Defaults.MinVersion, v.c.TLS.Defaults.CipherSuites},
		{"tls.internal_rpc", v.c.TLS.InternalRPC.MinVersion, v.c.TLS.InternalRPC.CipherSuites},
		{"tls.https", v.c.TLS.HTTPS.MinVersion, v.c.TLS.HTTPS.CipherSuites},
	} {
		ofDefaults := func(key string) bool { return b.name != "tls.defaults" && !v.c.isSet(b.name+"."+key) }
		if _, err := tlsconf.ParseVersion(b.version); err != nil && !ofDefaults("tls_min_version") {
			v.fail([]string{b.name + ".tls_min_version"}, "correct it", "%s", err.Error())
		}
		_, err := tlsconf.ParseCipherSuites(b.suites)
		switch {
		case ofDefaults("tls_cipher_suites"):
		case err != nil:
			v.fail([]string{b.name + ".tls_cipher_suites"}, "correct it", "%s", err.Error())
		case b.suites != "" && b.version == "TLSv1_3":
			v.fail([]string{b.name + ".tls_cipher_suites", b.name + ".tls_min_version"}, "remove it", "no cipher suite can be chosen for TLS 1.3, which is the oldest version allowed")
		}
	}
	rpc := v.c.TLS.InternalRPC
	if v.c.Server && rpc.VerifyIncoming && !rpc.VerifyServerHostname {
		v.warn("tls.internal_rpc.verify_server_hostname", "verify_incoming is on, but verify_server_hostname is not: every agent with a certificate can act as a server")
	}
}
