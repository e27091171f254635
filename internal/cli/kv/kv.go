// Package kv holds the commands of the key/value store: kv get, put, delete,
// export and import, which Consul has, and kv ls, tree, edit, diff, cp and mv,
// which it has not.
//
// Flags, texts and exit codes of the first follow Consul's command line; what
// differs is on the safe side: wrong base64 and a broken import file write
// nothing at all. The others write by check-and-set only, and their exit codes
// are detailed.
package kv

import (
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/spf13/cobra"
)

// NewCommand returns `ctl kv` with its commands.
func NewCommand(f *cli.Factory) *cobra.Command {
	cmd := cli.Group("kv", "Read and write keys", `ctl kv put config/limit 10
ctl kv get config/limit
ctl kv get -recurse config/
ctl kv delete -recurse config/`,
		newGet(f), newPut(f), newDelete(f), newExport(f), newImport(f),
		newLs(f), newTree(f), newEdit(f), newDiff(f), newCp(f), newMv(f))
	cmd.Long = "Read and write the key/value store."
	return cmd
}

// trimKey drops one leading slash, which no key can have but people type.
func trimKey(key string) string { return strings.TrimPrefix(key, "/") }

// oneKey returns the only argument, or none if the command allows that.
func oneKey(cmd *cobra.Command, args []string) (string, error) {
	switch len(args) {
	case 0:
		return "", nil
	case 1:
		return trimKey(args[0]), nil
	default:
		return "", cli.Usagef(cmd, "Too many arguments (expected 1, got %d)", len(args))
	}
}
