package kv

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

type diffOptions struct {
	f        *cli.Factory
	conn     *cli.Conn
	out      *cli.Output
	progress *cli.Progress
	context  string // what to compare with
	dc       string
}

func newDiff(f *cli.Factory) *cobra.Command {
	o := &diffOptions{f: f}
	cmd := &cobra.Command{
		Use:   "diff [options] PREFIX [OTHER]",
		Short: "Compare the keys below two prefixes, or in two clusters",
		Long: `Compare the values and flags of all keys that begin with PREFIX with those that
begin with OTHER. With --against-context, compare with the cluster of a context,
with --against-datacenter with another datacenter; OTHER is then PREFIX unless it
is given. Shown is which keys are only here (-), only there (+) or differ (~),
never values: they may be secrets.

Exit codes: 0 no difference, 1 a difference, 10 and above a failure; a command
line that is not understood exits 1 with a message.`,
		Example: `ctl kv diff config/ backup/
ctl kv diff -against-context staging config/
ctl kv diff -against-datacenter west config/
ctl kv diff -o jsonl config/ backup/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 || len(args) > 2:
				return cli.Usagef(cmd, "one or two prefixes are wanted, %d were given; all keys are ''", len(args))
			case len(args) == 1 && o.context == "" && o.dc == "":
				return cli.Usagef(cmd, "what to compare with is missing: a second prefix, -against-context or -against-datacenter")
			}
			return o.run(cmd.Context(), trimKey(args[0]), trimKey(args[len(args)-1]))
		},
	}
	cmd.Flags().StringVar(&o.context, "against-context", "", "compare with the cluster of the context `NAME`")
	cmd.Flags().StringVar(&o.dc, "against-datacenter", "", "compare with the datacenter `NAME`, of that cluster or of this one")
	// Names are fixed; this fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("against-context", f.CompleteContexts(-1))
	o.out = f.Output(cmd)
	o.progress = f.Progress(cmd)
	o.conn = f.ConnectServer(cmd)
	o.conn.CompleteFlag(cmd, "against-datacenter", cli.LiveDatacenters)
	cmd.ValidArgsFunction = o.conn.Complete(cli.LiveKeys, 2)
	cli.DetailedExit(cmd)
	return cmd
}

// side is what is compared of one key: no value is kept.
type side struct {
	Bytes int
	Flags uint64

	digest [sha256.Size]byte
}

// difference is a key that is not the same on both sides.
type difference struct {
	Change string // removed is only here, added only there, changed differs
	Key    string // without the prefix
	Here   *side  // nil where it is not
	There  *side
}

const (
	changeRemoved = "removed"
	changeAdded   = "added"
	changeChanged = "changed"
)

func (d difference) mark() string {
	switch d.Change {
	case changeRemoved:
		return "-"
	case changeAdded:
		return "+"
	default:
		return "~"
	}
}

func size(s *side) string {
	if s == nil {
		return ""
	}
	text := fmt.Sprintf("%d bytes", s.Bytes)
	if s.Flags != 0 {
		text += ", flags " + strconv.FormatUint(s.Flags, 10)
	}
	return text
}

var differences = cli.View[difference]{
	Name:  func(d difference) string { return d.Key },
	Empty: "No difference.",
	Line: func(w io.Writer, _ int, d difference) {
		text := size(d.Here) + size(d.There)
		if d.Here != nil && d.There != nil {
			text = size(d.Here) + " -> " + size(d.There)
		}
		fmt.Fprintf(w, "%s %s (%s)\n", d.mark(), d.Key, text)
	},
	Columns: []cli.Column[difference]{
		{Name: "Change", Value: func(d difference) string { return d.Change }, Tone: func(d difference) iostreams.Tone {
			return map[string]iostreams.Tone{changeRemoved: iostreams.Bad, changeAdded: iostreams.Good, changeChanged: iostreams.Warn}[d.Change]
		}},
		{Name: "Key", Value: func(d difference) string { return d.Key }},
		{Name: "Here", Value: func(d difference) string { return size(d.Here) }},
		{Name: "There", Value: func(d difference) string { return size(d.There) }},
	},
}

func (o *diffOptions) run(ctx context.Context, prefix, other string) error {
	if _, err := o.conn.Client(); err != nil {
		return err
	}
	there := o.conn
	if o.context != "" {
		var err error
		if there, err = o.f.ConnTo(o.context); err != nil {
			return cli.Failf("-against-context %s: %w", o.context, err)
		}
	}
	if o.dc != "" {
		there = there.In(o.dc)
	}
	bar := o.progress.Start(cli.Work{What: "Comparing", Unit: "keys"})
	list, err := compare(ctx, bar, o.conn, prefix, there, other)
	bar.End()
	if err != nil {
		return err
	}
	if err := cli.Show(o.out, differences, list); err != nil || len(list) == 0 {
		return err
	}
	return cli.ErrReported
}

// compare holds a digest of every key of one side, and reads the other as it
// comes.
func compare(ctx context.Context, bar *cli.Bar, here *cli.Conn, prefix string, there *cli.Conn, other string) ([]difference, error) {
	known := map[string]*side{}
	if err := stream(ctx, here, prefix, bar, func(e *api.KVPair) error {
		known[strings.TrimPrefix(e.Key, prefix)] = newSide(e)
		return nil
	}); err != nil {
		return nil, err
	}
	list := []difference{}
	if err := stream(ctx, there, other, bar, func(e *api.KVPair) error {
		key, now := strings.TrimPrefix(e.Key, other), newSide(e)
		was := known[key]
		delete(known, key)
		switch {
		case was == nil:
			list = append(list, difference{changeAdded, key, nil, now})
		case *was != *now:
			list = append(list, difference{changeChanged, key, was, now})
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("on the other side: %w", err)
	}
	for key, was := range known {
		list = append(list, difference{changeRemoved, key, was, nil})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Key < list[j].Key })
	return list, nil
}

func newSide(e *api.KVPair) *side {
	return &side{Bytes: len(e.Value), Flags: e.Flags, digest: sha256.Sum256(e.Value)}
}
