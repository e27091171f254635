package checks

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
)

// grpcProbe asks host:port/service by the gRPC health protocol, version 1.
func (r *Runner) grpcProbe(d *Definition) probe {
	address, service, _ := strings.Cut(d.GRPC, "/")
	return func(ctx context.Context) (string, string) {
		transport := insecure.NewCredentials()
		if d.GRPCUseTLS {
			transport = credentials.NewTLS(r.tlsConfig(d))
		}
		conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(transport), grpc.WithUserAgent("Consul Health Check"),
			grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				return dialer.DialContext(ctx, "tcp", addr)
			}))
		if err != nil {
			return Critical, err.Error()
		}
		defer func() { _ = conn.Close() }() // the answer is there, or is not
		resp, err := health.NewHealthClient(conn).Check(ctx, &health.HealthCheckRequest{Service: service})
		if err != nil {
			return Critical, err.Error()
		}
		if resp.GetStatus() != health.HealthCheckResponse_SERVING {
			return Critical, fmt.Sprintf("gRPC check %s: %s", d.GRPC, resp.GetStatus())
		}
		return Passing, fmt.Sprintf("gRPC check %s: success", d.GRPC)
	}
}

// The little of HTTP/2 that a ping takes. Source: RFC 9113, 3.4, 4.1, 6.5, 6.7.
const (
	h2Preface      = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	h2HeaderSize   = 9
	h2MaxFrame     = 16 << 10
	h2Settings     = 4
	h2Ping         = 6
	h2GoAway       = 7
	h2Ack          = 1
	h2PingSize     = 8
	h2PingOpaque   = "ctlcheck"
	h2MaxOtherRead = 100
)

func (r *Runner) h2Probe(d *Definition) probe {
	useTLS := d.H2PingUseTLS == nil || *d.H2PingUseTLS
	return func(ctx context.Context) (string, string) {
		conn, err := r.dial(ctx, "tcp", d.H2PING, useTLS, d, "h2")
		if err != nil {
			return Critical, err.Error()
		}
		defer conn.Close()
		if deadline, ok := ctx.Deadline(); ok {
			if err := conn.SetDeadline(deadline); err != nil {
				return Critical, err.Error()
			}
		}
		// Stop reaches a connection that waits.
		defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
		if err := h2PingOnce(conn); err != nil {
			return Critical, fmt.Sprintf("HTTP2 ping %s: %s", d.H2PING, err)
		}
		return Passing, "HTTP2 ping was successful"
	}
}

func h2Frame(kind, flags byte, payload string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind)) //nolint:gosec // at most 8 bytes
	b = append(b, flags, 0, 0, 0, 0)
	return append(b, payload...)
}

func h2PingOnce(conn io.ReadWriter) error {
	hello := append([]byte(h2Preface), h2Frame(h2Settings, 0, "")...)
	if _, err := conn.Write(append(hello, h2Frame(h2Ping, 0, h2PingOpaque)...)); err != nil {
		return err
	}
	header := make([]byte, h2HeaderSize)
	for range h2MaxOtherRead {
		if _, err := io.ReadFull(conn, header); err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
		length := int64(header[0])<<16 | int64(header[1])<<8 | int64(header[2])
		if length > h2MaxFrame {
			return errors.New("the answer is not HTTP/2")
		}
		var payload bytes.Buffer
		if _, err := io.CopyN(&payload, conn, length); err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
		kind, flags := header[3], header[4]
		switch {
		case kind == h2Ping && flags&h2Ack != 0 && payload.String() == h2PingOpaque:
			return nil
		case kind == h2Settings && flags&h2Ack == 0:
			if _, err := conn.Write(h2Frame(h2Settings, h2Ack, "")); err != nil {
				return err
			}
		case kind == h2GoAway:
			return errors.New("the server sent GOAWAY")
		}
	}
	return errors.New("no answer to the ping")
}
