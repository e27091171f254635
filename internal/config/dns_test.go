package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDNSProblems(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no domain", `{"domain":""}`, "domain: the domain is empty"},
		{"alt_domain like a name", `{"alt_domain":"service.other"}`, "alt_domain cannot start with {service,connect,node,query,addr,dc1}"},
		{"alt_domain like the datacenter", `{"alt_domain":"dc1.other"}`, "alt_domain cannot start with"},
		{"alt_domain is everything", `{"alt_domain":"."}`, "the root cannot be alt_domain"},
		{"strategy", `{"dns_config":{"recursor_strategy":"best"}}`, `there is no strategy "best"`},
		{"TTL", `{"dns_config":{"service_ttl":{"a":"1s","b":"soon"}}}`, `dns_config.service_ttl: the TTL of "b" is no duration: "soon"`},
		{"negative answer limit", `{"dns_config":{"udp_answer_limit":-1}}`, "dns_config.udp_answer_limit: -1 cannot be used"},
		{"SOA", `{"dns_config":{"soa":{"retry":-1}}}`, "dns_config.soa.retry: -1 cannot be used"},
		{"recursor that is a name", `{"bind_addr":"127.0.0.2","recursors":["dns.example"]}`, `"dns.example" is not the address of a DNS server`},
		{"recursor that is everything", `{"bind_addr":"127.0.0.2","recursors":["0.0.0.0"]}`, "recursor address cannot be 0.0.0.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, _, err := load(t, Input{}, c.text)
			if err == nil {
				_, _, err = cfg.Resolve(machine())
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a problem with %q", err, c.want)
			}
		})
	}
}

func TestDNSIsResolved(t *testing.T) {
	cfg, warnings, err := load(t, Input{}, `{"bind_addr":"127.0.0.2","domain":"Example","alt_domain":"Other.","recursors":["8.8.8.8","[::1]:54","::1","{{ two }}"],"dns_config":{"service_ttl":{"*":"5s","api":"1m"}}}`)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	rt, _, err := cfg.Resolve(machine())
	if err != nil {
		t.Fatal(err)
	}
	if rt.Domain != "example." || rt.AltDomain != "other." {
		t.Errorf("domains %q and %q", rt.Domain, rt.AltDomain)
	}
	if d := cmp.Diff(rt.Recursors, []string{"8.8.8.8:53", "[::1]:54", "[::1]:53", "10.9.0.1:53", "10.9.0.2:53"}); d != "" {
		t.Errorf("recursors, got - want +:\n%s", d)
	}
	ttls, _ := rt.Config.DNS.TTLs()
	if d := cmp.Diff(ttls, map[string]time.Duration{"*": 5 * time.Second, "api": time.Minute}); d != "" {
		t.Errorf("TTLs, got - want +:\n%s", d)
	}
}
