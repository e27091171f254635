package agent

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/autopilot"
	"github.com/ctl-sh/ctl/internal/buildinfo"
	"github.com/ctl-sh/ctl/internal/ca"
	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/consensus"
	"github.com/ctl-sh/ctl/internal/gossip"
	"github.com/ctl-sh/ctl/internal/tlsconf"
)

// The functions of this file turn the configuration into each part's own
// settings; nothing else reads it.

// identity is what this agent says about itself in gossip.
func identity(rt *config.Runtime, id string) gossip.Identity {
	ident := gossip.Identity{
		ID: id, Datacenter: rt.Datacenter, Build: buildinfo.ConsulCompat + ":ctl" + buildinfo.Get().Version,
		Server: rt.Server, ReconnectTimeout: rt.AdvertiseReconnectTimeout,
	}
	if !rt.Server {
		return ident
	}
	ident.RPCPort = int(rt.RPC.Advertise.Port())
	ident.UseTLS = rt.TLS.InternalRPC.CertFile != ""
	ident.Bootstrap = rt.Expect == 1
	if !ident.Bootstrap {
		ident.Expect = rt.Expect
	}
	if rt.SerfWAN.IsValid() {
		ident.WANJoinPort = int(rt.SerfWAN.Advertise.Port())
	}
	return ident
}

// tlsSettings are the certificates and what is demanded with them.
func tlsSettings(rt *config.Runtime, log *slog.Logger) tlsconf.Config {
	r, h := rt.TLS.InternalRPC, rt.TLS.HTTPS
	return tlsconf.Config{
		InternalRPC: tlsconf.Settings{
			CAFile: r.CAFile, CAPath: r.CAPath, CertFile: r.CertFile, KeyFile: r.KeyFile, MinVersion: r.MinVersion, CipherSuites: r.CipherSuites,
			VerifyIncoming: r.VerifyIncoming, VerifyOutgoing: r.VerifyOutgoing, VerifyServerHostname: r.VerifyServerHostname,
		},
		HTTPS: tlsconf.Settings{
			CAFile: h.CAFile, CAPath: h.CAPath, CertFile: h.CertFile, KeyFile: h.KeyFile, MinVersion: h.MinVersion, CipherSuites: h.CipherSuites,
			VerifyIncoming: h.VerifyIncoming, VerifyOutgoing: h.VerifyOutgoing,
		},
		Automatic: rt.AutoEncrypt.TLS, Signs: rt.AutoEncrypt.AllowTLS,
		ServesHTTPS: len(rt.HTTPS) > 0, Server: rt.Server, Datacenter: rt.Datacenter, Domain: rt.Domain,
		HandshakeTimeout: rt.Limits.RPCHandshakeTimeout, Logger: log,
	}
}

// lanPool is the pool of this datacenter.
func lanPool(rt *config.Runtime, id string, log *slog.Logger, heard func(gossip.UserEvent)) (*gossip.Pool, error) {
	c := gossip.DefaultConfig(gossip.LAN)
	g := rt.GossipLAN
	c.Timing = gossip.Timing{
		GossipNodes: g.Nodes, GossipInterval: g.Interval, ProbeInterval: g.ProbeInterval, ProbeTimeout: g.ProbeTimeout,
		SuspicionMult: g.SuspicionMult, RetransmitMult: g.RetransmitMult,
	}
	c.ReconnectTimeout, c.OnUserEvent = rt.ReconnectTimeout, heard
	return pool(c, rt, id, rt.SerfLAN, rt.SerfLANAllowedCIDRs, log)
}

// wanPool is the pool of the servers of all datacenters, nil where its port is
// off.
func wanPool(rt *config.Runtime, id string, log *slog.Logger) (*gossip.Pool, error) {
	if !rt.Server || !rt.SerfWAN.IsValid() {
		return nil, nil
	}
	c := gossip.DefaultConfig(gossip.WAN)
	g := rt.GossipWAN
	c.Timing = gossip.Timing{
		GossipNodes: g.Nodes, GossipInterval: g.Interval, ProbeInterval: g.ProbeInterval, ProbeTimeout: g.ProbeTimeout,
		SuspicionMult: g.SuspicionMult, RetransmitMult: g.RetransmitMult,
	}
	c.ReconnectTimeout = rt.ReconnectTimeoutWAN
	return pool(c, rt, id, rt.SerfWAN, rt.SerfWANAllowedCIDRs, log)
}

func pool(c gossip.Config, rt *config.Runtime, id string, at config.Endpoint, cidrs []string, log *slog.Logger) (*gossip.Pool, error) {
	c.NodeName, c.Identity = rt.NodeName, identity(rt, id)
	c.BindAddr, c.BindPort = at.Bind.Addr().String(), int(at.Bind.Port())
	c.AdvertiseAddr, c.AdvertisePort = at.Advertise.Addr().String(), int(at.Advertise.Port())
	for _, cidr := range cidrs {
		p, err := netip.ParsePrefix(cidr)
		if err != nil {
			return nil, fmt.Errorf("allowed network %q of the %s pool: %w", cidr, c.Kind, err)
		}
		c.AllowedCIDRs = append(c.AllowedCIDRs, p)
	}
	if !rt.DevMode {
		c.Dir = rt.DataDir
	}
	c.RejoinAfterLeave = rt.RejoinAfterLeave
	c.EncryptKey, c.DisableKeyringFile = rt.Encrypt, rt.DisableKeyringFile || rt.DevMode
	c.DisableCoordinates = rt.DisableCoordinates
	c.VerifyIncoming, c.VerifyOutgoing = rt.EncryptVerifyIncoming, rt.EncryptVerifyOutgoing
	c.Logger = log
	return gossip.New(c)
}

// raftSettings are those of consensus, but for what the server fills in.
func raftSettings(rt *config.Runtime) consensus.Config {
	c := consensus.DefaultConfig()
	c.Reloadable = raftReloadable(rt)
	c.LeaderLease = c.Reloadable.HeartbeatTimeout
	c.PreVoteDisabled = rt.RaftPrevoteDisabled
	c.SegmentBytes = rt.RaftLogStore.WAL.SegmentSizeMB << 20
	// The agent that was asked does the waiting for a leader.
	c.HoldTimeout = holdStep
	if !rt.DevMode {
		c.Dir = rt.DataDir + "/raft"
	}
	if rt.Expect == 1 && !namesOthers(rt.RetryJoin, rt.SerfLAN) {
		// Nobody could give back what a damaged disk took.
		c.OnDamage = consensus.Refuse
	}
	return c
}

// namesOthers reports whether an address to join may be that of another agent
// than the one at own. One list for all servers names each of them, too.
func namesOthers(join []string, own config.Endpoint) bool {
	return slices.ContainsFunc(join, func(address string) bool {
		host := address
		if h, _, err := net.SplitHostPort(address); err == nil {
			host = h
		}
		ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
		return err != nil || ip != own.Advertise.Addr() && ip != own.Bind.Addr()
	})
}

// holdStep is how long one attempt at a linearizable read waits for a leader;
// requests are attempted again until performance.rpc_hold_timeout.
const holdStep = 250 * time.Millisecond

// raftReloadable scales Raft's timers by the multiplier.
func raftReloadable(rt *config.Runtime) consensus.Reloadable {
	r := consensus.DefaultConfig().Reloadable
	factor := time.Duration(rt.Performance.RaftMultiplier)
	r.HeartbeatTimeout *= factor
	r.ElectionTimeout *= factor
	r.SnapshotInterval = rt.RaftSnapshotInterval
	r.SnapshotThreshold = uint64(rt.RaftSnapshotThreshold)
	r.TrailingLogs = uint64(rt.RaftTrailingLogs)
	return r
}

// autopilotSettings are the first settings of a new cluster.
func autopilotSettings(rt *config.Runtime) autopilot.Config {
	a := rt.Autopilot
	return autopilot.Config{
		CleanupDeadServers: a.CleanupDeadServers, LastContactThreshold: a.LastContactThreshold,
		MaxTrailingLogs: uint64(a.MaxTrailingLogs), MinQuorum: uint(a.MinQuorum),
		ServerStabilizationTime: a.ServerStabilizationTime,
	}
}

// authoritySettings are the first settings of the certificate authority of a new
// cluster.
func authoritySettings(rt *config.Runtime) ca.Given {
	c := rt.Connect.CAConfig
	return ca.Given{
		Settings: ca.Settings{
			LeafTTL: c.LeafCertTTL, IntermediateTTL: c.IntermediateCertTTL, RootTTL: c.RootCertTTL,
			KeyType: c.PrivateKeyType, KeyBits: c.PrivateKeyBits,
			RequestsPerSecond: c.CSRMaxPerSecond, RequestsAtOnce: c.CSRMaxConcurrent, RootCert: strings.TrimSpace(c.RootCert),
		},
		PrivateKey: c.PrivateKey,
	}
}
