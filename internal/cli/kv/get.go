package kv

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

type getOptions struct {
	f         *cli.Factory
	conn      *cli.Conn
	format    *cli.Format
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
ctl kv get -stale config/limit`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.base64, "base64", false, "show values in base64")
	flags.BoolVar(&o.detailed, "detailed", false, "show indexes, flags and session too")
	flags.BoolVar(&o.keys, "keys", false, "list key names, not values")
	flags.BoolVar(&o.recurse, "recurse", false, "read all keys that begin with the prefix")
	flags.StringVar(&o.separator, "separator", "/", "with --keys, `STRING` at which names are cut and listed once")
	o.format = cli.FormatFlag(cmd)
	o.conn = f.ConnectServer(cmd)
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
	query := o.conn.Query(cmd.Context())
	out := bufio.NewWriter(o.f.Streams.Out)
	switch {
	case o.keys && !o.detailed:
		err = o.names(out, client.KV(), key, query)
	case o.recurse || o.keys:
		err = o.prefix(out, client.KV(), key, query)
	default:
		err = o.single(out, client.KV(), key, query)
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

func (o *getOptions) names(w io.Writer, kv *api.KV, prefix string, query *api.QueryOptions) error {
	separator := o.separator
	if o.recurse {
		separator = ""
	}
	names, _, err := kv.Keys(prefix, separator, query)
	if err != nil {
		return cli.Failf("Error querying Consul agent: %w", err)
	}
	if o.format.JSON() {
		return cli.WriteJSON(w, append([]string{}, names...))
	}
	for _, name := range names {
		fmt.Fprintln(w, name)
	}
	return nil
}

func (o *getOptions) prefix(w io.Writer, kv *api.KV, prefix string, query *api.QueryOptions) error {
	entries, _, err := kv.List(prefix, query)
	if err != nil {
		return cli.Failf("Error querying Consul agent: %w", err)
	}
	if o.format.JSON() {
		return cli.WriteJSON(w, append(api.KVPairs{}, entries...))
	}
	for i, e := range entries {
		switch {
		case o.detailed:
			if i > 0 {
				fmt.Fprintln(w)
			}
			o.writeDetails(w, e)
		default:
			fmt.Fprintf(w, "%s:%s\n", e.Key, o.value(e))
		}
	}
	return nil
}

func (o *getOptions) single(w io.Writer, kv *api.KV, key string, query *api.QueryOptions) error {
	entry, _, err := kv.Get(key, query)
	if err != nil {
		return cli.Failf("Error querying Consul agent: %w", err)
	}
	switch {
	case entry == nil:
		return cli.Failf("Error! No key exists at: %s", key)
	case o.format.JSON():
		return cli.WriteJSON(w, api.KVPairs{entry})
	case o.detailed:
		o.writeDetails(w, entry)
	default:
		fmt.Fprintf(w, "%s\n", o.value(entry))
	}
	return nil
}

func (o *getOptions) value(e *api.KVPair) []byte {
	if !o.base64 {
		return e.Value
	}
	return []byte(base64.StdEncoding.EncodeToString(e.Value))
}

// writeDetails writes the labelled lines of one entry. Errors stay in w, which
// is buffered and flushed by run.
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
