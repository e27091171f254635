package kv

import (
	"fmt"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

type deleteOptions struct {
	conn        *cli.Conn
	change      *cli.Change
	progress    *cli.Progress
	cas         bool
	modifyIndex uint64
	recurse     bool
}

func newDelete(f *cli.Factory) *cobra.Command {
	o := &deleteOptions{}
	cmd := &cobra.Command{
		Use:   "delete [options] KEY or PREFIX",
		Short: "Delete a key, or all below a prefix",
		Long: `Delete a key. With --recurse, all keys that begin with the prefix. A key that
does not exist counts as deleted.`,
		Example: `ctl kv delete config/limit
ctl kv delete -recurse config/
ctl kv delete -cas -modify-index=123 config/limit`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.cas, "cas", false, "delete only if the key's index is still --modify-index")
	flags.Uint64Var(&o.modifyIndex, "modify-index", 0, "with --cas, the key's `INDEX`")
	flags.BoolVar(&o.recurse, "recurse", false, "delete all keys that begin with the prefix")
	o.conn = f.ConnectServer(cmd)
	o.change = f.Change(cmd, o.conn)
	o.progress = f.Progress(cmd)
	cmd.ValidArgsFunction = o.conn.Complete(cli.LiveKeys, 1)
	return cmd
}

func (o *deleteOptions) run(cmd *cobra.Command, args []string) error {
	key, err := oneKey(cmd, args)
	if err != nil {
		return err
	}
	switch {
	case key == "" && (!o.recurse || len(args) == 0):
		return cli.Failf("Error! Missing KEY argument")
	case o.cas && o.recurse:
		return cli.Failf("Error! -cas and -recurse cannot be used together")
	case o.cas && o.modifyIndex == 0:
		return cli.Failf("Error! -cas needs -modify-index, greater than 0")
	case o.modifyIndex != 0 && !o.cas:
		return cli.Failf("Error! -modify-index needs -cas")
	}
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	what := "delete key " + key
	if o.recurse {
		what = fmt.Sprintf("delete all keys that begin with %q", key)
	}
	if ok, err := o.change.Begin("%s", what); !ok {
		return err
	}
	kv, write := client.KV(), o.conn.Write(cmd.Context())
	success := "Success! Deleted key: %s\n"
	switch {
	case o.recurse:
		// It is one request, so there is only the time to show.
		bar := o.progress.Start(cli.Work{What: "Deleting"})
		_, err := kv.DeleteTree(key, write)
		bar.End()
		if err != nil {
			return cli.Failf("Error! Did not delete prefix %s: %w", key, err)
		}
		success = "Success! Deleted keys with prefix: %s\n"
	case o.cas:
		ok, _, err := kv.DeleteCAS(&api.KVPair{Key: key, ModifyIndex: o.modifyIndex}, write)
		if err != nil {
			return cli.Failf("Error! Did not delete key %s: %w", key, err)
		}
		if !ok {
			return cli.Fail(failure.Conflict, "Error! Did not delete key %s: CAS failed", key)
		}
	default:
		if _, err := kv.Delete(key, write); err != nil {
			return cli.Failf("Error! Did not delete key %s: %w", key, err)
		}
	}
	return o.change.Printf(success, key)
}
