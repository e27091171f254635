// Package keygen holds the command that makes a key for gossip encryption.
package keygen

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/spf13/cobra"
)

// KeyBytes is the length of a key: AES-256.
const KeyBytes = 32

// NewCommand returns `ctl keygen`. It talks to no agent.
func NewCommand(f *cli.Factory) *cobra.Command {
	return &cobra.Command{
		Use:   "keygen",
		Short: "Make a key for gossip encryption",
		Long: `Make a random key for gossip encryption, to be set as "encrypt" in the
configuration of every agent. The key is printed and kept nowhere.`,
		Example: `ctl keygen
ctl agent -encrypt "$(ctl keygen)" -config-dir /etc/ctl.d`,
		Args: cli.NoArguments,
		RunE: func(*cobra.Command, []string) error {
			key := make([]byte, KeyBytes)
			rand.Read(key) // never fails: it ends the process instead
			_, err := fmt.Fprintln(f.Streams.Out, base64.StdEncoding.EncodeToString(key))
			return err
		},
	}
}
