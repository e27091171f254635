package agent

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/buildinfo"
	"github.com/ctl-sh/ctl/internal/config"
)

// banner says on start what runs where, in the lines operators know.
func banner(w io.Writer, rt *config.Runtime, b buildinfo.Info) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%24s: %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(w, "==> Starting ctl agent...")
	line("Version", "%s (compatible with Consul %s)", b.Version, buildinfo.ConsulCompat)
	line("Node name", "%s", rt.NodeName)
	line("Datacenter", "%s", rt.Datacenter)
	line("Server", "%v (Bootstrap: %v)", rt.Server, rt.Server && rt.Expect == 1)
	var clients []string
	for _, l := range slices.Concat(rt.HTTP, rt.HTTPS) {
		clients = append(clients, l.Address)
	}
	line("Client Addr", "[%s] (HTTP: %d, HTTPS: %d, DNS: %d)", strings.Join(clients, " "), rt.Ports.HTTP, rt.Ports.HTTPS, rt.Ports.DNS)
	wan := "off"
	if rt.SerfWAN.IsValid() {
		wan = fmt.Sprint(rt.SerfWAN.Advertise.Port())
	}
	line("Cluster Addr", "%s (LAN: %d, WAN: %s)", net.IP(rt.SerfLAN.Advertise.Addr().AsSlice()), rt.SerfLAN.Advertise.Port(), wan)
	line("Gossip Encryption", "%v", rt.Encrypt != "")
	rpc := rt.TLS.InternalRPC
	line("TLS", "incoming %s, outgoing %s, servers by name: %v", tlsWord(rpc.VerifyIncoming, rpc.CertFile != ""), tlsWord(rpc.VerifyOutgoing || rpc.VerifyServerHostname, false), rpc.VerifyServerHostname)
	line("Auto-Encrypt-TLS", "%v", rt.AutoEncrypt.TLS || rt.AutoEncrypt.AllowTLS)
	line("ACL Enabled", "false")
	if rt.DevMode {
		line("Data", "in memory; it is gone when the agent stops")
	} else {
		line("Data", "%s", rt.DataDir)
	}
	fmt.Fprintln(w, "\n==> Log data will now stream in as it occurs:")
}

// tlsWord says how connections of one direction are made.
func tlsWord(verified, possible bool) string {
	switch {
	case verified:
		return "verified"
	case possible:
		return "possible"
	}
	return "off"
}
