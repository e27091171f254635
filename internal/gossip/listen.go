package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/hashicorp/memberlist"

	"github.com/ctl-sh/ctl/internal/failure"
)

// listen opens the transport.
func (p *Pool) listen() (memberlist.NodeAwareTransport, error) {
	if p.cfg.Transport != nil {
		return p.cfg.Transport, nil
	}
	t, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{p.cfg.BindAddr},
		BindPort:  p.cfg.BindPort,
		Logger:    newLibraryLog(p.log, p.refusals),
	})
	if err == nil {
		return &netTransport{NetTransport: t}, nil
	}
	return nil, p.listenError(err)
}

// listenError says why the gossip address cannot be had and what to do.
// memberlist does not wrap the cause, so it is asked for again.
func (p *Pool) listenError(err error) error {
	addr := net.JoinHostPort(p.cfg.BindAddr, strconv.Itoa(p.cfg.BindPort))
	cause := tryListen(addr)
	switch {
	case errors.Is(cause, syscall.EADDRINUSE):
		return failure.Newf(failure.Invalid, "gossip address %s is in use: stop the other process, "+
			"or change `bind_addr` or `ports.serf_%s`", addr, p.cfg.Kind)
	case errors.Is(cause, syscall.EADDRNOTAVAIL):
		return failure.Newf(failure.Invalid, "gossip address %s is not an address of this machine: "+
			"correct `bind_addr`", addr)
	default:
		return fmt.Errorf("listen on gossip address %s: %w", addr, err)
	}
}

func tryListen(addr string) error {
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		return errors.Join(err, tcp.Close())
	}
	return errors.Join(tcp.Close(), udp.Close())
}

// netTransport is memberlist's transport on real sockets, with a dial that ends
// with its context.
type netTransport struct {
	*memberlist.NetTransport
}

// DialContext opens a stream to addr.
func (netTransport) DialContext(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}
