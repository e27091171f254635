// Package keyring holds the commands about the keys that encrypt gossip:
// keyring install, use, list and remove, and the same by options.
//
// Texts and exit codes follow Consul's command line, which knows the options
// only.
package keyring

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

// command is what the commands share: how they reach the agent, and what they
// were asked for.
type command struct {
	f      *cli.Factory
	conn   *cli.Conn
	change *cli.Change // nil for list
	relay  int
	local  bool
}

// maxRelay is as far as members relay their answers.
const maxRelay = 5

// NewCommand returns `ctl keyring` with its commands.
func NewCommand(f *cli.Factory) *cobra.Command {
	c := &command{f: f}
	var (
		list, primary        bool
		install, use, remove string
	)
	cmd := &cobra.Command{
		Use:   "keyring [options] [COMMAND]",
		Short: "Manage the keys that encrypt gossip",
		Long: `Manage the keys that encrypt gossip, on all members of the cluster. A key is
rotated in three steps: install a new one, use it, remove the old one. A key
that a member lacks is not used, and one that a member still needs, or may, is
not removed. The options do what the commands of the same name do. KEY may be
@FILE, or - for standard input, which keeps it out of the list of processes.`,
		Example: `ctl keyring -list
ctl keygen | ctl keyring -install -
ctl keyring -remove pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvMwy7Cu5s=`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Usagef(cmd, "Unknown command %q for %q: install, use, list or remove.", args[0], cmd.CommandPath())
			}
			var todo []func() error
			for _, a := range []struct {
				given bool
				do    func() error
			}{
				{list, func() error { return c.list(cmd, c.change.List(), false) }},
				{primary, func() error { return c.list(cmd, c.change.List(), true) }},
				{install != "", func() error { return c.do(cmd, installing, install) }},
				{use != "", func() error { return c.do(cmd, using, use) }},
				{remove != "", func() error { return c.do(cmd, removing, remove) }},
			} {
				if a.given {
					todo = append(todo, a.do)
				}
			}
			if len(todo) != 1 {
				return cli.Usagef(cmd, "Give exactly one of -list, -list-primary, -install, -use and -remove, or one of the commands.")
			}
			return todo[0]()
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&list, "list", false, "list all keys in use")
	flags.BoolVar(&primary, "list-primary", false, "list only the keys that members encrypt with")
	flags.StringVar(&install, "install", "", "install a new `KEY`")
	flags.StringVar(&use, "use", "", "encrypt with an installed `KEY`")
	flags.StringVar(&remove, "remove", "", "remove a `KEY` that nobody encrypts with")
	c.shared(cmd, true)
	c.change = f.Change(cmd, c.conn)
	cmd.AddCommand(newChange(f, installing), newChange(f, using), newList(f), newChange(f, removing))
	return cmd
}

// shared adds the options that commands share.
func (c *command) shared(cmd *cobra.Command, lists bool) {
	cmd.Flags().IntVar(&c.relay, "relay-factor", 0, "have members send answers through `N` others, too, 0 to 5, against losses")
	if lists {
		cmd.Flags().BoolVar(&c.local, "local-only", false, "list the keys of the LAN pool only")
	}
	c.conn = c.f.Connect(cmd)
}

// step is one of the three steps of a rotation.
type step struct {
	name, short, long, example string
	progress, action           string
	run                        func(o *api.Operator, key string, w *api.WriteOptions) error
}

var (
	installing = step{
		name: "install", short: "Install a further key",
		long:    "Give every member a further key to read with. The key that is in use stays in use.",
		example: "ctl keygen | tee new.key | ctl keyring install -\nctl keyring install @new.key", progress: "==> Installing new gossip encryption key...", action: "install a gossip key on all members",
		run: (*api.Operator).KeyringInstall,
	}
	using = step{
		name: "use", short: "Encrypt with an installed key",
		long:    "Have every member encrypt with a key that all of them have. Members that lack it\nare named, and nothing is changed.",
		example: "ctl keyring use pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvMwy7Cu5s=", progress: "==> Changing primary gossip encryption key...", action: "have all members encrypt with another gossip key",
		run: (*api.Operator).KeyringUse,
	}
	removing = step{
		name: "remove", short: "Remove a key that nobody needs any more",
		long: `Have every member forget a key. Members that encrypt with it, and those that do
not answer and may need it when they come back, are named, and nothing is
changed.`,
		example: "ctl keyring remove pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvMwy7Cu5s=", progress: "==> Removing gossip encryption key...", action: "remove a gossip key from all members",
		run: (*api.Operator).KeyringRemove,
	}
)

func newChange(f *cli.Factory, s step) *cobra.Command {
	c := &command{f: f}
	cmd := &cobra.Command{
		Use:     s.name + " [options] KEY",
		Short:   s.short,
		Long:    s.long,
		Example: s.example,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usagef(cmd, "One key must be specified (got %d).", len(args))
			}
			return c.do(cmd, s, args[0])
		},
	}
	c.shared(cmd, false)
	c.change = f.Change(cmd, c.conn)
	return cmd
}

func newList(f *cli.Factory) *cobra.Command {
	c := &command{f: f}
	var (
		primary bool
		out     *cli.Output
	)
	cmd := &cobra.Command{
		Use:   "list [options]",
		Short: "List the keys, and how many members have them",
		Long:  "List the keys of both gossip pools, and how many of their members have each. Failed\nmembers are not counted; their keys are not known.",
		Example: `ctl keyring list
ctl keyring list -primary
ctl keyring list -o json`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.list(cmd, out, primary) },
	}
	cmd.Flags().BoolVar(&primary, "primary", false, "only the keys that members encrypt with")
	out = f.Output(cmd)
	c.shared(cmd, true)
	return cmd
}

func (c *command) checkRelay(cmd *cobra.Command) error {
	if c.relay < 0 || c.relay > maxRelay {
		return cli.Usagef(cmd, "-relay-factor %d is not from 0 to %d.", c.relay, maxRelay)
	}
	return nil
}

// do runs one step of a rotation.
func (c *command) do(cmd *cobra.Command, s step, key string) error {
	if err := c.checkRelay(cmd); err != nil {
		return err
	}
	if c.local {
		return cli.Usagef(cmd, "-local-only is for listing keys: a change must reach all members.")
	}
	data, err := c.f.ReadData(key)
	if err != nil {
		return cli.Failf("error: %w", err)
	}
	client, err := c.conn.Client()
	if err != nil {
		return err
	}
	if ok, err := c.change.Begin("%s", s.action); !ok {
		return err
	}
	if err := c.change.Printf("%s", s.progress); err != nil {
		return err
	}
	w := c.conn.Write(cmd.Context())
	w.RelayFactor = uint8(c.relay)
	if err := s.run(client.Operator(), strings.TrimSpace(string(data)), w); err != nil {
		return cli.Failf("error: %w", err)
	}
	return nil
}

func (c *command) list(cmd *cobra.Command, out *cli.Output, primary bool) error {
	if err := c.checkRelay(cmd); err != nil {
		return err
	}
	client, err := c.conn.Client()
	if err != nil {
		return err
	}
	if out.Pretty() {
		if _, err := fmt.Fprintln(c.f.Streams.Out, "==> Gathering installed encryption keys..."); err != nil {
			return err
		}
	}
	pools, err := c.pools(cmd.Context(), client)
	if err != nil {
		return cli.Failf("error: %w", err)
	}
	return cli.ShowDocument(out, view, pools, rowsOf(pools, primary), func(w io.Writer) error { return writePools(w, pools, primary) })
}

func (c *command) pools(ctx context.Context, client *api.Client) ([]*api.KeyringResponse, error) {
	q := c.conn.Query(ctx)
	q.RelayFactor, q.LocalOnly = uint8(c.relay), c.local
	pools, err := client.Operator().KeyringList(q)
	return append([]*api.KeyringResponse{}, pools...), err
}

// row is a key of a pool.
type row struct {
	pool, key      string
	count, primary int
	of             int
}

var view = cli.View[row]{
	Columns: []cli.Column[row]{
		{Name: "Pool", Value: func(r row) string { return r.pool }},
		{Name: "Key", Value: func(r row) string { return r.key }},
		{Name: "Members", Value: func(r row) string { return strconv.Itoa(r.count) + "/" + strconv.Itoa(r.of) }},
		{Name: "Encrypting", Value: func(r row) string { return strconv.Itoa(r.primary) + "/" + strconv.Itoa(r.of) }},
	},
	Name: func(r row) string { return r.key },
}

func rowsOf(pools []*api.KeyringResponse, primary bool) []row {
	var rows []row
	for _, p := range pools {
		for _, key := range keysOf(p, primary) {
			rows = append(rows, row{poolName(p), key, p.Keys[key], p.PrimaryKeys[key], p.NumNodes})
		}
	}
	return rows
}

func keysOf(p *api.KeyringResponse, primary bool) []string {
	if primary {
		return slices.Sorted(maps.Keys(p.PrimaryKeys))
	}
	return slices.Sorted(maps.Keys(p.Keys))
}

// poolName returns the name of a pool as it is shown.
func poolName(p *api.KeyringResponse) string {
	switch {
	case p.WAN:
		return "WAN"
	case p.Segment != "":
		return p.Datacenter + " (LAN) [" + p.Segment + "]"
	default:
		return p.Datacenter + " (LAN)"
	}
}

func writePools(w io.Writer, pools []*api.KeyringResponse, primary bool) error {
	var b strings.Builder
	for _, p := range pools {
		fmt.Fprintf(&b, "\n%s:\n", poolName(p))
		for _, name := range slices.Sorted(maps.Keys(p.Messages)) {
			fmt.Fprintf(&b, "  ===> %s: %s\n", name, p.Messages[name])
		}
		counts := p.Keys
		if primary {
			counts = p.PrimaryKeys
		}
		for _, key := range keysOf(p, primary) {
			fmt.Fprintf(&b, "  %s [%d/%d]\n", key, counts[key], p.NumNodes)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
