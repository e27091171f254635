package loadgen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ctl-sh/ctl/internal/e2e/agentproc"
	"github.com/ctl-sh/ctl/internal/tlsconf/issue"
)

// secureClients is how many clients the comparison of TLS and plain text has.
const secureClients = 64

// secureTrials is how often each is loaded, in turn; the median counts. A pair is
// what is compared, since both see the same machine.
const secureTrials = 5

// secure compares a cluster in plain text with one under full TLS: three servers
// and a client agent each, loaded in turn so that both see the same machine.
func secure(ctx context.Context, c Config) ([]Measurement, error) {
	dir, err := c.dir("tls")
	if err != nil {
		return nil, err
	}
	conf, settings, err := secureSettings(dir)
	if err != nil {
		return nil, err
	}
	limits := map[string]any{"http_max_conns_per_client": 1000}
	var alloc agentproc.Allocator // one for both, so that they do not meet
	plain, err := startAgentsAt(ctx, c.Binary, filepath.Join(dir, "plain"), alloc.Loopback(4), 3, map[string]any{"limits": limits})
	if err != nil {
		return nil, err
	}
	defer plain.close()
	settings["limits"] = limits
	tlsAgents, err := startAgentsAt(ctx, c.Binary, filepath.Join(dir, "tls"), alloc.Loopback(4), 3, settings)
	if err != nil {
		return nil, err
	}
	defer tlsAgents.close()
	var out []Measurement
	kinds := []secured{{"plain text", plain, nil}, {"TLS", tlsAgents, conf}}
	for _, through := range []string{"leader", "client agent"} {
		runs := map[string][]Measurement{}
		var ratios []float64
		for trial := range secureTrials {
			pair := map[string]time.Duration{}
			for i := range kinds {
				k := kinds[(i+trial)%len(kinds)] // each is first as often as the other
				m, err := k.put(ctx, c, through)
				if err != nil {
					return out, err
				}
				runs[k.name] = append(runs[k.name], m)
				pair[k.name] = m.CPU
			}
			if pair["plain text"] > 0 {
				ratios = append(ratios, float64(pair["TLS"])/float64(pair["plain text"]))
			}
		}
		out = append(out, medianCPU(runs["plain text"]), medianCPU(runs["TLS"]))
		if slices.Sort(ratios); len(ratios) > 0 {
			fmt.Fprintf(c.Log, "put %s: TLS takes %.2f times the CPU of plain text (%.2f to %.2f)\n",
				through, ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
		}
	}
	return out, nil
}

// secured is one of the clusters that are compared; secure is nil in plain text.
type secured struct {
	name   string
	agents *agents
	secure *tls.Config
}

// put loads the cluster with puts, at the leader or through the client agent,
// whose server is then the leader: whether a request goes through one more server
// is a matter of luck, and costs more than TLS does.
func (k secured) put(ctx context.Context, c Config, through string) (m Measurement, err error) {
	at := k.agents.servers
	if through == "leader" {
		at, _, err = k.agents.leader(ctx)
	} else {
		err = k.agents.leadAtContact(ctx, at)
	}
	if err != nil {
		return m, err
	}
	if m, err = k.agents.putLoad(ctx, c, at, k.secure); err != nil {
		return m, err
	}
	m.Case = "put " + through + ", " + k.name
	fmt.Fprintf(c.Log, "%s: %.0f/s, p99 %s ms, %s µs CPU\n", m.Case, m.Rate, millis(m.P99), micros(m.CPU))
	return m, nil
}

func medianCPU(all []Measurement) Measurement {
	slices.SortFunc(all, func(a, b Measurement) int { return int(a.CPU - b.CPU) })
	return all[len(all)/2]
}

// secureSettings makes certificates and returns what a client and the agents need
// of them. All agents share one certificate, which the names in it allow.
func secureSettings(dir string) (*tls.Config, map[string]any, error) {
	ca, err := issue.NewAuthority(issue.AuthorityOptions{Life: 24 * time.Hour})
	if err != nil {
		return nil, nil, err
	}
	cert, key, err := ca.Issue(issue.Options{Role: issue.Server, Datacenter: "dc1", Domain: "consul", Life: 24 * time.Hour})
	if err != nil {
		return nil, nil, err
	}
	file := map[string]string{}
	for name, data := range map[string][]byte{"ca": ca.CertPEM, "cert": cert, "key": key} {
		file[name] = filepath.Join(dir, name+".pem")
		if err := os.WriteFile(file[name], data, 0o600); err != nil {
			return nil, nil, err
		}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Cert)
	conf := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	return conf, map[string]any{
		"ports": map[string]any{"https": 8501},
		"tls": map[string]any{
			"defaults":     map[string]any{"ca_file": file["ca"], "cert_file": file["cert"], "key_file": file["key"], "verify_incoming": true, "verify_outgoing": true},
			"internal_rpc": map[string]any{"verify_server_hostname": true},
		},
	}, nil
}

// dialHTTPS returns the dialer of a load over TLS; nil is plain text.
func dialHTTPS(secure *tls.Config) func(string, time.Time) (session, error) {
	if secure == nil {
		return nil
	}
	return func(address string, until time.Time) (session, error) {
		c, err := dialOver(secure, address, 4096)
		if err != nil {
			return nil, err
		}
		_ = c.nc.SetDeadline(until) // without it only a hang is worse
		return c, nil
	}
}

// putLoad runs one closed loop of puts against an agent.
func (a *agents) putLoad(ctx context.Context, c Config, agent int, secure *tls.Config) (Measurement, error) {
	address := a.procs[agent].Spec.HTTPAddr()
	if secure != nil {
		address = net.JoinHostPort(a.procs[agent].Spec.Bind, "8501")
	}
	var before, after time.Duration
	var cpuErr error
	r, err := Load{
		Address: address, Dial: dialHTTPS(secure), Clients: secureClients, Warmup: c.Duration / 5, Duration: c.Duration,
		Request: func(buf []byte, client, n int) []byte {
			return putRequest(buf, address, benchKey((client*7919+n*104729)%benchKeys), client, n, valueBytes)
		},
		Measure: func(end bool) {
			if end {
				after, cpuErr = a.cpu()
			} else {
				before, cpuErr = a.cpu()
			}
		},
	}.Run(ctx)
	if err != nil {
		return Measurement{}, err
	}
	m := Measurement{
		Scenario: "tls: three servers and a client agent, writes flushed, values of 128 B", Clients: secureClients,
		Rate: r.Rate(), Ops: r.Ops, Errors: r.Errors, Problem: r.Problem, P50: r.P50, P99: r.P99,
	}
	if cpuErr == nil && r.Ops > 0 {
		m.CPU = (after - before) / time.Duration(r.Ops)
	}
	return m, nil
}
