package dnsserver

import (
	"net"
	"net/netip"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// socket reads questions and writes answers. Any number of goroutines may use
// it.
type socket interface {
	read(b []byte) (int, sender, error)
	write(b []byte, to sender) error
}

// sender is whom an answer goes to. One of its fields is set, by the socket.
type sender struct {
	at      netip.AddrPort
	session *dns.SessionUDP
	addr    net.Addr
}

func (s sender) ip() netip.Addr {
	switch {
	case s.at.IsValid():
		return s.at.Addr().Unmap()
	case s.session != nil:
		s.addr = s.session.RemoteAddr()
	}
	ap, _ := netip.ParseAddrPort(s.addr.String())
	return ap.Addr().Unmap()
}

// newSocket chooses how to use pc. A UDP socket of every address must answer
// from the address it was asked at, which costs some allocations.
func newSocket(pc net.PacketConn) socket {
	udp, ok := pc.(*net.UDPConn)
	if !ok {
		return packetSocket{pc}
	}
	if at, ok := udp.LocalAddr().(*net.UDPAddr); !ok || !at.IP.IsUnspecified() {
		return addressSocket{udp}
	}
	// One of the two does not fit the family of the socket.
	err6 := ipv6.NewPacketConn(udp).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
	err4 := ipv4.NewPacketConn(udp).SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
	if err4 != nil && err6 != nil { // not on this system
		return addressSocket{udp} // the system chooses the address then
	}
	return wildcardSocket{udp}
}

// addressSocket is a UDP socket of one address.
type addressSocket struct{ *net.UDPConn }

func (s addressSocket) read(b []byte) (int, sender, error) {
	n, at, err := s.ReadFromUDPAddrPort(b)
	return n, sender{at: at}, err
}

func (s addressSocket) write(b []byte, to sender) error {
	_, err := s.WriteToUDPAddrPort(b, to.at)
	return err
}

// wildcardSocket is a UDP socket of every address.
type wildcardSocket struct{ *net.UDPConn }

func (s wildcardSocket) read(b []byte) (int, sender, error) {
	n, session, err := dns.ReadFromSessionUDP(s.UDPConn, b)
	return n, sender{session: session}, err
}

func (s wildcardSocket) write(b []byte, to sender) error {
	_, err := dns.WriteToSessionUDP(s.UDPConn, b, to.session)
	return err
}

// packetSocket is any other.
type packetSocket struct{ net.PacketConn }

func (s packetSocket) read(b []byte) (int, sender, error) {
	n, from, err := s.ReadFrom(b)
	return n, sender{addr: from}, err
}

func (s packetSocket) write(b []byte, to sender) error {
	_, err := s.WriteTo(b, to.addr)
	return err
}
