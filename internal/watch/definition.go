package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ctl-sh/ctl/internal/program"
)

// Definition is a watch of a configuration file: what is watched and who is told.
type Definition struct {
	Plan    Plan
	Handler Handler
}

// words are a string or a list of strings.
type words []string

func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

// Parse reads the definition of a watch in the names of configuration files.
// shell runs a handler that is a command line; output takes what handlers print,
// a bounded part of it once per call.
func Parse(text []byte, shell string, output func(said string)) (*Definition, error) {
	var d struct {
		Type        string
		Key         string
		Prefix      string
		Service     string
		Tag         words
		PassingOnly bool
		State       string
		ServiceID   string `json:"service_id"`
		Filter      string
		Datacenter  string
		Token       string
		Stale       bool
		Args        []string
		Handler     string
		HandlerType string `json:"handler_type"`
		HTTP        struct {
			Path          string
			Method        string
			Timeout       string
			Header        map[string][]string
			TLSSkipVerify bool `json:"tls_skip_verify"`
		} `json:"http_handler_config"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	def := &Definition{Plan: Plan{
		Type: d.Type, Key: d.Key, Prefix: d.Prefix, Service: d.Service, Tags: d.Tag, PassingOnly: d.PassingOnly,
		State: d.State, ServiceID: d.ServiceID, Filter: d.Filter, Datacenter: d.Datacenter, Token: d.Token, Stale: d.Stale,
	}}
	if err := def.Plan.Validate(); err != nil {
		return nil, err
	}
	switch {
	case len(d.Args) > 0 && d.Handler != "":
		return nil, errors.New(`only one of "args" and "handler" may be given`)
	case d.HandlerType == "http":
		if len(d.Args) > 0 || d.Handler != "" {
			return nil, errors.New(`a handler of type http takes "http_handler_config", not "args" or "handler"`)
		}
		if d.HTTP.Path == "" {
			return nil, errors.New(`a handler of type http needs "http_handler_config.path", the URL to send to`)
		}
		p := &posted{Post{URL: d.HTTP.Path, Method: d.HTTP.Method, Header: http.Header(d.HTTP.Header), TLSSkipVerify: d.HTTP.TLSSkipVerify}, output}
		if d.HTTP.Timeout != "" {
			var err error
			if p.Timeout, err = time.ParseDuration(d.HTTP.Timeout); err != nil || p.Timeout <= 0 {
				return nil, fmt.Errorf(`http_handler_config.timeout: %q is no duration such as "10s"`, d.HTTP.Timeout)
			}
		}
		def.Handler = p
	case d.HandlerType != "" && d.HandlerType != "script":
		return nil, fmt.Errorf(`handler_type %q: it is "script" or "http"`, d.HandlerType)
	case len(d.Args) > 0:
		def.Handler = &logged{d.Args, output}
	case d.Handler != "":
		def.Handler = &logged{program.Shell(shell, d.Handler), output}
	default:
		return nil, errors.New(`a watch needs a handler: "args", or "handler_type": "http" with "http_handler_config"`)
	}
	return def, nil
}

// maxSaid bounds what is kept of what a handler prints, in bytes.
const maxSaid = 4096

// logged is a Program whose output is told when it has ended.
type logged struct {
	args   []string
	output func(said string)
}

// Handle implements Handler.
func (l *logged) Handle(ctx context.Context, c Change) error {
	said := program.NewTail(maxSaid)
	err := (&Program{Args: l.args, Stdout: said, Stderr: said}).Handle(ctx, c)
	l.output(said.String())
	return err
}

// posted is a Post whose answer is told.
type posted struct {
	Post
	output func(said string)
}

// Handle implements Handler.
func (p *posted) Handle(ctx context.Context, c Change) error {
	said := program.NewTail(maxSaid)
	post := p.Post
	post.Body = said
	err := post.Handle(ctx, c)
	p.output(said.String())
	return err
}
