package kv

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

// copyOptions is kv cp and kv mv.
type copyOptions struct {
	conn     *cli.Conn
	change   *cli.Change
	progress *cli.Progress
	move     bool
	recurse  bool
	force    bool
}

func newCp(f *cli.Factory) *cobra.Command {
	return newCopy(f, &copyOptions{}, &cobra.Command{
		Use:   "cp [options] FROM TO",
		Short: "Copy a key, or all below a prefix",
		Long: `Copy a key with its flags. With --recurse, all keys that begin with the prefix
FROM, which is replaced by TO.` + copyRules,
		Example: `ctl kv cp config/limit config/limit.old
ctl kv cp -recurse config/ backup/
ctl kv cp -recurse -dry-run config/ backup/`,
	})
}

func newMv(f *cli.Factory) *cobra.Command {
	return newCopy(f, &copyOptions{move: true}, &cobra.Command{
		Use:   "mv [options] FROM TO",
		Short: "Rename a key, or all below a prefix",
		Long: `Rename a key. With --recurse, all keys that begin with the prefix FROM, which is
replaced by TO. Each key is copied, and then deleted if nobody changed it.` + copyRules,
		Example: `ctl kv mv config/limit config/max
ctl kv mv -recurse config/ settings/
ctl kv mv -recurse -dry-run config/ settings/`,
	})
}

const copyRules = `

All of it is checked before the first write: a key that is there with another
value is overwritten only with --force, which asks. Keys are written one by one,
each only if nobody changed it meanwhile; where one was, the command stops, says
what is done and exits 14. Run again, it goes on where it stopped.`

func newCopy(f *cli.Factory, o *copyOptions, cmd *cobra.Command) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) != 2 {
			return cli.Usagef(cmd, "FROM and TO are wanted, %d arguments were given", len(args))
		}
		return o.run(cmd, trimKey(args[0]), trimKey(args[1]))
	}
	cmd.Flags().BoolVar(&o.recurse, "recurse", false, "take all keys that begin with FROM")
	cmd.Flags().BoolVar(&o.force, "force", false, "overwrite keys that have another value")
	o.conn = f.ConnectServer(cmd)
	o.change = f.Change(cmd, o.conn)
	o.progress = f.Progress(cmd)
	cmd.ValidArgsFunction = o.conn.Complete(cli.LiveKeys, 2)
	cli.DetailedExit(cmd)
	return cmd
}

// step is one key to copy or move.
type step struct {
	From, To string
	// Action is copy, move, overwrite or, where the key is at its place, none.
	Action string

	source *api.KVPair
	index  uint64 // the target's, 0 where it must not exist
}

const (
	actionCopy      = "copy"
	actionMove      = "move"
	actionOverwrite = "overwrite"
	actionNone      = "none"
)

var steps = cli.View[*step]{
	Name:  func(s *step) string { return s.To },
	Empty: "There is nothing to do.",
	Line: func(w io.Writer, _ int, s *step) {
		if s.Action == actionNone {
			fmt.Fprintf(w, "%s is at %s already\n", s.From, s.To)
			return
		}
		fmt.Fprintf(w, "%s %s -> %s\n", s.Action, s.From, s.To)
	},
	Columns: []cli.Column[*step]{
		{Name: "Action", Value: func(s *step) string { return s.Action }},
		{Name: "From", Value: func(s *step) string { return s.From }},
		{Name: "To", Value: func(s *step) string { return s.To }},
	},
}

func (o *copyOptions) run(cmd *cobra.Command, from, to string) error {
	switch {
	case from == to:
		return cli.Usagef(cmd, "FROM and TO are the same")
	case !o.recurse && (from == "" || to == ""):
		return cli.Usagef(cmd, "a key is missing; all keys below a prefix need -recurse")
	case o.recurse && (strings.HasPrefix(from, to) || strings.HasPrefix(to, from)):
		return cli.Usagef(cmd, "%q and %q overlap: every key below one begins with the other. Take a third prefix between", from, to)
	}
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	plan, err := o.plan(cmd.Context(), client.KV(), from, to)
	if err != nil {
		return err
	}
	if o.change.DryRun() {
		return cli.Show(o.change.List(), steps, plan)
	}
	verb, doing, overwritten := "copy", "Copying", 0
	if o.move {
		verb, doing = "move", "Moving"
	}
	for _, s := range plan {
		if s.Action == actionOverwrite {
			overwritten++
		}
	}
	what := fmt.Sprintf("%s %d keys from %s to %s", verb, len(plan), from, to)
	if overwritten > 0 {
		what += fmt.Sprintf(", and overwrite %d of them", overwritten)
		o.change.Ask()
	}
	if ok, err := o.change.Begin("%s", what); !ok {
		return err
	}
	bar := o.progress.Start(cli.Work{What: doing, Unit: "keys", Items: int64(len(plan))})
	defer bar.End()
	for i, s := range plan {
		if err := o.apply(cmd.Context(), client.KV(), s); err != nil {
			return fmt.Errorf("%w. Before it, %d of %d keys were done, as listed; the %d behind it were not touched. The same command goes on from here",
				err, i, len(plan), len(plan)-i-1)
		}
		bar.Add(1, 0)
		if err := o.tell(s); err != nil {
			return err
		}
	}
	return nil
}

// tell says what was done with one key.
func (o *copyOptions) tell(s *step) error {
	switch {
	case o.move:
		return o.change.Printf("Moved: %s -> %s", s.From, s.To)
	case s.Action == actionNone:
		return o.change.Printf("There already: %s -> %s", s.From, s.To)
	default:
		return o.change.Printf("Copied: %s -> %s", s.From, s.To)
	}
}

// plan reads what there is and checks all of it.
func (o *copyOptions) plan(ctx context.Context, kv *api.KV, from, to string) ([]*step, error) {
	sources, err := o.read(ctx, kv, from)
	if err != nil {
		return nil, err
	}
	if len(sources) == 0 {
		return nil, cli.Fail(failure.NotFound, "There is no key %s. Nothing was changed.", o.named(from))
	}
	there, err := o.read(ctx, kv, to)
	if err != nil {
		return nil, err
	}
	targets := make(map[string]*api.KVPair, len(there))
	for _, t := range there {
		targets[t.Key] = t
	}
	var plan []*step
	var taken, locked []string
	for _, source := range sources {
		s := &step{From: source.Key, To: to + strings.TrimPrefix(source.Key, from), Action: actionCopy, source: source}
		if s.To == "" {
			return nil, cli.Failf("Key %s would lose its whole name. Nothing was changed.", s.From)
		}
		if o.move {
			s.Action = actionMove
		}
		if o.move && source.Session != "" {
			locked = append(locked, s.From)
		}
		if t := targets[s.To]; t != nil {
			s.index = t.ModifyIndex
			switch {
			case !bytes.Equal(t.Value, source.Value) || t.Flags != source.Flags:
				s.Action = actionOverwrite
				taken = append(taken, s.To)
			case !o.move:
				s.Action = actionNone
			}
		}
		plan = append(plan, s)
	}
	switch {
	case len(taken) > 0 && !o.force:
		return nil, cli.Fail(failure.Conflict, "There already, with another value: %s. Nothing was changed; -force overwrites.", few(taken))
	case len(locked) > 0 && !o.force:
		return nil, cli.Fail(failure.Conflict, "Locked by a session, which would lose it: %s. Nothing was changed; -force moves it all the same.", few(locked))
	}
	return plan, nil
}

func (o *copyOptions) named(from string) string {
	if o.recurse {
		return "that begins with " + from
	}
	return from
}

// few names at most five keys.
func few(keys []string) string {
	if n := len(keys); n > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(keys[:5], ", "), n-5)
	}
	return strings.Join(keys, ", ")
}

// read returns the key, or all that begin with it. Plans are made from what the
// leader has: a stale read would only lose the check-and-set.
func (o *copyOptions) read(ctx context.Context, kv *api.KV, key string) (api.KVPairs, error) {
	q := o.conn.Query(ctx)
	q.AllowStale = false
	if o.recurse {
		pairs, _, err := kv.List(key, q)
		if err != nil {
			return nil, cli.Failf("Error reading keys that begin with %s: %w. Nothing was changed", key, err)
		}
		return pairs, nil
	}
	pair, _, err := kv.Get(key, q)
	switch {
	case err != nil:
		return nil, cli.Failf("Error reading key %s: %w. Nothing was changed", key, err)
	case pair == nil:
		return nil, nil
	default:
		return api.KVPairs{pair}, nil
	}
}

func (o *copyOptions) apply(ctx context.Context, kv *api.KV, s *step) error {
	same := o.move && s.Action == actionMove && s.index != 0 // only the deletion is left to do
	if s.Action != actionNone && !same {
		pair := &api.KVPair{Key: s.To, Flags: s.source.Flags, Value: s.source.Value, ModifyIndex: s.index}
		ok, _, err := kv.CAS(pair, o.conn.Write(ctx))
		if err != nil {
			return cli.Failf("Error writing key %s: %w", s.To, err)
		}
		if !ok {
			return cli.Fail(failure.Conflict, "Key %s was changed meanwhile and not written", s.To)
		}
	}
	if !o.move {
		return nil
	}
	ok, _, err := kv.DeleteCAS(&api.KVPair{Key: s.From, ModifyIndex: s.source.ModifyIndex}, o.conn.Write(ctx))
	if err != nil {
		return cli.Failf("Error deleting key %s, whose copy %s is written: %w", s.From, s.To, err)
	}
	if !ok {
		return cli.Fail(failure.Conflict, "Key %s was changed meanwhile and not deleted; its copy %s has the old value", s.From, s.To)
	}
	return nil
}
