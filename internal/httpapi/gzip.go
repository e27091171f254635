package httpapi

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// gzipPool compresses whole bodies. A compressor takes most of a megabyte, so
// they are kept, and no more run at once than use the processors; when all are
// busy a body is sent as it is.
type gzipPool struct {
	slots chan struct{}
	idle  *sync.Pool
}

type gzipped struct {
	w   *gzip.Writer
	out bytes.Buffer
}

func newGzipPool() gzipPool {
	return gzipPool{
		slots: make(chan struct{}, 2*runtime.GOMAXPROCS(0)),
		idle: &sync.Pool{New: func() any {
			w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
			if err != nil {
				panic(err) // cannot happen: the level is a constant
			}
			return &gzipped{w: w}
		}},
	}
}

// compress returns the compressed body, to be released after use, or nil when
// it should be sent as it is.
func (p gzipPool) compress(body []byte) *gzipped {
	select {
	case p.slots <- struct{}{}:
	default:
		return nil
	}
	defer func() { <-p.slots }()
	gz := p.idle.Get().(*gzipped)
	gz.out.Reset()
	gz.w.Reset(&gz.out)
	_, err := gz.w.Write(body)
	if cerr := gz.w.Close(); err != nil || cerr != nil {
		return nil // cannot happen: the buffer takes everything
	}
	return gz
}

func (p gzipPool) release(gz *gzipped) {
	if gz.out.Cap() <= maxPooledBody {
		p.idle.Put(gz)
	}
}

// streamGzip compresses a stream; one is made for each.
type streamGzip struct{ *gzip.Writer }

func newStreamGzip(w io.Writer) *streamGzip { return &streamGzip{gzip.NewWriter(w)} }

// acceptsGzip reports whether the client asked for gzip, by name or else by
// "*", and did not weigh it zero.
func acceptsGzip(h http.Header) bool {
	anything := false
	for _, v := range h["Accept-Encoding"] {
		if v == "gzip" {
			return true
		}
		for coding := range strings.SplitSeq(v, ",") {
			name, params, _ := strings.Cut(coding, ";")
			switch name = strings.TrimSpace(name); {
			case strings.EqualFold(name, "gzip"):
				return weight(params) > 0
			case name == "*":
				anything = weight(params) > 0
			}
		}
	}
	return anything
}

func weight(params string) float64 {
	q, ok := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(params, " ", "")), "q=")
	if !ok {
		return 1
	}
	w, err := strconv.ParseFloat(q, 64)
	if err != nil {
		return 1
	}
	return w
}
