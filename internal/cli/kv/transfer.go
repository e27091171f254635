package kv

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

// exported is one key in the file that export writes and import reads. The
// format is Consul's, so files may be exchanged with it.
type exported struct {
	Key   string `json:"key"`
	Flags uint64 `json:"flags"`
	Value string `json:"value"` // base64
}

func newExport(f *cli.Factory) *cobra.Command {
	var (
		conn     *cli.Conn
		out      *cli.Output
		progress *cli.Progress
	)
	cmd := &cobra.Command{
		Use:   "export [options] [PREFIX]",
		Short: "Write all keys below a prefix as JSON",
		Long: `Write all keys that begin with the prefix, with flags and values, as JSON that
"ctl kv import" reads. Without a prefix, all keys.`,
		Example: `ctl kv export > keys.json
ctl kv export config/ > config.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			prefix, err := oneKey(cmd, args)
			if err != nil {
				return err
			}
			if _, err := conn.Client(); err != nil {
				return err
			}
			bar := progress.Start(cli.Work{What: "Exporting", Unit: "keys", Listed: true})
			defer bar.End()
			sink := cli.NewSink(out, exports)
			if err := stream(cmd.Context(), conn, prefix, bar, func(e *api.KVPair) error {
				return sink.Add(exported{e.Key, e.Flags, base64.StdEncoding.EncodeToString(e.Value)})
			}); err != nil {
				// The array stays open, so that nobody takes it for whole.
				return errors.Join(err, sink.Flush())
			}
			return sink.Close()
		},
	}
	out = f.Output(cmd)
	progress = f.Progress(cmd)
	conn = f.ConnectServer(cmd)
	cmd.ValidArgsFunction = conn.Complete(cli.LiveKeys, 1)
	return cmd
}

// exports is the export file: JSON is its text, too.
var exports = cli.View[exported]{
	Document: true,
	Indent:   "\t",
	Columns: []cli.Column[exported]{
		{Name: "Key", Value: func(e exported) string { return e.Key }},
		{Name: "Flags", Value: func(e exported) string { return strconv.FormatUint(e.Flags, 10) }},
		{Name: "Value", Value: func(e exported) string { return e.Value }},
	},
}

type importOptions struct {
	f        *cli.Factory
	conn     *cli.Conn
	change   *cli.Change
	progress *cli.Progress
	prefix   string
}

func newImport(f *cli.Factory) *cobra.Command {
	o := &importOptions{f: f}
	cmd := &cobra.Command{
		Use:   "import [options] DATA",
		Short: "Write the keys of an export",
		Long: `Write the keys that "ctl kv export" (or Consul's) wrote. DATA is the JSON itself,
@FILE or - for standard input. All of it is checked before the first key is
written; keys that exist are overwritten.`,
		Example: `ctl kv import @keys.json
ctl kv export config/ | ctl kv import -http-addr other:8500 -
ctl kv import -prefix copy/ @keys.json`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	cmd.Flags().StringVar(&o.prefix, "prefix", "", "`PREFIX` to put before every key; a / between is added if missing")
	o.conn = f.ConnectServer(cmd)
	o.change = f.Change(cmd, o.conn)
	o.progress = f.Progress(cmd)
	return cmd
}

func (o *importOptions) run(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return cli.Failf("Error! Missing DATA argument")
	case len(args) > 1:
		return cli.Usagef(cmd, "Too many arguments (expected 1, got %d)", len(args))
	}
	data, err := o.f.ReadData(args[0])
	if err != nil {
		return cli.Failf("Error! Failed reading data: %w", err)
	}
	pairs, err := decode(data, o.prefix)
	if err != nil {
		return err
	}
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	if ok, err := o.change.Begin("write %d keys", len(pairs)); !ok {
		return err
	}
	work := cli.Work{What: "Importing", Unit: "keys", Items: int64(len(pairs))}
	for _, p := range pairs {
		work.Bytes += int64(len(p.Value))
	}
	bar := o.progress.Start(work)
	defer bar.End()
	for i, p := range pairs {
		if _, err := client.KV().Put(p, o.conn.Write(cmd.Context())); err != nil {
			return cli.Failf("Error! Failed writing data for key %s (%d of %d keys imported before it): %w", p.Key, i, len(pairs), err)
		}
		bar.Add(1, int64(len(p.Value)))
		if err := o.change.Printf("Imported: %s", p.Key); err != nil {
			return err
		}
	}
	return nil
}

// decode reads an export whole, so that a broken one is found before anything
// is written.
func decode(data []byte, prefix string) ([]*api.KVPair, error) {
	var list []exported
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, cli.Failf("Cannot unmarshal data: %w", err)
	}
	if prefix = trimKey(prefix); prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	pairs := make([]*api.KVPair, len(list))
	for i, e := range list {
		value, err := base64.StdEncoding.DecodeString(e.Value)
		if err != nil {
			return nil, cli.Failf("Error! Failed decoding value for key %s: %w; nothing was written", e.Key, err)
		}
		key := prefix + trimKey(e.Key)
		if key == "" {
			return nil, cli.Failf("Error! Entry %d has no key; nothing was written", i+1)
		}
		pairs[i] = &api.KVPair{Key: key, Flags: e.Flags, Value: value}
	}
	return pairs, nil
}
