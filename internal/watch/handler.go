package watch

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/program"
)

// A Handler is told of changes, one at a time.
type Handler interface {
	// Handle blocks until the change is dealt with, or ctx ends. What it was
	// told by the handler goes to the log; a failure ends nothing.
	Handle(ctx context.Context, c Change) error
}

// Program is a Handler that runs a program. It gets the content on standard input
// and the index in CONSUL_INDEX; the end of the context ends it and all it
// started.
type Program struct {
	Args   []string // program and arguments
	Stdout io.Writer
	Stderr io.Writer
}

// Handle implements Handler.
func (p *Program) Handle(ctx context.Context, c Change) error {
	cmd := exec.CommandContext(ctx, p.Args[0], p.Args[1:]...) //nolint:gosec // running it is what was asked
	program.OwnGroup(cmd)
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "CONSUL_INDEX="+c.Index)
	cmd.Stdin = bytes.NewReader(append(bytes.Clone(c.Body), '\n'))
	cmd.Stdout, cmd.Stderr = p.Stdout, p.Stderr
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("run %s: %w", strings.Join(p.Args, " "), err)
	}
	return nil
}

// Post is a Handler that sends the content to a URL, with the index in
// X-Consul-Index.
type Post struct {
	URL           string
	Method        string        // POST if empty
	Header        http.Header   // further headers
	Timeout       time.Duration // 10 s if 0
	TLSSkipVerify bool
	Body          io.Writer // takes what the answer says; may be nil
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 4096

// Handle implements Handler. An answer other than 2xx is a failure.
func (p *Post) Handle(ctx context.Context, c Change) error {
	timeout, method := p.Timeout, p.Method
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	if method == "" {
		method = http.MethodPost
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.URL, bytes.NewReader(c.Body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	for k, v := range p.Header {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	req.Header.Set("X-Consul-Index", c.Index)
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableKeepAlives = true
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: p.TLSSkipVerify} //nolint:gosec // the configuration asks for it
	resp, err := (&http.Client{Transport: t}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if p.Body != nil {
		_, _ = p.Body.Write(said) // only for the log
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s answered %s", method, p.URL, resp.Status)
	}
	return nil
}
