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

// door is what agents may leave open to the network.
type door struct {
	severity, check string
	open            func(*view) []string // where it is open, as seen tells it; nothing where it is shut
	summary         string               // with the node's name
	seen            string               // with who saw it, and where it is open
	fix             string
}

func (d door) find(c *cluster) []finding {
	var list []finding
	for _, v := range c.ok() {
		if at := d.open(v); len(at) > 0 {
			list = append(list, finding{
				d.severity, d.check, v.node(), fmt.Sprintf(d.summary, v.node()),
				[]string{fmt.Sprintf(d.seen, v.where(), strings.Join(at, ", "))}, d.fix,
			})
		}
	}
	return list
}

var (
	plainGossip = door{
		severity: warning, check: "encryption",
		open: func(v *view) []string {
			if v.self.Stats["serf_lan"]["encrypted"] != "false" {
				return nil
			}
			return publicOf([]string{v.settings.serfAddr})
		},
		summary: "Gossip of %s is not encrypted: whoever reaches its port can join and read.",
		seen:    "%s has no gossip key, and gossips at %s",
		fix:     "Make a key with `ctl keygen`, and set encrypt on all agents as docs/how-to/encrypt-gossip.md says.",
	}
	plainHTTP = door{
		severity: warning, check: "http",
		open:    func(v *view) []string { return publicOf(v.settings.httpAddrs) },
		summary: "The HTTP API of %s is open to the network, without TLS.",
		seen:    "%s listens for HTTP at %s",
		fix:     "Let HTTP listen on loopback only (client_addr or addresses.http = \"127.0.0.1\"), and open ports.https with certificates for others: docs/how-to/tls-cluster.md.",
	}
	unverifiedRPC = door{
		severity: warning, check: "tls",
		open: func(v *view) []string {
			if rpc := v.settings.tls.InternalRPC; rpc.CertFile == "" || rpc.VerifyIncoming || !v.self.Config.Server {
				return nil
			}
			return []string{"internal_rpc"}
		},
		summary: "The server %s has a certificate, but takes calls of whoever has none.",
		seen:    "%s has verify_incoming off for %s",
		fix:     "Set tls.internal_rpc.verify_incoming (or tls.defaults) to true once all agents have certificates.",
	}
	unverifiedHTTPS = door{
		severity: note, check: "tls",
		open: func(v *view) []string {
			if https := v.settings.tls.HTTPS; https.CertFile == "" || https.VerifyIncoming {
				return nil
			}
			return publicOf(v.settings.httpsAddrs)
		},
		summary: "The HTTPS API of %s asks nobody for a certificate.",
		seen:    "%s has verify_incoming off for https, at %s",
		fix:     "Where only those with a certificate shall come in, set tls.https.verify_incoming to true.",
	}
)

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
