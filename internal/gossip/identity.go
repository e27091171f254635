package gossip

import (
	"maps"
	"net"
	"strconv"
	"time"
)

// Names of the tags agents gossip about themselves. They are shared with Consul
// agents and with `ctl members -detailed`: never rename one.
const (
	tagRole        = "role"
	tagDatacenter  = "dc"
	tagID          = "id"
	tagPort        = "port"
	tagVersion     = "vsn"
	tagVersionMin  = "vsn_min"
	tagVersionMax  = "vsn_max"
	tagRaftVersion = "raft_vsn"
	tagBuild       = "build"
	tagACLs        = "acls"
	tagSegment     = "segment"
	tagFeatureFS   = "ft_fs"
	tagFeatureSI   = "ft_si"
	tagGRPCPort    = "grpc_port"
	tagGRPCTLSPort = "grpc_tls_port"
	tagWANJoinPort = "wan_join_port"
	tagBootstrap   = "bootstrap"
	tagExpect      = "expect"
	tagUseTLS      = "use_tls"
	tagNonVoter    = "nonvoter"
	tagReadReplica = "read_replica"
	tagReconnect   = "rc_tm"
	tagCluster     = "cluster"
	roleServer     = "consul"
	roleClient     = "node"
	protocolSpoken = 2
	protocolMin    = 2
	protocolMax    = 3
	raftProtocol   = 3
	enabled        = "1"
	disabled       = "0"
)

// Identity is what an agent says about itself in its gossip tags.
type Identity struct {
	// ID is the node id, a UUID.
	ID string
	// Datacenter is the agent's datacenter. Required.
	Datacenter string
	// Build is the version of the agent, such as "1.21.4:ctl".
	Build string
	// Segment is the network segment; empty is the default one.
	Segment string
	// Server says the agent is a server. The fields below are only gossiped
	// by servers, but for ReconnectTimeout and ClusterID.
	Server bool
	// RPCPort is the port of RPC and Raft.
	RPCPort int
	// GRPCPort and GRPCTLSPort are the public gRPC ports; 0 is none.
	GRPCPort, GRPCTLSPort int
	// WANJoinPort is the gossip port of the WAN pool, told in the LAN pool;
	// 0 is none.
	WANJoinPort int
	// Expect is bootstrap_expect; 0 is unset.
	Expect int
	// Bootstrap says the server was started with bootstrap.
	Bootstrap bool
	// NonVoter says the server never votes.
	NonVoter bool
	// ACLs says whether access control is on.
	ACLs bool
	// UseTLS says that RPC takes TLS.
	UseTLS bool
	// ReconnectTimeout, when not 0, asks the others to forget this agent
	// after that time instead of their own reconnect_timeout.
	ReconnectTimeout time.Duration
	// ClusterID names the cluster once it is known. Agents of two different
	// clusters do not admit each other; empty matches any.
	ClusterID string
}

// tags returns the tags of the agent in a pool of the kind.
func (id Identity) tags(kind Kind) map[string]string {
	t := map[string]string{
		tagRole:       roleClient,
		tagDatacenter: id.Datacenter,
		tagID:         id.ID,
		tagSegment:    id.Segment,
		tagVersion:    strconv.Itoa(protocolSpoken),
		tagVersionMin: strconv.Itoa(protocolMin),
		tagVersionMax: strconv.Itoa(protocolMax),
		tagBuild:      id.Build,
	}
	if id.ReconnectTimeout > 0 {
		t[tagReconnect] = id.ReconnectTimeout.String()
	}
	if id.ClusterID != "" {
		t[tagCluster] = id.ClusterID
	}
	if id.Server {
		maps.Copy(t, id.serverTags(kind))
	}
	return t
}

func (id Identity) serverTags(kind Kind) map[string]string {
	t := map[string]string{
		tagRole:        roleServer,
		tagPort:        strconv.Itoa(id.RPCPort),
		tagRaftVersion: strconv.Itoa(raftProtocol),
		tagFeatureFS:   enabled,
		tagFeatureSI:   enabled,
		tagACLs:        disabled,
	}
	for tag, on := range map[string]bool{
		tagACLs:        id.ACLs,
		tagBootstrap:   id.Bootstrap,
		tagUseTLS:      id.UseTLS,
		tagNonVoter:    id.NonVoter,
		tagReadReplica: id.NonVoter,
	} {
		if on {
			t[tag] = enabled
		}
	}
	ports := map[string]int{tagExpect: id.Expect, tagGRPCPort: id.GRPCPort, tagGRPCTLSPort: id.GRPCTLSPort}
	if kind == LAN {
		ports[tagWANJoinPort] = id.WANJoinPort
	}
	for tag, n := range ports {
		if n > 0 {
			t[tag] = strconv.Itoa(n)
		}
	}
	return t
}

// Server is what a server says about itself in its gossip tags.
type Server struct {
	// ID is the node id, and the server's id in Raft.
	ID string
	// Name is the member's name: in the WAN pool "<node>.<datacenter>".
	Name string
	// Datacenter the server belongs to.
	Datacenter string
	// Addr is host:port of RPC and Raft.
	Addr string
	// GossipAddr is host:port of the pool it was seen in.
	GossipAddr string
	// WANAddr is host:port of its WAN pool, or empty.
	WANAddr string
	// Build is its version, such as "1.21.4:ctl".
	Build string
	// Segment is its network segment.
	Segment string
	// ClusterID is the cluster it says it is in, or empty.
	ClusterID string
	// Version is the agent protocol it speaks.
	Version int
	// RaftVersion is the Raft protocol it speaks.
	RaftVersion int
	// Expect is its bootstrap_expect, 0 if unset.
	Expect int
	// Bootstrap says it was started with bootstrap.
	Bootstrap bool
	// NonVoter says it never votes.
	NonVoter bool
	// ACLs says whether access control is on.
	ACLs bool
	// UseTLS says that its RPC takes TLS.
	UseTLS bool
	// GRPCPort and GRPCTLSPort are its public gRPC ports, 0 for none.
	GRPCPort, GRPCTLSPort int
	// Status is what gossip knows of its life.
	Status Status
}

// ServerOf reads a server's tags. It reports false for a member that is not a
// server, or whose RPC port cannot be read; other numbers that cannot be read
// are 0.
func ServerOf(m Member) (Server, bool) {
	if m.Tags[tagRole] != roleServer {
		return Server{}, false
	}
	port, err := strconv.ParseUint(m.Tags[tagPort], 10, 16)
	if err != nil || port == 0 {
		return Server{}, false
	}
	s := Server{
		ID:          m.Tags[tagID],
		Name:        m.Name,
		Datacenter:  m.Tags[tagDatacenter],
		Addr:        net.JoinHostPort(m.Addr, m.Tags[tagPort]),
		GossipAddr:  net.JoinHostPort(m.Addr, strconv.Itoa(int(m.Port))),
		Build:       m.Tags[tagBuild],
		Segment:     m.Tags[tagSegment],
		ClusterID:   m.Tags[tagCluster],
		Version:     numberTag(m, tagVersion),
		RaftVersion: numberTag(m, tagRaftVersion),
		Expect:      numberTag(m, tagExpect),
		Bootstrap:   m.Tags[tagBootstrap] == enabled,
		NonVoter:    m.Tags[tagNonVoter] == enabled || m.Tags[tagReadReplica] == enabled,
		ACLs:        m.Tags[tagACLs] == enabled,
		UseTLS:      m.Tags[tagUseTLS] == enabled,
		GRPCPort:    numberTag(m, tagGRPCPort),
		GRPCTLSPort: numberTag(m, tagGRPCTLSPort),
		Status:      m.Status,
	}
	if n := numberTag(m, tagWANJoinPort); n > 0 {
		s.WANAddr = net.JoinHostPort(m.Addr, strconv.Itoa(n))
	}
	return s, true
}

func numberTag(m Member, tag string) int {
	n, err := strconv.Atoi(m.Tags[tag])
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// WANName returns a server's name in the WAN pool.
func WANName(node, datacenter string) string { return node + "." + datacenter }
