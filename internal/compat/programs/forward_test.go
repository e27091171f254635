package programs

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
)

// TestDnsmasq is the part of docs/how-to/forward-dns.md about dnsmasq: it hands
// names of services, nodes and addresses to an agent.
func TestDnsmasq(t *testing.T) {
	client := shared.client()
	dig := tool(t, "dig")
	dir := t.TempDir()
	serve(t, client, &api.AgentServiceRegistration{Name: "forwarded", Port: 8080})
	host := shared.alloc.Loopback(1)[0]
	network := client.host()[:strings.LastIndex(client.host(), ".")] + ".0/24"
	// The page has no language for this block.
	conf := write(t, dir, "dnsmasq.conf", shown(t, "forward-dns.md", "", 1,
		"127.0.0.1#8600", client.host()+"#8600", "192.168.16.0/23", network))
	p := launch(t, dir, tool(t, "dnsmasq"), "--keep-in-foreground", "--conf-file="+conf, "--port=53", "--listen-address="+host,
		"--bind-interfaces", "--no-resolv", "--no-hosts", "--user=root", "--pid-file="+dir+"/pid", "--log-facility=-")
	for _, q := range []struct{ kind, name, want string }{
		{"A", "forwarded.service.consul", client.host()},
		{"SRV", "forwarded.service.consul", "1 1 8080 " + client.name() + ".node.consul_cluster.consul."},
		{"A", client.name() + ".node.consul", client.host()},
		{"A", "nobody.service.consul", ""},
		{"PTR", reversed(client.host()), client.name() + ".node.consul_cluster.consul."},
	} {
		eventually(t, q.kind+" "+q.name, func() error {
			if err := p.alive(); err != nil {
				t.Fatal(err)
			}
			got, err := output(dig, "@"+host, "+short", "+tries=1", "+time=1", q.kind, q.name)
			if err == nil && got != q.want {
				err = fmt.Errorf("%q, want %q", got, q.want)
			}
			return err
		})
	}
}

// reversed is the name that PTR records of an IPv4 address have.
func reversed(address string) string {
	ip := net.ParseIP(address).To4()
	return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", ip[3], ip[2], ip[1], ip[0])
}
