package httpapi

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/ctl-sh/ctl/internal/connlimit"
)

// HTTPServerConfig is what a [HTTPServer] needs; zero limits stand for those named.
type HTTPServerConfig struct {
	// Listeners are served until the stop, and closed by it.
	Listeners []net.Listener
	// Secure listeners are served over TLS, with TLS as the configuration.
	// Each handshake may take HandshakeTimeout; zero is 5 s.
	Secure           []net.Listener
	TLS              *tls.Config
	HandshakeTimeout time.Duration
	// Refused is told of connections that did not come about because one side
	// spoke TLS and the other did not, or would not have the other's
	// certificate. It may be called at any time, by any number of goroutines;
	// nil tells nobody.
	Refused func(peer string, err error)
	// Handler answers: a Mux.
	Handler http.Handler
	Logger  *slog.Logger
	// MaxConnsPerClient bounds connections per IP address; zero is no
	// limit. Unix sockets have none.
	MaxConnsPerClient int
	// MaxHeaderBytes bounds a request's line and headers; zero is net/http's
	// 1 MiB.
	MaxHeaderBytes int
	// ReadHeaderTimeout bounds the reading of them; zero is 5 s.
	ReadHeaderTimeout time.Duration
	// IdleTimeout closes connections without requests; zero is 5 min, which
	// is longer than clients keep theirs, so that they close first and never
	// lose a request to a closing connection.
	IdleTimeout time.Duration
	// DrainTimeout is how long a stopping server waits for requests that do
	// not block; zero is 5 s.
	DrainTimeout time.Duration
}

func (c HTTPServerConfig) withDefaults() HTTPServerConfig {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = 5 * time.Second
	}
	if c.Refused == nil {
		c.Refused = func(string, error) {}
	}
	if c.ReadHeaderTimeout == 0 {
		c.ReadHeaderTimeout = 5 * time.Second
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 5 * time.Minute
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 5 * time.Second
	}
	return c
}

// HTTPServer serves a handler over listeners.
type HTTPServer struct {
	cfg      HTTPServerConfig
	limiter  *connlimit.Limiter
	farewell farewell
}

// NewHTTPServer prepares a server. It starts nothing.
func NewHTTPServer(cfg HTTPServerConfig) *HTTPServer {
	cfg = cfg.withDefaults()
	return &HTTPServer{
		cfg:      cfg,
		limiter:  connlimit.New(cfg.MaxConnsPerClient),
		farewell: farewell{slots: make(chan struct{}, 64)},
	}
}

// SetMaxConnsPerClient changes the limit for connections to come.
func (s *HTTPServer) SetMaxConnsPerClient(n int) { s.limiter.SetLimit(n) }

// Run serves until ctx ends or a listener fails. At the end it takes no more
// connections, ends blocking reads and streams at once, waits for the other
// requests as long as the drain timeout, then cancels them, and returns when
// everything it started has ended.
func (s *HTTPServer) Run(ctx context.Context, ready func()) error {
	stopping, stop := context.WithCancel(context.Background())
	defer stop()
	requests, cancel := context.WithCancel(context.WithValue(context.Background(), stopKey{}, stopping))
	defer cancel()
	var conns sync.WaitGroup
	hs := &http.Server{
		Handler:           s.cfg.Handler,
		ReadHeaderTimeout: s.cfg.ReadHeaderTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    s.cfg.MaxHeaderBytes,
		ErrorLog:          s.errorLog(),
		Protocols:         new(http.Protocols),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew: // before the connection's goroutine starts
				conns.Add(1)
			case http.StateClosed, http.StateHijacked: // when it ends
				conns.Done()
			default:
			}
		},
	}
	hs.Protocols.SetHTTP1(true)
	hs.Protocols.SetHTTP2(true) // over TLS
	failed := make(chan error, len(s.cfg.Listeners)+len(s.cfg.Secure))
	var serving sync.WaitGroup
	limited := func(l net.Listener) *limitedListener {
		return &limitedListener{Listener: l, limiter: s.limiter, log: s.cfg.Logger}
	}
	for _, l := range s.cfg.Listeners {
		serving.Go(func() {
			plain := limited(l)
			plain.farewell, plain.refused = &s.farewell, s.cfg.Refused
			failed <- hs.Serve(plain)
		})
	}
	for _, l := range s.cfg.Secure {
		serving.Go(func() {
			failed <- hs.Serve(&secureListener{limitedListener: limited(l), config: s.cfg.TLS, timeout: s.cfg.HandshakeTimeout})
		})
	}
	ready()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("http server: %w", err)
	}
	stop()
	s.drain(hs, cancel)
	serving.Wait()
	conns.Wait()
	s.farewell.wait()
	return err
}

// answerTime is how long requests that were cancelled have to say so.
const answerTime = time.Second

// drain ends hs gently, then firmly, then not at all gently.
func (s *HTTPServer) drain(hs *http.Server, cancel context.CancelFunc) {
	if shutdown(hs, s.cfg.DrainTimeout) {
		return
	}
	s.cfg.Logger.Warn("requests did not end in time, cancelling them", "timeout", s.cfg.DrainTimeout)
	cancel()
	if !shutdown(hs, answerTime) {
		_ = hs.Close() // the connections' own errors are nobody's concern
	}
}

// shutdown reports whether every connection became idle within d.
func shutdown(hs *http.Server, d time.Duration) bool {
	ctx, done := context.WithTimeout(context.Background(), d)
	defer done()
	return hs.Shutdown(ctx) == nil
}

// maxStreams bounds the requests in flight on one HTTP/2 connection, which counts
// as one connection of its client.
const maxStreams = 100

// limitedListener refuses connections over the limit, with an answer where there
// is a farewell.
type limitedListener struct {
	net.Listener
	limiter  *connlimit.Limiter
	farewell *farewell
	log      *slog.Logger
	refused  func(peer string, err error)
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		release, ok := l.limiter.Acquire(c.RemoteAddr())
		if ok {
			c = connlimit.NewConn(c, release)
			if l.refused != nil {
				c = &plainConn{Conn: c, refused: l.refused}
			}
			return c, nil
		}
		l.log.Warn("connection refused: too many from this address",
			"from", clientHost(c.RemoteAddr()), "limit", l.limiter.Limit())
		if l.farewell == nil {
			_ = c.Close() // it could not read an answer before a handshake
			continue
		}
		l.farewell.say(c, fmt.Sprintf("Too many concurrent connections from your address (limit %d)\n", l.limiter.Limit()))
	}
}

// farewell tells refused connections why, a bounded number at a time.
type farewell struct {
	slots chan struct{}
	wg    sync.WaitGroup
}

// lingering bounds the time a refused client is given to read the answer.
const lingering = 500 * time.Millisecond

func (f *farewell) say(c net.Conn, why string) {
	select {
	case f.slots <- struct{}{}:
	default:
		c.Close()
		return
	}
	f.wg.Go(func() {
		defer func() { <-f.slots }()
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(lingering))
		_, err := fmt.Fprintf(c, "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain; charset=utf-8\r\n"+
			"Content-Length: %d\r\nConnection: close\r\n\r\n%s", len(why), why)
		half, ok := c.(interface{ CloseWrite() error })
		if err != nil || !ok || half.CloseWrite() != nil {
			return
		}
		// Closing with bytes unread would reset the connection and take the
		// answer with it.
		_, _ = io.CopyN(io.Discard, c, 16<<10)
	})
}

func (f *farewell) wait() { f.wg.Wait() }
