package doctor

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// public reports whether an address is reached from other machines, as far as
// the address says.
func public(address string) bool {
	if strings.HasPrefix(address, "unix:") || strings.HasPrefix(address, "/") || address == "" {
		return false
	}
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}
	host := address
	if h, _, err := net.SplitHostPort(address); err == nil {
		host = h
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return !a.Unmap().IsLoopback()
	}
	return host != "localhost"
}

// publicOf returns those addresses that are public.
func publicOf(addresses []string) []string {
	return slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { return !public(a) })
}

func checkEncryption(c *cluster) []finding {
	var list []finding
	for _, v := range c.ok() {
		if v.self.Stats["serf_lan"]["encrypted"] == "false" && public(v.settings.serfAddr) {
			list = append(list, finding{
				warning, "encryption", v.node(), fmt.Sprintf("Gossip of %s is not encrypted: whoever reaches its port can join and read.", v.node()),
				[]string{fmt.Sprintf("%s has no gossip key, and gossips at %s", v.where(), v.settings.serfAddr)},
				"Make a key with `ctl keygen`, and set encrypt on all agents as docs/how-to/encrypt-gossip.md says.",
			})
		}
	}
	return list
}

// checkScripts looks for agents that run what anybody tells them to.
func checkScripts(c *cluster) []finding {
	var list []finding
	for _, v := range c.ok() {
		s := v.settings
		open := publicOf(s.httpAddrs)
		if !s.tls.HTTPS.VerifyIncoming {
			open = append(open, publicOf(s.httpsAddrs)...)
		}
		if !s.remoteScripts || len(open) == 0 {
			continue
		}
		f := finding{
			critical, "script-checks", v.node(), fmt.Sprintf("Whoever reaches the HTTP API of %s can run commands there.", v.node()),
			[]string{fmt.Sprintf("%s has enable_script_checks on, and its API at %s", v.where(), strings.Join(open, ", "))},
			"Set enable_local_script_checks in place of enable_script_checks: scripts then come only from the agent's files. Or let the API listen on loopback only (client_addr).",
		}
		if len(s.writeFrom) > 0 {
			f.Severity = warning
			f.Summary = fmt.Sprintf("Whoever may write to the HTTP API of %s can run commands there.", v.node())
			f.Evidence = append(f.Evidence, "allow_write_http_from has "+strings.Join(s.writeFrom, ", "))
		}
		list = append(list, f)
	}
	return list
}

func checkHTTP(c *cluster) []finding {
	var list []finding
	for _, v := range c.ok() {
		if open := publicOf(v.settings.httpAddrs); len(open) > 0 {
			list = append(list, finding{
				warning, "http", v.node(), fmt.Sprintf("The HTTP API of %s is open to the network, without TLS.", v.node()),
				[]string{fmt.Sprintf("%s listens for HTTP at %s", v.where(), strings.Join(open, ", "))},
				"Let HTTP listen on loopback only (client_addr or addresses.http = \"127.0.0.1\"), and open ports.https with certificates for others: docs/how-to/tls-cluster.md.",
			})
		}
	}
	return list
}

func checkTLS(c *cluster) []finding {
	var list []finding
	for _, v := range c.ok() {
		s := v.settings
		if s.tls.InternalRPC.CertFile != "" && !s.tls.InternalRPC.VerifyIncoming && v.self.Config.Server {
			list = append(list, finding{
				warning, "tls", v.node(), fmt.Sprintf("The server %s has a certificate, but takes calls of whoever has none.", v.node()),
				[]string{v.where() + " has verify_incoming off for internal_rpc"},
				"Set tls.internal_rpc.verify_incoming (or tls.defaults) to true once all agents have certificates.",
			})
		}
		if open := publicOf(s.httpsAddrs); s.tls.HTTPS.CertFile != "" && !s.tls.HTTPS.VerifyIncoming && len(open) > 0 {
			list = append(list, finding{
				note, "tls", v.node(), fmt.Sprintf("The HTTPS API of %s asks nobody for a certificate.", v.node()),
				[]string{fmt.Sprintf("%s has verify_incoming off for https, at %s", v.where(), strings.Join(open, ", "))},
				"Where only those with a certificate shall come in, set tls.https.verify_incoming to true.",
			})
		}
	}
	return list
}
