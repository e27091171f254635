package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

type editOptions struct {
	f      *cli.Factory
	conn   *cli.Conn
	change *cli.Change
	draft  string
}

func newEdit(f *cli.Factory) *cobra.Command {
	o := &editOptions{f: f}
	cmd := &cobra.Command{
		Use:   "edit [options] KEY",
		Short: "Change a value in an editor",
		Long: `Open the value of a key in $VISUAL or $EDITOR, or vi, and write it if it was
changed there and nobody else changed it meanwhile. A key that does not exist is
made. Flags stay. Where the value had no newline at its end, one that the editor
puts there is dropped.

If somebody else changed the key, or the write fails, nothing is written, both
values are shown, and the draft stays in a file only you can read: -draft goes on
with it. Exit code 14 says that it was a change by somebody else.`,
		Example: `ctl kv edit config/limit
EDITOR="code --wait" ctl kv edit config/nginx
ctl kv edit -draft /tmp/ctl-edit-1/limit config/limit`,
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := oneKey(cmd, args)
			if err != nil {
				return err
			}
			if key == "" {
				return cli.Usagef(cmd, "the key to edit is missing")
			}
			return o.run(cmd.Context(), key)
		},
	}
	cmd.Flags().StringVar(&o.draft, "draft", "", "begin with the text in `FILE`, not with the stored value")
	o.conn = f.ConnectServer(cmd)
	o.change = f.Change(cmd, o.conn)
	cmd.ValidArgsFunction = o.conn.Complete(cli.LiveKeys, 1)
	cli.DetailedExit(cmd)
	return cmd
}

func (o *editOptions) run(ctx context.Context, key string) error {
	client, err := o.conn.Client()
	if err != nil {
		return err
	}
	if ok, err := o.change.Begin("edit key %s", key); !ok {
		return err
	}
	pair, err := o.read(ctx, client.KV(), key)
	if err != nil {
		return err
	}
	if !utf8.Valid(pair.Value) {
		return cli.Failf("The value of %s is not text. Use `ctl kv get` and `ctl kv put` with a file. Nothing was changed.", key)
	}
	begin := pair.Value
	if o.draft != "" {
		if begin, err = os.ReadFile(o.draft); err != nil {
			return cli.Failf("Error reading the draft: %w", err)
		}
	}
	path, err := newDraft(key, begin)
	if err != nil {
		return cli.Failf("Error making a file for the editor: %w", err)
	}
	value, err := o.edit(ctx, path)
	if err != nil {
		return cli.Failf("%w. Nothing was changed; the text is in %s", err, path)
	}
	if !bytes.HasSuffix(pair.Value, []byte("\n")) {
		value = bytes.TrimSuffix(value, []byte("\n"))
	}
	if bytes.Equal(value, pair.Value) && (pair.ModifyIndex > 0 || len(value) == 0) {
		removeDraft(path)
		return o.change.Printf("Not changed: %s", key)
	}
	return o.write(ctx, client.KV(), pair, value, path)
}

// read returns the key as the leader has it; one that does not exist has index
// 0 and no value.
func (o *editOptions) read(ctx context.Context, kv *api.KV, key string) (*api.KVPair, error) {
	q := o.conn.Query(ctx)
	q.AllowStale = false
	pair, _, err := kv.Get(key, q)
	if err != nil {
		return nil, cli.Failf("Error reading key %s: %w", key, err)
	}
	if pair == nil {
		pair = &api.KVPair{Key: key}
	}
	return pair, nil
}

// newDraft puts text into a file nobody else can read, in a directory of its
// own, where editors may put theirs. The name ends as the key does, which tells
// editors what it is.
func newDraft(key string, text []byte) (string, error) {
	dir, err := os.MkdirTemp("", "ctl-edit-")
	if err != nil {
		return "", err
	}
	name := strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, key[strings.LastIndex(strings.TrimSuffix(key, separator), separator)+1:])
	if len(name) > 100 {
		name = name[len(name)-100:]
	}
	// A name of dots alone, or one that begins like an option, is none.
	if strings.Trim(name, ".") == "" || name[0] == '-' {
		name = "_" + name
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		_ = os.RemoveAll(dir) // the first failure says more
		return "", err
	}
	return path, nil
}

// removeDraft removes what newDraft made. What stays is for the system to tidy.
func removeDraft(path string) { _ = os.RemoveAll(filepath.Dir(path)) }

// edit runs the editor on path and returns what it left there.
func (o *editOptions) edit(ctx context.Context, path string) ([]byte, error) {
	editor := "vi"
	if runtime.GOOS == "windows" {
		editor = "notepad"
	}
	for _, name := range []string{"EDITOR", "VISUAL"} {
		if text, ok := o.f.LookupEnv(name); ok && strings.TrimSpace(text) != "" {
			editor = text
		}
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$@"`, "sh", path)
	if runtime.GOOS == "windows" {
		cmd = exec.CommandContext(ctx, "cmd", "/C", editor, path)
	}
	// The editor wants the terminal itself. Results of this command may go to a
	// pipe, and the screen of an editor is none.
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if !o.f.Streams.OutTerminal {
		cmd.Stdout = os.Stderr
	}
	// Ctrl-C is for the editor: this program must live on to keep the draft.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("editor %q: %w", editor, err)
	}
	return os.ReadFile(path)
}

// write writes value if the key is as it was read. Otherwise the draft stays.
func (o *editOptions) write(ctx context.Context, kv *api.KV, was *api.KVPair, value []byte, path string) error {
	ok, _, err := kv.CAS(&api.KVPair{Key: was.Key, Flags: was.Flags, Value: value, ModifyIndex: was.ModifyIndex}, o.conn.Write(ctx))
	switch {
	case err != nil:
		return cli.Failf("Error writing key %s: %w. The draft is in %s", was.Key, err, path)
	case ok:
		removeDraft(path)
		return o.change.Printf("Success! Data written to: %s", was.Key)
	}
	now, err := o.read(ctx, kv, was.Key)
	if err != nil {
		return errors.Join(o.lost(was.Key, path), err)
	}
	stored := now.Value
	if now.ModifyIndex == 0 {
		stored = []byte("(the key does not exist any more)")
	} else if !utf8.Valid(stored) {
		stored = fmt.Appendf(nil, "(%d bytes that are not text)", len(stored))
	}
	fmt.Fprintf(o.f.Streams.Err, "Stored now (index %d, you began at %d):\n%s\nYour draft:\n%s\n",
		now.ModifyIndex, was.ModifyIndex, indented(stored), indented(value))
	return o.lost(was.Key, path)
}

func (o *editOptions) lost(key, path string) error {
	return cli.Fail(failure.Conflict, "Key %s was changed by somebody else meanwhile. Nothing was written; the draft is in %s. `ctl kv edit -draft %s %s` goes on with it",
		key, path, path, key)
}

// indented is text with a bar before every line.
func indented(text []byte) string {
	return "  | " + strings.ReplaceAll(strings.TrimSuffix(string(text), "\n"), "\n", "\n  | ")
}
