package httpapi

import (
	"context"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// minGzipBytes is the smallest body worth compressing.
	minGzipBytes = 1400
	// pieceBytes is how much of a large body is written under one deadline.
	pieceBytes = 64 << 10
	// flushPause is the longest a streamed byte waits in a buffer.
	flushPause = 200 * time.Millisecond
)

func (m *Mux) setStatic(h http.Header) {
	for i := range m.static {
		h[m.static[i].key] = m.static[i].values
	}
}

// fields sets headers under canonical names, with one allocation for all of
// their slices.
type fields struct {
	h      http.Header
	values []string
}

func (f *fields) set(key, value string) {
	f.values = append(f.values, value)
	n := len(f.values)
	f.h[key] = f.values[n-1 : n : n]
}

// each calls set for every header that belongs to the answer itself.
func (a *answer) each(set func(key, value string)) {
	if a.contentType != "" {
		set("Content-Type", a.contentType)
	}
	if a.meta != nil {
		set("X-Consul-Index", strconv.FormatUint(max(a.meta.Index, 1), 10))
		set("X-Consul-Knownleader", strconv.FormatBool(a.meta.KnownLeader))
		set("X-Consul-Lastcontact", strconv.FormatInt(a.meta.LastContact.Milliseconds(), 10))
		set("X-Consul-Query-Backend", "blocking-query")
		if a.consistency {
			set("X-Consul-Effective-Consistency", a.meta.Mode.String())
		}
	}
	if a.cache != "" {
		set("X-Cache", a.cache)
	}
	if a.location != "" {
		set("Location", a.location)
	}
	if a.allow != "" {
		set("Allow", a.allow)
	}
	if a.contentType == textType { // texts may repeat what the client sent
		set("X-Content-Type-Options", "nosniff")
	}
}

// lines renders the answer's headers for the wire.
func (a *answer) lines() string {
	b := make([]byte, 0, 256)
	a.each(func(key, value string) { b = appendLine(b, key, value) })
	for key, values := range a.header {
		for _, v := range values {
			b = appendLine(b, key, v)
		}
	}
	return string(b) + a.wire
}

// write sends the answer and releases its buffer. A client that went away is
// nobody's error.
func (m *Mux) write(w http.ResponseWriter, r *http.Request, a *answer) {
	defer a.release()
	h := w.Header()
	m.setStatic(h)
	f := fields{h: h, values: make([]string, 0, 8)}
	a.each(f.set)
	maps.Copy(h, a.header)
	if a.wire != "" {
		setLines(h, a.wire)
	}
	if a.close {
		f.set("Connection", "close")
	}
	if a.unread {
		// Without it net/http allows no reading once the answer has begun.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	if a.stream != nil {
		m.writeStream(w, r, a)
		return
	}
	body := a.body
	if len(body) >= minGzipBytes && acceptsGzip(r.Header) && h["Content-Encoding"] == nil {
		if a.shared != nil {
			body = a.shared.compressed(m.gzips)
		} else if gz := m.gzips.compress(body); gz != nil {
			defer m.gzips.release(gz)
			body = gz.out.Bytes()
		}
		if len(body) != len(a.body) {
			f.set("Content-Encoding", "gzip")
		}
	}
	if len(body) > 1024 || a.unread { // net/http counts short ones itself, unless they are flushed
		f.set("Content-Length", strconv.Itoa(len(body)))
	}
	if a.status != http.StatusOK || len(body) == 0 {
		w.WriteHeader(a.status)
	}
	m.writeBody(w, body)
}

// writeBody sends a large body in pieces, so that a client that stops reading
// does not hold it for ever.
func (m *Mux) writeBody(w http.ResponseWriter, body []byte) {
	if len(body) <= pieceBytes {
		_, _ = w.Write(body)
		return
	}
	rc := http.NewResponseController(w)
	defer func() { _ = rc.SetWriteDeadline(time.Time{}) }() // a connection that is gone has none
	for len(body) > 0 {
		n := min(len(body), pieceBytes)
		_ = rc.SetWriteDeadline(time.Now().Add(m.cfg.BodyIdleTimeout))
		if _, err := w.Write(body[:n]); err != nil {
			return
		}
		body = body[n:]
	}
}

// writeStream sends what a.stream writes, until it or the client or the agent
// ends.
func (m *Mux) writeStream(w http.ResponseWriter, r *http.Request, a *answer) {
	ctx, cancel := untilStop(r.Context())
	defer cancel()
	ctx, end := context.WithCancel(ctx)
	out := &streamWriter{w: w, rc: http.NewResponseController(w), idle: m.cfg.BodyIdleTimeout, failed: end}
	if acceptsGzip(r.Header) {
		w.Header().Set("Content-Encoding", "gzip")
		out.gz = newStreamGzip(w)
	}
	w.WriteHeader(a.status)
	out.flush()
	var flusher sync.WaitGroup
	flusher.Go(func() { out.flushEvery(ctx, flushPause) })
	err := a.stream(ctx, out)
	end()
	flusher.Wait()
	out.finish()
	if err != nil && ctx.Err() == nil {
		m.log.Warn("stream ended", "path", r.URL.Path, "error", err)
	}
}

// streamWriter serialises a stream's writes with the flushes of its timer.
type streamWriter struct {
	rc     *http.ResponseController
	idle   time.Duration
	failed func() // called when the client is gone or does not read

	mu    sync.Mutex
	w     io.Writer
	gz    *streamGzip // nil uncompressed
	dirty bool
}

// Write implements io.Writer.
func (s *streamWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.rc.SetWriteDeadline(time.Now().Add(s.idle))
	s.dirty = true
	var n int
	var err error
	if s.gz != nil {
		n, err = s.gz.Write(b)
	} else {
		n, err = s.w.Write(b)
	}
	if err != nil {
		s.failed()
	}
	return n, err
}

// Flush implements Flusher.
func (s *streamWriter) Flush() { s.flush() }

func (s *streamWriter) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.rc.SetWriteDeadline(time.Now().Add(s.idle))
	s.dirty = false
	if s.gz != nil {
		if s.gz.Flush() != nil {
			s.failed()
			return
		}
	}
	if s.rc.Flush() != nil {
		s.failed()
	}
}

func (s *streamWriter) flushEvery(ctx context.Context, pause time.Duration) {
	t := time.NewTicker(pause)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		s.mu.Lock()
		dirty := s.dirty
		s.mu.Unlock()
		if dirty {
			s.flush()
		}
	}
}

func (s *streamWriter) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gz != nil {
		_ = s.gz.Close()
	}
	_ = s.rc.SetWriteDeadline(time.Time{})
}
