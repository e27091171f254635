package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

// serfHealth is the check that says whether the agent of a node is alive, and
// reserved the id of the servers' own service.
const (
	serfHealth = "serfHealth"
	reserved   = "consul"
)

type pruneOptions struct {
	conn   *cli.Conn
	change *cli.Change
	least  time.Duration
}

func newPrune(f *cli.Factory) *cobra.Command {
	o := &pruneOptions{}
	cmd := &cobra.Command{
		Use:   "prune [options]",
		Short: "Remove what has been critical for long",
		Long: `Remove service instances that have a check of their own that has been critical for
--critical-for or longer, and nodes whose agent has been dead for as long, with all
that is on them. With --dry-run, print the commands that would do the same.

Since when a check is critical the servers remember; what became critical before
they did, is left alone.`,
		Example: `ctl catalog prune -critical-for=1h -dry-run
ctl catalog prune -critical-for=72h -yes`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cmd.Flags().DurationVar(&o.least, "critical-for", 0, "how long it must have been critical, such as `1h`")
	o.conn = f.ConnectServer(cmd)
	o.change = f.Change(cmd, o.conn)
	o.change.Ask()
	return cmd
}

// leftover is something to remove.
type leftover struct {
	Node      string
	ServiceID string `json:",omitempty"` // of a service; a node has none
	Checks    []string
	Services  []string  `json:",omitempty"` // on a node
	Since     time.Time // the first of the checks became critical
	Seconds   int64
	Command   string // that removes it
}

func (l *leftover) name() string {
	if l.ServiceID == "" {
		return "node " + l.Node
	}
	return fmt.Sprintf("service %s on %s", l.ServiceID, l.Node)
}

var leftovers = cli.View[*leftover]{
	Name:  (*leftover).name,
	Empty: "Nothing has been critical for that long.",
	Line: func(w io.Writer, _ int, l *leftover) {
		fmt.Fprintf(w, "%s  # critical for %s: %s", l.Command, time.Duration(l.Seconds)*time.Second, strings.Join(l.Checks, ", "))
		if len(l.Services) > 0 {
			fmt.Fprintf(w, "; with it: %s", strings.Join(l.Services, ", "))
		}
		fmt.Fprintln(w)
	},
	Columns: []cli.Column[*leftover]{
		{Name: "Node", Value: func(l *leftover) string { return l.Node }},
		{Name: "ServiceID", Value: func(l *leftover) string { return l.ServiceID }},
		{Name: "Critical for", Value: func(l *leftover) string { return (time.Duration(l.Seconds) * time.Second).String() }},
		{Name: "Checks", Value: func(l *leftover) string { return strings.Join(l.Checks, ",") }},
		{Name: "Command", Value: func(l *leftover) string { return l.Command }},
	},
}

func (o *pruneOptions) run(ctx context.Context) error {
	if o.least <= 0 {
		return cli.Failf("Error! Missing -critical-for: how long something must have been critical to be removed, such as -critical-for=1h")
	}
	list, err := o.find(ctx)
	if err != nil {
		return err
	}
	if o.change.DryRun() || len(list) == 0 {
		return cli.Show(o.change.List(), leftovers, list)
	}
	var names []string
	for _, l := range list {
		names = append(names, l.name())
	}
	if ok, err := o.change.Begin("remove %s", strings.Join(names, ", ")); !ok {
		return err
	}
	// What has recovered while somebody thought about it stays.
	again, err := o.find(ctx)
	if err != nil {
		return err
	}
	still := map[string]bool{}
	for _, l := range again {
		still[l.Command] = true
	}
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	for _, l := range list {
		if !still[l.Command] {
			if err := o.change.Printf("Left alone, it is not critical any more: %s", l.name()); err != nil {
				return err
			}
			continue
		}
		if err := o.remove(ctx, client, l); err != nil {
			return cli.Failf("Error removing %s: %w", l.name(), err)
		}
		if err := o.change.Printf("Removed %s", l.name()); err != nil {
			return err
		}
	}
	return nil
}

func (o *pruneOptions) remove(ctx context.Context, client *api.Client, l *leftover) error {
	if l.ServiceID == "" {
		return client.Agent().ForceLeaveOptions(l.Node, api.ForceLeaveOpts{Prune: true}, o.conn.Query(ctx))
	}
	_, err := client.Catalog().Deregister(&api.CatalogDeregistration{Node: l.Node, ServiceID: l.ServiceID}, o.conn.Write(ctx))
	return err
}

// find returns what has been critical for long enough, nodes first.
func (o *pruneOptions) find(ctx context.Context) ([]*leftover, error) {
	checks, err := o.critical(ctx)
	if err != nil {
		return nil, err
	}
	dead, found := map[string]bool{}, map[string]*leftover{}
	for _, c := range checks {
		if c.CheckID == serfHealth {
			dead[c.Node] = true
		}
	}
	for _, c := range checks {
		l := &leftover{Node: c.Node, ServiceID: c.ServiceID, Since: c.Since, Seconds: c.Seconds}
		switch {
		case c.CheckID == serfHealth:
			l.Command = "ctl force-leave -prune " + quote(c.Node)
		case c.ServiceID == "" || c.ServiceID == reserved || dead[c.Node]:
			continue // a check of a node says nothing about who is on it
		default:
			l.Command = fmt.Sprintf("ctl services deregister -node=%s -id=%s", quote(c.Node), quote(c.ServiceID))
		}
		if known := found[l.Command]; known != nil {
			l = known
		}
		found[l.Command] = l
		l.Checks = append(l.Checks, c.CheckID)
		if c.Seconds > l.Seconds {
			l.Since, l.Seconds = c.Since, c.Seconds
		}
	}
	list := []*leftover{}
	for _, command := range slices.Sorted(maps.Keys(found)) {
		list = append(list, found[command])
	}
	return list, o.nameServices(ctx, list)
}

type criticalCheck struct {
	Node, CheckID, ServiceID string
	Since                    time.Time
	Seconds                  int64
}

// critical asks which checks have been critical for long enough.
func (o *pruneOptions) critical(ctx context.Context) (checks []criticalCheck, err error) {
	if _, err := o.conn.Client(); err != nil { // says what is wrong with the settings
		return nil, err
	}
	resp, err := o.conn.Ask(ctx, "/v1/ctl/critical", url.Values{"for": {o.least.String()}})
	if err != nil {
		return nil, cli.Failf("Error listing critical checks: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, cli.Failf("Error listing critical checks: %w", err)
	case resp.StatusCode == http.StatusNotFound:
		return nil, cli.Failf("Error listing critical checks: the servers do not tell since when checks are critical; they are not of ctl, or of an older version")
	case resp.StatusCode != http.StatusOK:
		return nil, cli.Failf("Error listing critical checks: %d (%s)", resp.StatusCode, strings.TrimSpace(string(body)))
	}
	if err := json.Unmarshal(body, &checks); err != nil {
		return nil, cli.Failf("Error listing critical checks: read the answer: %w", err)
	}
	return checks, nil
}

// nameServices names what goes with nodes.
func (o *pruneOptions) nameServices(ctx context.Context, list []*leftover) error {
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	for _, l := range list {
		if l.ServiceID != "" {
			continue
		}
		node, _, err := client.Catalog().Node(l.Node, o.conn.Query(ctx))
		if err != nil {
			return cli.Failf("Error reading node %s: %w", l.Node, err)
		}
		if node != nil {
			l.Services = slices.Sorted(maps.Keys(node.Services))
		}
	}
	return nil
}

// quote makes a name one word of a shell.
func quote(name string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/@%+=", r)
	}
	if name != "" && !strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
