package kv

import (
	"encoding/base64"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/argv"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

type putOptions struct {
	f           *cli.Factory
	conn        *cli.Conn
	change      *cli.Change
	cas         bool
	flags       uint64
	base64      bool
	modifyIndex uint64
	session     string
	acquire     bool
	release     bool
}

func newPut(f *cli.Factory) *cobra.Command {
	o := &putOptions{f: f}
	cmd := &cobra.Command{
		Use:   "put [options] KEY [DATA]",
		Short: "Write a key",
		Long: `Write a value to a key. DATA is the value itself, @FILE for the bytes of a file,
- for standard input; without DATA the value is empty. Options stand before KEY:
everything behind it is data, even if it begins with a dash.`,
		Example: `ctl kv put config/limit 10
ctl kv put config/nginx @nginx.conf
tar c site | ctl kv put backup/site -
ctl kv put -cas -modify-index=123 config/limit 20
ctl kv put -cas -modify-index=0 config/once "only if it is not there"`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.cas, "cas", false, "write only if the key's index is still --modify-index")
	flags.Uint64Var(&o.modifyIndex, "modify-index", 0, "with --cas, the key's `INDEX`; 0 means that it must not exist")
	flags.Uint64Var(&o.flags, "flags", 0, "`NUMBER` of your own to keep with the key")
	flags.BoolVar(&o.base64, "base64", false, "DATA is base64 and is decoded first")
	flags.StringVar(&o.session, "session", "", "`ID` of the session, for --acquire and --release")
	flags.BoolVar(&o.acquire, "acquire", false, "lock the key for the session and write")
	flags.BoolVar(&o.release, "release", false, "write and unlock the key, if the session holds it")
	o.conn = f.ConnectServer(cmd)
	o.change = f.Change(cmd, o.conn)
	cmd.ValidArgsFunction = o.conn.Complete(cli.LiveKeys, 1)
	argv.FreeTail(cmd)
	return cmd
}

func (o *putOptions) run(cmd *cobra.Command, args []string) error {
	entry, err := o.entry(cmd, args)
	if err != nil {
		return err
	}
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	if ok, err := o.change.Begin("write %d bytes to key %s", len(entry.Value), entry.Key); !ok {
		return err
	}
	kv, write := client.KV(), o.conn.Write(cmd.Context())
	switch {
	case o.cas:
		return o.compareAndSet(kv, entry, write)
	case o.acquire:
		return o.lock(kv.Acquire, "acquire", "acquired on", entry, write)
	case o.release:
		return o.lock(kv.Release, "release", "released on", entry, write)
	}
	if _, err := kv.Put(entry, write); err != nil {
		return cli.Failf("Error! Failed writing data: %w", err)
	}
	return o.success("Success! Data written to: %s\n", entry.Key)
}

// entry checks flags and arguments and reads the data, before anything is sent.
func (o *putOptions) entry(cmd *cobra.Command, args []string) (*api.KVPair, error) {
	key, data := "", ""
	switch len(args) {
	case 0:
	case 1:
		key = trimKey(args[0])
	case 2:
		key, data = trimKey(args[0]), args[1]
	default:
		return nil, cli.Usagef(cmd, "Too many arguments (expected at most 2, got %d)", len(args))
	}
	switch {
	case key == "":
		return nil, cli.Failf("Error! Missing KEY argument")
	case (o.acquire || o.release) && o.session == "":
		return nil, cli.Failf("Error! Missing -session (required with -acquire and -release)")
	case o.session != "" && !o.acquire && !o.release:
		return nil, cli.Failf("Error! -session needs -acquire or -release")
	case o.acquire && o.release, o.cas && (o.acquire || o.release):
		return nil, cli.Failf("Error! Only one of -cas, -acquire and -release may be given")
	case o.modifyIndex != 0 && !o.cas:
		return nil, cli.Failf("Error! -modify-index needs -cas")
	}
	value, err := o.f.ReadData(data)
	if err != nil {
		return nil, cli.Failf("Error! Failed reading data: %w", err)
	}
	if o.base64 {
		decoded, err := base64.StdEncoding.DecodeString(string(value))
		if err != nil {
			return nil, cli.Failf("Error! Cannot base64 decode data: %w; nothing was written", err)
		}
		value = decoded
	}
	return &api.KVPair{Key: key, ModifyIndex: o.modifyIndex, Flags: o.flags, Value: value, Session: o.session}, nil
}

func (o *putOptions) compareAndSet(kv *api.KV, entry *api.KVPair, write *api.WriteOptions) error {
	ok, _, err := kv.CAS(entry, write)
	switch {
	case err != nil:
		return cli.Failf("Error! Did not write to %s: %w", entry.Key, err)
	case !ok && entry.ModifyIndex == 0:
		return cli.Fail(failure.Conflict, "Error! Did not write to %s: CAS performed with index=0 and key already exists.", entry.Key)
	case !ok:
		return cli.Fail(failure.Conflict, "Error! Did not write to %s: CAS failed", entry.Key)
	}
	return o.success("Success! Data written to: %s\n", entry.Key)
}

func (o *putOptions) lock(do func(*api.KVPair, *api.WriteOptions) (bool, *api.WriteMeta, error),
	verb, done string, entry *api.KVPair, write *api.WriteOptions) error {
	ok, _, err := do(entry, write)
	if err != nil {
		return cli.Failf("Error! Failed writing data: %w", err)
	}
	if !ok {
		return cli.Fail(failure.Conflict, "Error! Did not %s lock", verb)
	}
	return o.success("Success! Lock "+done+": %s\n", entry.Key)
}

func (o *putOptions) success(format, key string) error {
	return o.change.Printf(format, key)
}
