package gossip

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/memberlist"

	"github.com/ctl-sh/ctl/internal/failure"
)

// Kind says which pool an agent is in.
type Kind uint8

const (
	// LAN is the pool of all agents of one datacenter.
	LAN Kind = iota
	// WAN is the pool of the servers of all datacenters.
	WAN
)

// String returns "lan" or "wan".
func (k Kind) String() string {
	if k == WAN {
		return "wan"
	}
	return "lan"
}

// Default ports of the pools.
const (
	DefaultLANPort = 8301
	DefaultWANPort = 8302
)

// maxNameBytes bounds a member's name: it is in every gossip message, and
// "<node>.<datacenter>" must still fit beside 512 bytes of tags in one packet.
const maxNameBytes = 255

// Timing holds the gossip_lan or gossip_wan settings.
type Timing struct {
	// GossipNodes is how many members get each round of gossip.
	GossipNodes int
	// GossipInterval is the time between rounds.
	GossipInterval time.Duration
	// ProbeInterval is the time between two probes of the failure detector.
	ProbeInterval time.Duration
	// ProbeTimeout is how long a probed member may take to answer.
	ProbeTimeout time.Duration
	// SuspicionMult scales how long a silent member may defend itself.
	SuspicionMult int
	// RetransmitMult scales how often a message is passed on.
	RetransmitMult int
}

// DefaultTiming returns the defaults of gossip_lan or gossip_wan.
func DefaultTiming(kind Kind) Timing {
	if kind == WAN {
		return Timing{
			GossipNodes: 3, GossipInterval: 500 * time.Millisecond,
			ProbeInterval: 5 * time.Second, ProbeTimeout: 3 * time.Second,
			SuspicionMult: 6, RetransmitMult: 4,
		}
	}
	return Timing{
		GossipNodes: 3, GossipInterval: 200 * time.Millisecond,
		ProbeInterval: time.Second, ProbeTimeout: 500 * time.Millisecond,
		SuspicionMult: 4, RetransmitMult: 4,
	}
}

// Config describes one pool. Start from [DefaultConfig].
type Config struct {
	// Kind is the pool.
	Kind Kind
	// NodeName is the agent's name; in the WAN pool the datacenter is
	// appended. Any UTF-8 without control characters, up to 255 bytes.
	NodeName string
	// Identity becomes the agent's tags.
	Identity Identity

	// BindAddr is the IP address to listen on; empty is 0.0.0.0.
	BindAddr string
	// BindPort is the TCP and UDP port to listen on; 0 asks the system.
	BindPort int
	// AdvertiseAddr is the IP address told to others; empty is the bind
	// address, or a private address of this machine.
	AdvertiseAddr string
	// AdvertisePort is the port told to others; 0 is the bind port.
	AdvertisePort int
	// AllowedCIDRs are the networks members may be in; empty is any.
	AllowedCIDRs []netip.Prefix

	// Timing holds the gossip settings.
	Timing Timing
	// ReconnectTimeout is how long a failed member is remembered.
	ReconnectTimeout time.Duration
	// TombstoneTimeout is how long a member that left is remembered.
	TombstoneTimeout time.Duration
	// LeavePropagateDelay is how long Leave stays up after its message
	// went out, so that nobody takes the leaver for failed.
	LeavePropagateDelay time.Duration

	// Dir is the agent's data_dir. Members are kept in serf/local.snapshot
	// (LAN) or serf/remote.snapshot (WAN) below it. Empty keeps nothing.
	Dir string
	// RejoinAfterLeave joins the members of the snapshot even if this
	// agent left them.
	RejoinAfterLeave bool

	// EncryptKey is the gossip key in base64 (16, 24 or 32 bytes); empty is
	// none. A keyring file below Dir wins over it.
	EncryptKey string
	// DisableKeyringFile neither reads nor writes the keyring file.
	DisableKeyringFile bool
	// VerifyIncoming refuses gossip that is not encrypted with a known key.
	VerifyIncoming bool
	// VerifyOutgoing encrypts what is sent.
	VerifyOutgoing bool

	// DisableCoordinates neither measures where members are nor tells.
	DisableCoordinates bool

	// Transport carries the messages; nil listens on BindAddr. The pool
	// shuts it down. If it has DialContext(ctx, addr), joins are quicker.
	Transport memberlist.NodeAwareTransport
	// LookupIP resolves host names of join addresses; nil asks the system.
	LookupIP LookupIP
	// OnUserEvent, if set, is called for every user event, one at a time.
	// It must not block: gossip waits for it.
	OnUserEvent func(UserEvent)
	// Logger takes what happens; nil drops it.
	Logger *slog.Logger
}

// DefaultConfig returns the defaults of a pool: everything but names, identity,
// addresses and directory.
func DefaultConfig(kind Kind) Config {
	port := DefaultLANPort
	if kind == WAN {
		port = DefaultWANPort
	}
	return Config{
		Kind:                kind,
		BindPort:            port,
		Timing:              DefaultTiming(kind),
		ReconnectTimeout:    72 * time.Hour,
		TombstoneTimeout:    24 * time.Hour,
		LeavePropagateDelay: 3 * time.Second,
		VerifyIncoming:      true,
		VerifyOutgoing:      true,
	}
}

// Validate reports what in c cannot work. It touches neither network nor disk.
func (c Config) Validate() error {
	if err := checkName(c.memberName()); err != nil {
		return failure.Newf(failure.Invalid, "node_name: %w", err)
	}
	if c.Identity.Datacenter == "" {
		return failure.New(failure.Invalid, "datacenter: must not be empty")
	}
	if c.Kind == WAN && !c.Identity.Server {
		return failure.New(failure.Invalid, "the WAN pool is for servers")
	}
	for _, a := range []struct{ key, addr string }{{"bind_addr", c.BindAddr}, {"advertise_addr", c.AdvertiseAddr}} {
		if a.addr != "" && net.ParseIP(a.addr) == nil {
			return failure.Newf(failure.Invalid, "%s: %q is not an IP address", a.key, a.addr)
		}
	}
	if c.BindPort < 0 || c.BindPort > 65535 || c.AdvertisePort < 0 || c.AdvertisePort > 65535 {
		return failure.Newf(failure.Invalid, "ports.serf_%s: must be between 0 and 65535", c.Kind)
	}
	if err := c.Timing.validate(c.Kind); err != nil {
		return err
	}
	if c.EncryptKey != "" {
		if _, err := decodeKey(c.EncryptKey); err != nil {
			return failure.Newf(failure.Invalid, "encrypt: %w", err)
		}
	}
	return nil
}

func (t Timing) validate(kind Kind) error {
	for _, v := range []struct {
		key  string
		good bool
	}{
		{"gossip_nodes", t.GossipNodes > 0},
		{"gossip_interval", t.GossipInterval > 0},
		{"probe_interval", t.ProbeInterval > 0},
		{"probe_timeout", t.ProbeTimeout > 0},
		{"suspicion_mult", t.SuspicionMult > 0},
		{"retransmit_mult", t.RetransmitMult > 0},
	} {
		if !v.good {
			return failure.Newf(failure.Invalid, "gossip_%s.%s: must be greater than 0", kind, v.key)
		}
	}
	return nil
}

// memberName is the agent's name in this pool.
func (c Config) memberName() string {
	if c.Kind == WAN {
		return WANName(c.NodeName, c.Identity.Datacenter)
	}
	return c.NodeName
}

// file returns the path of a file of this pool below the data directory.
func (c Config) file(kind string) string {
	if c.Kind == WAN {
		return filepath.Join(c.Dir, "serf", "remote."+kind)
	}
	return filepath.Join(c.Dir, "serf", "local."+kind)
}

// checkName refuses names that cannot be gossiped or would break the snapshot
// file, which holds one name a line. It allows more than Serf's own check,
// which knows no underscore: Consul agents have names with underscores and dots.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("must not be empty")
	case len(name) > maxNameBytes:
		return fmt.Errorf("%d bytes are too long: at most %d", len(name), maxNameBytes)
	case !utf8.ValidString(name):
		return fmt.Errorf("%q is not UTF-8", name)
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return fmt.Errorf("%q contains a control character", name)
		}
	}
	return nil
}
