package kv

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

type getOptions struct {
	f         *cli.Factory
	conn      *cli.Conn
	out       *cli.Output
	watch     *cli.Watch
	progress  *cli.Progress
	base64    bool
	detailed  bool
	keys      bool
	recurse   bool
	separator string
}

func newGet(f *cli.Factory) *cobra.Command {
	o := &getOptions{f: f}
	cmd := &cobra.Command{
		Use:   "get [options] [KEY or PREFIX]",
		Short: "Read a key, or all below a prefix",
		Long: `Read the value of a key, followed by a newline. With --recurse, all keys that
begin with the prefix, as key:value; with --keys, their names only.`,
		Example: `ctl kv get config/limit
ctl kv get -detailed config/limit
ctl kv get -recurse config/
ctl kv get -keys -separator "" config/
ctl kv get -stale config/limit
ctl kv get -watch -once -timeout 10m config/limit`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.base64, "base64", false, "show values in base64")
	flags.BoolVar(&o.detailed, "detailed", false, "show indexes, flags and session too")
	flags.BoolVar(&o.keys, "keys", false, "list key names, not values")
	flags.BoolVar(&o.recurse, "recurse", false, "read all keys that begin with the prefix")
	flags.StringVar(&o.separator, "separator", "/", "with --keys, `STRING` at which names are cut and listed once")
	o.out = f.Output(cmd)
	o.conn = f.ConnectServer(cmd)
	o.watch = f.Watch(cmd, o.out, o.conn)
	o.progress = f.Progress(cmd)
	cmd.ValidArgsFunction = o.conn.Complete(cli.LiveKeys, 1)
	return cmd
}

func (o *getOptions) run(cmd *cobra.Command, args []string) error {
	key, err := oneKey(cmd, args)
	if err != nil {
		return err
	}
	if key == "" && !o.keys && !o.recurse {
		return cli.Failf("Error! Missing KEY argument")
	}
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	switch {
	case o.keys && !o.detailed:
		return o.names(ctx, client.KV(), key)
	case o.recurse || o.keys:
		return o.prefix(ctx, client.KV(), key)
	default:
		return o.single(ctx, client.KV(), key)
	}
}

func (o *getOptions) names(ctx context.Context, kv *api.KV, prefix string) error {
	separator := o.separator
	if o.recurse {
		separator = ""
	}
	name := func(name string) string { return name }
	_, err := cli.Read(ctx, o.watch, keyNames, name, func(q *api.QueryOptions) ([]string, *api.QueryMeta, error) {
		names, meta, err := kv.Keys(prefix, separator, q)
		if err != nil {
			return nil, nil, cli.Failf("Error querying Consul agent: %w", err)
		}
		return names, meta, nil
	})
	return err
}

var keyNames = cli.View[string]{
	NoHeader: true,
	Columns:  []cli.Column[string]{{Name: "Key", Value: func(name string) string { return name }}},
	Line:     func(w io.Writer, _ int, name string) { fmt.Fprintln(w, name) },
}

// prefix shows keys as they arrive. A watch, which compares, holds them all.
func (o *getOptions) prefix(ctx context.Context, kv *api.KV, prefix string) error {
	view := o.pairs()
	view.Line = func(w io.Writer, i int, e *api.KVPair) {
		if !o.detailed {
			fmt.Fprintf(w, "%s:%s\n", e.Key, o.value(e))
			return
		}
		if i > 0 {
			fmt.Fprintln(w)
		}
		o.writeDetails(w, e)
	}
	if o.watch.On() {
		_, err := cli.Read(ctx, o.watch, view, entryKey, func(q *api.QueryOptions) ([]*api.KVPair, *api.QueryMeta, error) {
			entries, meta, err := kv.List(prefix, q)
			if err != nil {
				return nil, nil, cli.Failf("Error querying Consul agent: %w", err)
			}
			return entries, meta, nil
		})
		return err
	}
	ctx, cancel, err := o.watch.Bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	bar := o.progress.Start(cli.Work{What: "Reading", Unit: "keys", Listed: true})
	defer bar.End()
	sink := cli.NewSink(o.out, view)
	if err := stream(ctx, o.conn, prefix, bar, sink.Add); err != nil {
		// What came is shown; the array of JSON stays open, as a sign.
		return errors.Join(err, sink.Flush())
	}
	return sink.Close()
}

func (o *getOptions) single(ctx context.Context, kv *api.KV, key string) error {
	view := o.pairs()
	view.Line = func(w io.Writer, _ int, e *api.KVPair) {
		if o.detailed {
			o.writeDetails(w, e)
			return
		}
		fmt.Fprintf(w, "%s\n", o.value(e))
	}
	_, err := cli.Read(ctx, o.watch, view, entryKey, func(q *api.QueryOptions) ([]*api.KVPair, *api.QueryMeta, error) {
		entry, meta, err := kv.Get(key, q)
		switch {
		case err != nil:
			return nil, nil, cli.Failf("Error querying Consul agent: %w", err)
		case entry != nil:
			return []*api.KVPair{entry}, meta, nil
		case o.watch.On(): // a watch may wait for the key
			return nil, meta, nil
		default:
			return nil, nil, cli.Fail(failure.NotFound, "Error! No key exists at: %s", key)
		}
	})
	return err
}

func entryKey(e *api.KVPair) string { return e.Key }

// maxCell is how much of a value a table shows.
const maxCell = 60

// pairs is the listing of entries; how they read as text is the caller's.
func (o *getOptions) pairs() cli.View[*api.KVPair] {
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return cli.View[*api.KVPair]{Columns: []cli.Column[*api.KVPair]{
		{Name: "Key", Value: func(e *api.KVPair) string { return e.Key }},
		{Name: "Value", Value: func(e *api.KVPair) string {
			text := []rune(string(o.value(e)))
			if len(text) > maxCell {
				return fmt.Sprintf("%s... (%d bytes)", string(text[:maxCell]), len(e.Value))
			}
			return string(text)
		}},
		{Name: "Flags", Wide: true, Value: func(e *api.KVPair) string { return number(e.Flags) }},
		{Name: "CreateIndex", Wide: true, Value: func(e *api.KVPair) string { return number(e.CreateIndex) }},
		{Name: "ModifyIndex", Wide: true, Value: func(e *api.KVPair) string { return number(e.ModifyIndex) }},
		{Name: "LockIndex", Wide: true, Value: func(e *api.KVPair) string { return number(e.LockIndex) }},
		{Name: "Session", Wide: true, Value: func(e *api.KVPair) string { return e.Session }},
	}}
}

func (o *getOptions) value(e *api.KVPair) []byte {
	if !o.base64 {
		return e.Value
	}
	return []byte(base64.StdEncoding.EncodeToString(e.Value))
}

// writeDetails writes the labelled lines of one entry. Errors stay in w, which
// is buffered and flushed at the end.
func (o *getOptions) writeDetails(w io.Writer, e *api.KVPair) {
	session := e.Session
	if session == "" {
		session = "-"
	}
	for _, line := range []struct {
		label string
		value any
	}{
		{"CreateIndex", e.CreateIndex},
		{"Flags", e.Flags},
		{"Key", e.Key},
		{"LockIndex", e.LockIndex},
		{"ModifyIndex", e.ModifyIndex},
		{"Session", session},
	} {
		fmt.Fprintf(w, "%-17s%v\n", line.label, line.value)
	}
	fmt.Fprintf(w, "%-17s%s\n", "Value", o.value(e))
}
