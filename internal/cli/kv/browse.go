package kv

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

// separator divides the levels of keys.
const separator = "/"

// folder returns the prefix of all keys below path; of "" and "/" it is "".
func folder(path string) string {
	if path = trimKey(path); path == "" || strings.HasSuffix(path, separator) {
		return path
	}
	return path + separator
}

type lsOptions struct {
	conn     *cli.Conn
	out      *cli.Output
	watch    *cli.Watch
	progress *cli.Progress
	long     bool
}

func newLs(f *cli.Factory) *cobra.Command {
	o := &lsOptions{}
	cmd := &cobra.Command{
		Use:   "ls [options] [PATH]",
		Short: "List one level of keys",
		Long: `List what is directly below PATH, as if keys were files: keys, and with a slash
at the end what has keys below it. With -l, how many keys and bytes each has and
the highest index, for which all values are read. -o name shows whole keys.`,
		Example: `ctl kv ls
ctl kv ls config
ctl kv ls -l config`,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := oneKey(cmd, args)
			if err != nil {
				return err
			}
			return o.run(cmd.Context(), folder(path))
		},
	}
	cmd.Flags().BoolVarP(&o.long, "long", "l", false, "show numbers of keys and bytes, and the highest index")
	o.out = f.Output(cmd)
	o.progress = f.Progress(cmd)
	o.conn = f.ConnectServer(cmd)
	o.watch = f.Watch(cmd, o.out, o.conn)
	cmd.ValidArgsFunction = o.conn.Complete(cli.LiveKeys, 1)
	cli.DetailedExit(cmd)
	return cmd
}

// child is one name on a level: a key, or what has keys below it.
type child struct {
	Name        string // on this level, with a slash if keys are below it
	Key         string // the whole of it
	Keys        int    `json:",omitempty"`
	Bytes       int    `json:",omitempty"`
	ModifyIndex uint64 `json:",omitempty"` // the highest
}

func (o *lsOptions) run(ctx context.Context, prefix string) error {
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	view := cli.View[child]{
		Name:     func(c child) string { return c.Key },
		NoHeader: !o.long,
		Columns:  []cli.Column[child]{{Name: "Name", Value: func(c child) string { return c.Name }}},
	}
	if o.long {
		view.Columns = append(view.Columns,
			cli.Column[child]{Name: "Keys", Value: func(c child) string { return strconv.Itoa(c.Keys) }},
			cli.Column[child]{Name: "Bytes", Value: func(c child) string { return strconv.Itoa(c.Bytes) }},
			cli.Column[child]{Name: "ModifyIndex", Value: func(c child) string { return strconv.FormatUint(c.ModifyIndex, 10) }})
	}
	key := func(c child) string { return c.Key }
	_, err = cli.Read(ctx, o.watch, view, key, func(q *api.QueryOptions) ([]child, *api.QueryMeta, error) {
		list, meta, err := o.names(client.KV(), prefix, q)
		if err == nil && o.long {
			list, err = o.measure(q.Context(), prefix)
		}
		if err == nil && len(list) == 0 && prefix != "" && !o.watch.On() {
			err = nothingBelow(prefix)
		}
		return list, meta, err
	})
	return err
}

func nothingBelow(prefix string) error {
	return cli.Fail(failure.NotFound, "There is no key below %s. `ctl kv get -keys %s` shows keys that begin so.",
		prefix, strings.TrimSuffix(prefix, separator))
}

func (o *lsOptions) names(kv *api.KV, prefix string, q *api.QueryOptions) ([]child, *api.QueryMeta, error) {
	keys, meta, err := kv.Keys(prefix, separator, q)
	if err != nil {
		return nil, nil, cli.Failf("Error listing keys: %w", err)
	}
	var list []child
	for _, k := range keys {
		if k != prefix { // a key that ends in a slash is no name of its own level
			list = append(list, child{Name: strings.TrimPrefix(k, prefix), Key: k})
		}
	}
	return list, meta, nil
}

// measure counts what is below prefix in the memory of one level.
func (o *lsOptions) measure(ctx context.Context, prefix string) ([]child, error) {
	bar := o.progress.Start(cli.Work{What: "Reading", Unit: "keys"})
	defer bar.End()
	var list []child
	err := stream(ctx, o.conn, prefix, bar, func(e *api.KVPair) error {
		name := strings.TrimPrefix(e.Key, prefix)
		if i := strings.Index(name, separator); i >= 0 {
			name = name[:i+1]
		}
		if name == "" {
			return nil
		}
		if len(list) == 0 || list[len(list)-1].Name != name { // they come sorted
			list = append(list, child{Name: name, Key: prefix + name})
		}
		last := &list[len(list)-1]
		last.Keys++
		last.Bytes += len(e.Value)
		last.ModifyIndex = max(last.ModifyIndex, e.ModifyIndex)
		return nil
	})
	return list, err
}

type treeOptions struct {
	f     *cli.Factory
	conn  *cli.Conn
	out   *cli.Output
	watch *cli.Watch
	depth int
}

func newTree(f *cli.Factory) *cobra.Command {
	o := &treeOptions{f: f}
	cmd := &cobra.Command{
		Use:   "tree [options] [PATH]",
		Short: "Draw keys as a tree",
		Long: `Draw the keys below PATH as a tree, and count them. With -depth, only so many
levels; what is below is counted. Values are not read.`,
		Example: `ctl kv tree
ctl kv tree -depth 1
ctl kv tree config`,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := oneKey(cmd, args)
			if err != nil {
				return err
			}
			if o.depth < 0 {
				return cli.Usagef(cmd, "-depth %d is negative; 0 shows all levels", o.depth)
			}
			return o.run(cmd.Context(), folder(path))
		},
	}
	cmd.Flags().IntVar(&o.depth, "depth", 0, "show only `N` levels; 0 is all")
	o.out = f.Output(cmd)
	o.conn = f.ConnectServer(cmd)
	o.watch = f.Watch(cmd, o.out, o.conn)
	cmd.ValidArgsFunction = o.conn.Complete(cli.LiveKeys, 1)
	cli.DetailedExit(cmd)
	return cmd
}

// branch is one line of a tree.
type branch struct {
	Key   string // the whole key, or a prefix with the slash
	Depth int    // 1 is the first level
	Keys  int    // at and below it

	name     string
	isKey    bool
	children []*branch
}

var branches = cli.View[*branch]{
	JSON: func(b *branch) any {
		return struct {
			Key         string
			Depth, Keys int
		}{b.Key, b.Depth, b.Keys}
	},
	Columns: []cli.Column[*branch]{
		{Name: "Key", Value: func(b *branch) string { return b.Key }},
		{Name: "Depth", Value: func(b *branch) string { return strconv.Itoa(b.Depth) }},
		{Name: "Keys", Value: func(b *branch) string { return strconv.Itoa(b.Keys) }},
	},
}

func (o *treeOptions) run(ctx context.Context, prefix string) error {
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	key := func(b *branch) string { return b.Key }
	_, err = cli.ReadDocument(ctx, o.watch, branches, key, func(q *api.QueryOptions) (cli.Document[*branch], *api.QueryMeta, error) {
		keys, meta, err := client.KV().Keys(prefix, "", q)
		if err != nil {
			return cli.Document[*branch]{}, nil, cli.Failf("Error listing keys: %w", err)
		}
		if len(keys) == 0 && prefix != "" && !o.watch.On() {
			return cli.Document[*branch]{}, nil, nothingBelow(prefix)
		}
		return o.document(prefix, grow(prefix, keys)), meta, nil
	})
	return err
}

func (o *treeOptions) document(prefix string, root *branch) cli.Document[*branch] {
	rows := root.rows(o.depth, []*branch{})
	return cli.Document[*branch]{JSON: rows, Rows: rows, Text: func(w io.Writer) error {
		name := prefix
		if name == "" {
			name = separator
		}
		fmt.Fprintln(w, name)
		root.draw(w, "", o.depth)
		_, err := fmt.Fprintf(w, "\n%d keys\n", root.Keys)
		return err
	}}
}

// grow makes the tree of keys, all of which begin with prefix.
func grow(prefix string, keys []string) *branch {
	slices.Sort(keys)
	root := &branch{Key: prefix}
	for _, key := range keys {
		at := root
		at.Keys++
		for rest := strings.TrimPrefix(key, prefix); rest != ""; {
			name := rest
			if i := strings.Index(rest, separator); i >= 0 {
				name = rest[:i+1]
			}
			rest = rest[len(name):]
			at = at.child(name)
			at.Keys++
		}
		at.isKey = true
	}
	return root
}

// child returns the branch of that name. Keys come sorted, so it is the last or
// a new one.
func (b *branch) child(name string) *branch {
	if n := len(b.children); n > 0 && b.children[n-1].name == name {
		return b.children[n-1]
	}
	c := &branch{Key: b.Key + name, Depth: b.Depth + 1, name: name}
	b.children = append(b.children, c)
	return c
}

func (b *branch) rows(depth int, list []*branch) []*branch {
	for _, c := range b.children {
		list = append(list, c)
		if depth == 0 || c.Depth < depth {
			list = c.rows(depth, list)
		}
	}
	return list
}

// draw draws what is below b; indent stands before every line. Errors stay in w,
// which is buffered.
func (b *branch) draw(w io.Writer, indent string, depth int) {
	for i, c := range b.children {
		edge, below := "├── ", "│   "
		if i == len(b.children)-1 {
			edge, below = "└── ", "    "
		}
		cut := depth != 0 && c.Depth >= depth && len(c.children) > 0
		// Keys may hold control characters, which a terminal must not get.
		quoted := strconv.QuoteToGraphic(c.name)
		fmt.Fprint(w, indent, edge, quoted[1:len(quoted)-1])
		if cut {
			fmt.Fprintf(w, " (%d keys)", c.Keys)
		}
		fmt.Fprintln(w)
		if !cut {
			c.draw(w, indent+below, depth)
		}
	}
}
