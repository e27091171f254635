package context

import (
	stdcontext "context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/spf13/cobra"
)

// validateTime bounds asking one address.
const validateTime = 5 * time.Second

// probe is what one address of a context answered.
type probe struct {
	Context, Address string
	OK               bool
	Datacenter       string
	Version          string
	Leader           string
	Milliseconds     int64
	Problem          string
}

var probes = cli.View[probe]{
	Name: func(p probe) string { return p.Address },
	Columns: []cli.Column[probe]{
		{Name: "Context", Value: func(p probe) string { return p.Context }},
		{Name: "Address", Value: func(p probe) string { return p.Address }},
		{Name: "State", Value: func(p probe) string {
			if p.OK {
				return "ok"
			}
			return "failed"
		}, Tone: func(p probe) iostreams.Tone {
			if p.OK {
				return iostreams.Good
			}
			return iostreams.Bad
		}},
		{Name: "DC", Value: func(p probe) string { return p.Datacenter }},
		{Name: "Version", Value: func(p probe) string { return p.Version }},
		{Name: "Leader", Value: func(p probe) string { return p.Leader }},
		{Name: "Time", Value: func(p probe) string { return fmt.Sprintf("%d ms", p.Milliseconds) }},
		{Name: "Problem", Value: func(p probe) string { return p.Problem }},
	},
}

func newValidate(f *cli.Factory) *cobra.Command {
	var out *cli.Output
	cmd := &cobra.Command{
		Use:   "validate [options] [NAME...]",
		Short: "Try a context out",
		Long: `Ask every address of a context who is there: whether the files can be read, the
certificate and the token are good, and a leader is known. Without NAME, the
context in use. Exits 10 if an address does not answer as it should.`,
		Example: `ctl context validate
ctl context validate prod staging`,
		ValidArgsFunction: f.CompleteContexts(-1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, _, err := f.Contexts()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				name, err := oneOrCurrent(f, cmd, file, args)
				if err != nil {
					return err
				}
				args = []string{name}
			}
			sink, failed := cli.NewSink(out, probes), false
			for _, name := range args {
				for _, p := range try(cmd.Context(), f, name) {
					failed = failed || !p.OK
					if err := sink.Add(p); err != nil {
						return err
					}
				}
			}
			if err := sink.Close(); err != nil || !failed {
				return err
			}
			return cli.ErrUnreachable
		},
	}
	out = f.Output(cmd)
	cli.DetailedExit(cmd)
	return cmd
}

// try asks every address of the context name.
func try(ctx stdcontext.Context, f *cli.Factory, name string) []probe {
	target, err := f.Target(name)
	if err != nil {
		return []probe{{Context: name, Problem: err.Error()}}
	}
	var list []probe
	for _, e := range target.Endpoints {
		p := probe{Context: name, Address: e.Address}
		start := time.Now()
		err := p.ask(ctx, e)
		p.Milliseconds = time.Since(start).Milliseconds()
		if p.OK = err == nil; err != nil {
			p.Problem = err.Error()
		}
		list = append(list, p)
	}
	return list
}

func (p *probe) ask(ctx stdcontext.Context, e cli.Endpoint) error {
	ctx, cancel := stdcontext.WithTimeout(ctx, validateTime)
	defer cancel()
	var self struct {
		Config struct{ Datacenter, Version string }
	}
	if err := get(ctx, e, "/v1/agent/self", &self); err != nil {
		return err
	}
	p.Datacenter, p.Version = self.Config.Datacenter, self.Config.Version
	if err := get(ctx, e, "/v1/status/leader", &p.Leader); err != nil {
		return err
	}
	if p.Leader == "" {
		return errors.New("the cluster has no leader")
	}
	return nil
}

func get(ctx stdcontext.Context, e cli.Endpoint, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.URL+path, nil)
	if err != nil {
		return err
	}
	resp, err := e.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", path, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("%s: the answer is no agent's: %w", path, err)
	}
	return nil
}
