package agentapi

import (
	"bytes"
	"context"
	"io"
	"mime"
	"strings"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/httpapi"
	"github.com/ctl-sh/ctl/internal/logging"
)

// Metrics renders what the agent measures.
type Metrics interface {
	// WriteJSON writes the JSON of /v1/agent/metrics.
	WriteJSON(w io.Writer) error
	// WritePrometheus writes Prometheus' text form, version 0.0.4.
	WritePrometheus(w io.Writer) error
}

const (
	plainText      = "text/plain; charset=utf-8"
	prometheusText = "text/plain; version=0.0.4; charset=utf-8"
)

func (a *API) metrics(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if r.Query.Get("format") == "prometheus" || wantsPrometheus(r.Header["Accept"]) {
		return a.prometheus(ctx, r)
	}
	return a.render(ctx, r, "", a.Metrics.WriteJSON)
}

func (a *API) prometheus(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	return a.render(ctx, r, prometheusText, a.Metrics.WritePrometheus)
}

func (a *API) render(ctx context.Context, r *httpapi.Request, contentType string, write func(io.Writer) error) (*httpapi.Response, error) {
	if err := a.require(ctx, r, authz.Read); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := write(&out); err != nil {
		return nil, err
	}
	body := out.Bytes()
	if contentType == "" {
		body = bytes.TrimSuffix(body, []byte("\n"))
	}
	return &httpapi.Response{ContentType: contentType, Raw: body}, nil
}

// wantsPrometheus reports whether an Accept header is that of a scraper.
func wantsPrometheus(accept []string) bool {
	for _, header := range accept {
		for part := range strings.SplitSeq(header, ",") {
			kind, params, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			if kind == "application/openmetrics-text" || kind == "text/plain" && params["version"] == "0.0.4" {
				return true
			}
		}
	}
	return false
}

func (a *API) monitor(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := a.require(ctx, r, authz.Read); err != nil {
		return nil, err
	}
	level := r.Query.Get("loglevel")
	if level == "" {
		level = "INFO"
	}
	if _, err := logging.ParseLevel(level); err != nil {
		return nil, failure.Newf(failure.BadRequest, "Unknown log level: %s", level)
	}
	lines, err := a.Logs.Subscribe(level, r.Has("logjson"))
	if err != nil {
		return nil, err
	}
	return &httpapi.Response{ContentType: plainText, Stream: func(ctx context.Context, w io.Writer) error {
		return follow(ctx, w, lines)
	}}, nil
}

// follow copies lines to w until ctx or the log ends, and closes lines.
func follow(ctx context.Context, w io.Writer, lines *logging.Subscription) error {
	defer lines.Close()
	for {
		select {
		case line, ok := <-lines.Lines():
			if !ok {
				return nil
			}
			if _, err := w.Write(line); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}
