package rpc

import (
	"context"
	"errors"
	"net"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/tlsconf"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// peerCredentials let gRPC know who the other side of a connection is. The mux
// has found it out before gRPC sees the connection; nothing is exchanged here.
type peerCredentials struct{}

// peerInfo is what a handler's context carries about its caller.
type peerInfo struct {
	credentials.CommonAuthInfo
	tlsconf.Peer
}

// AuthType implements credentials.AuthInfo.
func (peerInfo) AuthType() string { return "ctl" }

// ServerHandshake implements credentials.TransportCredentials. A connection
// that no mux looked at is trusted: it is one of a test, or in memory.
func (peerCredentials) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	info := peerInfo{Peer: tlsconf.Peer{Server: true}}
	info.SecurityLevel = credentials.NoSecurity
	if p, ok := c.(*peerConn); ok {
		info.Peer = p.peer
		return p.Conn, info, nil
	}
	return c, info, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (peerCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("rpc: these credentials are a server's")
}

// Info implements credentials.TransportCredentials.
func (peerCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "ctl"}
}

// Clone implements credentials.TransportCredentials.
func (c peerCredentials) Clone() credentials.TransportCredentials { return c }

// OverrideServerName implements credentials.TransportCredentials.
func (peerCredentials) OverrideServerName(string) error { return nil }

// serversOnly fails unless the caller may be a server.
func (s *Server) serversOnly(ctx context.Context, method string) error {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return failure.Newf(failure.Internal, "%s: nobody knows who calls", method)
	}
	if info, ok := p.AuthInfo.(peerInfo); ok && info.Server {
		return nil
	}
	name := "a caller without a certificate"
	if info, ok := p.AuthInfo.(peerInfo); ok && info.Name != "" {
		name = "a certificate for " + info.Name
	}
	s.log.Warn("a call that only servers may make was refused", "method", method, "peer", p.Addr.String(), "certificate", name)
	return failure.Newf(failure.PermissionDenied, "%s: only servers may call this, and this is %s", method, name)
}
