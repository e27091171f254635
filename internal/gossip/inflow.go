package gossip

import (
	"log/slog"
	"net"
	"sync"

	"github.com/hashicorp/memberlist"

	"github.com/ctl-sh/ctl/internal/logging"
)

const (
	// maxStreams bounds inbound streams open at once. Each may make
	// memberlist unpack tens of megabytes, and an exchange takes
	// milliseconds, so an honest cluster needs few.
	maxStreams = 64
	// maxStreamsPerHost bounds those of one address, so that one host cannot
	// keep the others out.
	maxStreamsPerHost = 16
)

// inflow is a transport that limits inbound streams, and remembers from whom
// packets come. A stream over the limit is closed at once; the other side tries
// again.
type inflow struct {
	memberlist.NodeAwareTransport
	log     *slog.Logger
	heard   *heard
	packets chan *memberlist.Packet
	streams chan net.Conn
	stop    chan struct{}
	once    sync.Once
	pump    sync.WaitGroup

	mu     sync.Mutex
	open   int
	byHost map[string]int
	told   bool // that the limit was met, since it was last far away
}

// newInflow wraps t and starts to pass on what comes in; Shutdown ends that.
func newInflow(t memberlist.NodeAwareTransport, h *heard, log *slog.Logger) *inflow {
	f := &inflow{
		NodeAwareTransport: t,
		log:                log,
		heard:              h,
		packets:            make(chan *memberlist.Packet),
		streams:            make(chan net.Conn),
		stop:               make(chan struct{}),
		byHost:             make(map[string]int),
	}
	f.pump.Go(f.pass)
	f.pump.Go(f.passPackets)
	return f
}

// PacketCh implements memberlist.Transport.
func (f *inflow) PacketCh() <-chan *memberlist.Packet { return f.packets }

// StreamCh implements memberlist.Transport.
func (f *inflow) StreamCh() <-chan net.Conn { return f.streams }

// Shutdown implements memberlist.Transport.
func (f *inflow) Shutdown() error {
	// The inner transport may be about to hand something over, so passing
	// goes on until it has stopped.
	err := f.NodeAwareTransport.Shutdown()
	f.once.Do(func() { close(f.stop) })
	f.pump.Wait()
	return err
}

func (f *inflow) pass() {
	for {
		select {
		case conn := <-f.NodeAwareTransport.StreamCh():
			f.admit(conn)
		case <-f.stop:
			return
		}
	}
}

func (f *inflow) passPackets() {
	for {
		select {
		case p := <-f.NodeAwareTransport.PacketCh():
			f.heard.note(p.From, p.Timestamp)
			select {
			case f.packets <- p:
			case <-f.stop: // nobody reads it any more
			}
		case <-f.stop:
			return
		}
	}
}

func (f *inflow) admit(conn net.Conn) {
	host := hostOf(conn)
	if !f.take(host) {
		_ = conn.Close() // refused: nothing was read or written
		return
	}
	counted := &countedConn{Conn: conn, done: sync.OnceFunc(func() { f.give(host) })}
	select {
	case f.streams <- counted:
	case <-f.stop:
		_ = counted.Close() // nobody reads it any more
	}
}

func (f *inflow) take(host string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open >= maxStreams || f.byHost[host] >= maxStreamsPerHost {
		if !f.told {
			f.told = true
			f.log.Warn("too many gossip connections at once, refusing some", logging.KeyRemote, host,
				"open", f.open, "open_from_there", f.byHost[host])
		}
		return false
	}
	f.open++
	f.byHost[host]++
	return true
}

func (f *inflow) give(host string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open--
	if f.byHost[host]--; f.byHost[host] == 0 {
		delete(f.byHost, host)
	}
	if f.open == 0 {
		f.told = false
	}
}

func hostOf(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String()
	}
	return host
}

// countedConn tells when it is closed, once.
type countedConn struct {
	net.Conn
	done func()
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	defer c.done()
	return c.Conn.Close()
}
