package cli

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/spf13/cobra"
)

// report is what an operator is told about a failure.
type report struct {
	Class       string // the failure kind
	Message     string
	Status      int    `json:",omitempty"` // of the agent's answer
	Address     string `json:",omitempty"` // of the agent
	AddressFrom string `json:",omitempty"` // where the address was taken from
	Context     string `json:",omitempty"` // in use
	Hint        string `json:",omitempty"` // what to do next
}

func (f *Factory) describe(err error) report {
	kind := kindOf(err)
	r := report{Class: kind.String(), Message: err.Error(), Status: statusOf(err)}
	if f.conn == nil || f.conn.agents == nil {
		return r
	}
	var unreach *unreachable
	if kind == failure.OutcomeUnknown || errors.As(err, &unreach) || r.Status != 0 {
		r.Address = f.conn.agents.current()
		if f.conn.context() != nil {
			r.Context = f.conn.values.context.name
		}
		r.AddressFrom = f.conn.values.source("http-addr")
		r.Hint = f.conn.hint(kind, err)
	}
	return r
}

// hint says what to do next. Empty means that the message says enough.
func (c *Conn) hint(kind failure.Kind, err error) string {
	text := err.Error()
	if strings.Contains(text, textPlainOnTLS) {
		return "The agent speaks HTTPS on this port: use https:// in the address, or set CTL_HTTP_SSL=true."
	}
	switch kind {
	case failure.OutcomeUnknown:
		return "The change may have been made, or may still be. Read it back before trying again; for keys, a write with -cas and -modify-index is safe to repeat."
	case failure.NoLeader:
		return "The cluster has no leader at the moment; nothing was changed. See which servers are there with `ctl members` and `ctl operator raft list-peers -stale`, then try again."
	case failure.PermissionDenied:
		if c.tokenSource == "" {
			return "No token was sent. Give one with --token-file, --token-command, CTL_HTTP_TOKEN_FILE or a context."
		}
		return "The token sent came from " + c.tokenSource + "."
	case failure.Unavailable:
		if statusOf(err) != 0 {
			return "Nothing was changed. Try again, or ask another agent with --http-addr."
		}
	default:
		return ""
	}
	switch {
	case strings.Contains(text, "server gave HTTP response to HTTPS client"),
		strings.Contains(text, "does not look like a TLS handshake"):
		return "The agent speaks HTTP on this port, not HTTPS: use http:// in the address, or unset CTL_HTTP_SSL and CONSUL_HTTP_SSL."
	case strings.Contains(text, "x509:") || strings.Contains(text, "tls:"):
		return c.hintTLS(err)
	default:
		return "Check that an agent runs there (`ctl agent -dev` starts one to try things with), or give another address with --http-addr, CTL_HTTP_ADDR or a context (`ctl config explain` says where the settings come from)."
	}
}

// textPlainOnTLS is what an HTTPS port answers to a request in plain text.
const textPlainOnTLS = "Client sent an HTTP request to an HTTPS server"

// hintTLS says which setting to look at after a failed handshake.
func (c *Conn) hintTLS(err error) string {
	named := func(setting, otherwise string) string {
		if file := c.values.text(setting); file != "" {
			return fmt.Sprintf("%s (from %s)", file, c.values.source(setting))
		}
		return otherwise
	}
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	text := err.Error()
	switch {
	case errors.As(err, &authority):
		trusted := named("ca-file", named("ca-path", ""))
		if trusted == "" {
			return "The agent's certificate is not of an authority this machine trusts. Name the cluster's own with --ca-file or CTL_CACERT."
		}
		return "The agent's certificate is not of an authority in " + trusted + "."
	case errors.As(err, &host):
		return "The agent is reached by a name that is not in its certificate. Give one that is with --tls-server-name or CTL_TLS_SERVER_NAME; `ctl tls inspect` lists them."
	case strings.Contains(text, "tls: certificate required"):
		return "The agent demands a certificate. Give one with --client-cert and --client-key, or CTL_CLIENT_CERT and CTL_CLIENT_KEY; `ctl tls cert create -cli` makes one."
	case strings.Contains(text, "remote error: tls:"):
		return "The agent refuses " + named("client-cert", "this command's certificate") + ": it may be expired, or of an authority the agent does not trust. The agent's log says why; `ctl tls inspect` shows the file."
	case strings.Contains(text, "expired or is not yet valid"):
		return "The agent's certificate is outside its time: replace it there, or compare the clocks."
	}
	return "The TLS handshake failed: check --ca-file, --client-cert, --client-key and --tls-server-name."
}

// print writes the report as text. The message stands alone on the first line,
// unchanged, so that scripts which look for Consul's texts find them.
func (r report) print(s *iostreams.Streams) {
	message := r.Message
	if s.ColorErr() {
		message = "\x1b[31m" + message + "\x1b[0m"
	}
	fmt.Fprintln(s.Err, message)
	if r.Hint == "" {
		return
	}
	if r.Address != "" {
		from := "from " + r.AddressFrom
		if r.AddressFrom == "default" {
			from = "the default"
		}
		fmt.Fprintf(s.Err, "Agent address: %s (%s)\n", r.Address, from)
	}
	fmt.Fprintln(s.Err, r.Hint)
}

// Report writes a failure to standard error and keeps nothing. Commands that
// go on after a failure use it; one that ends returns its error instead.
func (f *Factory) Report(cmd *cobra.Command, err error) {
	r := f.describe(err)
	if wantsJSON(cmd) {
		// A failing standard error leaves nobody to tell.
		_ = WriteJSON(f.Streams.Err, r)
		return
	}
	r.print(f.Streams)
}

// finish reports what cmd returned and gives the exit code for it.
func (f *Factory) finish(cmd *cobra.Command, err error) int {
	var e *exitError
	special := errors.As(err, &e)
	if err != nil && !(special && e.err == nil) {
		f.Report(cmd, err)
	}
	if special && e.help != nil && !wantsJSON(cmd) {
		fmt.Fprintln(f.Streams.Err)
		if e.help.HasSubCommands() {
			writeHelp(f.Streams.Err, e.help)
		} else {
			fmt.Fprintf(f.Streams.Err, "Usage: %s\nRun `%s -h` for examples and options.\n", UsageLine(e.help), e.help.CommandPath())
		}
	}
	if err == nil {
		err = f.Streams.Out.Failed()
		if err != nil {
			f.Report(cmd, fmt.Errorf("write to standard output: %w; what the command did is done, but not all of its output was written", err))
		}
	}
	return exitCode(err, f.detailed(cmd))
}

func wantsJSON(cmd *cobra.Command) bool {
	if cmd == nil {
		return false
	}
	f := cmd.Flags().Lookup(formatFlag)
	if f == nil {
		return false
	}
	o, ok := f.Value.(*Output)
	return ok && o.machine()
}
