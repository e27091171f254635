// Package connect holds the commands about the service mesh: connect ca, for
// the cluster's certificate authority.
//
// Texts and exit codes follow Consul's command line; rotate is ctl's own.
package connect

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/hashicorp/consul/api"
	"github.com/spf13/cobra"
)

// NewCommand returns `ctl connect` with its commands.
func NewCommand(f *cli.Factory) *cobra.Command {
	return cli.Group("connect", "See to the service mesh", `ctl connect ca get-config
ctl connect ca rotate -dry-run`,
		cli.Group("ca", "See to the certificate authority", `ctl connect ca get-config > ca.json
ctl connect ca set-config -config-file ca.json
ctl connect ca rotate`,
			newGetConfig(f), newSetConfig(f), newRotate(f)),
	)
}

func newGetConfig(f *cli.Factory) *cobra.Command {
	var (
		conn  *cli.Conn
		out   *cli.Output
		watch *cli.Watch
	)
	cmd := &cobra.Command{
		Use:   "get-config [options]",
		Short: "Show the certificate authority's configuration",
		Long: `Show the configuration of the certificate authority as JSON, in the form that
set-config takes. A private key is never shown; set-config keeps it.`,
		Example: `ctl connect ca get-config
ctl connect ca get-config > ca.json`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := conn.Client()
			if err != nil {
				return err
			}
			only := func(*api.CAConfig) string { return "config" }
			_, err = cli.ReadDocument(cmd.Context(), watch, configView, only, func(q *api.QueryOptions) (cli.Document[*api.CAConfig], *api.QueryMeta, error) {
				config, meta, err := client.Connect().CAGetConfig(q)
				if err != nil {
					return cli.Document[*api.CAConfig]{}, nil, cli.Failf("Error querying CA configuration: %w", err)
				}
				return cli.Document[*api.CAConfig]{JSON: config, Rows: []*api.CAConfig{config}, Text: func(w io.Writer) error {
					return iostreams.WriteJSON(w, config, "\t")
				}}, meta, nil
			})
			return err
		},
	}
	out = f.Output(cmd)
	conn = f.ConnectServer(cmd)
	watch = f.Watch(cmd, out, conn)
	return cmd
}

// configView is the configuration as a row; as text it is JSON.
var configView = cli.View[*api.CAConfig]{
	Indent: "\t",
	Columns: []cli.Column[*api.CAConfig]{
		{Name: "Provider", Value: func(c *api.CAConfig) string { return c.Provider }},
		{Name: "Config", Value: func(c *api.CAConfig) string {
			text, _ := json.Marshal(c.Config) // came from JSON
			return string(text)
		}},
	},
}

func newSetConfig(f *cli.Factory) *cobra.Command {
	var (
		conn   *cli.Conn
		change *cli.Change
		file   string
		force  bool
	)
	cmd := &cobra.Command{
		Use:   "set-config [options]",
		Short: "Change the certificate authority's configuration",
		Long: `Change the configuration of the certificate authority to that of a JSON file.
What its Config leaves out takes the default. Another root certificate or another
type or size of key rotates the root: the old root signs the new one, so that
programs that only know the old one go on working.`,
		Example: `ctl connect ca get-config > ca.json   # then edit it
ctl connect ca set-config -config-file ca.json`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := readConfig(f, file)
			if err != nil {
				return err
			}
			config.ForceWithoutCrossSigning = config.ForceWithoutCrossSigning || force
			client, err := conn.Client()
			if err != nil {
				return err
			}
			if ok, err := change.Begin("change the certificate authority's configuration"); !ok {
				return err
			}
			if _, err := client.Connect().CASetConfig(config, conn.Write(cmd.Context())); err != nil {
				return cli.Failf("Error setting CA configuration: %w", err)
			}
			return change.Printf("Configuration updated!")
		},
	}
	cmd.Flags().StringVar(&file, "config-file", "", "JSON `FILE` with the configuration; - is standard input")
	cmd.Flags().BoolVar(&force, "force-without-cross-signing", false, "let a new root take over that the old one did not sign: programs that only know the old one fail until they have asked again")
	_ = cmd.MarkFlagFilename("config-file", "json")
	conn = f.ConnectServer(cmd)
	change = f.Change(cmd, conn)
	return cmd
}

// readConfig reads the file of set-config, or standard input.
func readConfig(f *cli.Factory, file string) (*api.CAConfig, error) {
	var (
		data []byte
		err  error
	)
	switch file {
	case "":
		return nil, cli.Failf("The -config-file flag is required")
	case "-":
		data, err = f.ReadData("-")
	default:
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, cli.Failf("Error reading config file: %w", err)
	}
	var config api.CAConfig
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, cli.Failf("Error parsing config file %s: %w", file, err)
	}
	// The client leaves out what it does not know: a misspelt Config would put
	// every setting back to its default.
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(new(api.CAConfig)); err != nil {
		return nil, cli.Failf("Error parsing config file %s: %s; known are Provider, Config, State and ForceWithoutCrossSigning", file, strings.TrimPrefix(err.Error(), "json: "))
	}
	if config.Provider == "" {
		return nil, cli.Failf("Error parsing config file %s: it has no Provider; write \"Provider\": \"consul\"", file)
	}
	return &config, nil
}

func newRotate(f *cli.Factory) *cobra.Command {
	var (
		conn   *cli.Conn
		change *cli.Change
		force  bool
	)
	cmd := &cobra.Command{
		Use:   "rotate [options]",
		Short: "Make a new root certificate",
		Long: `Make a new root certificate with the settings there are. The old root signs the
new one, agents ask for new certificates of their services, and the old root
stays known until no certificate of it can be left. Only servers of ctl can do
it without a change of the settings.`,
		Example: `ctl connect ca rotate
ctl connect ca rotate -force-without-cross-signing   # the old key was stolen`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := conn.Client()
			if err != nil {
				return err
			}
			if ok, err := change.Begin("make a new root certificate"); !ok {
				return err
			}
			before, after, err := rotate(cmd, conn, client, force)
			if err != nil {
				return cli.Failf("Error rotating the root certificate: %w", err)
			}
			return change.Printf("Root rotated!\nOld root: %s\nNew root: %s", before, after)
		},
	}
	cmd.Flags().BoolVar(&force, "force-without-cross-signing", false, "do not let the old root sign the new one: programs that only know the old one fail until they have asked again")
	conn = f.ConnectServer(cmd)
	change = f.Change(cmd, conn)
	return cmd
}

// rotate has a new root made and returns the ids of the old and the new one.
func rotate(cmd *cobra.Command, conn *cli.Conn, client *api.Client, force bool) (before, after string, err error) {
	query := conn.Query(cmd.Context())
	query.AllowStale = false
	roots, _, err := client.Connect().CARoots(query)
	if err != nil {
		return "", "", err
	}
	config, _, err := client.Connect().CAGetConfig(query)
	if err != nil {
		return "", "", err
	}
	change := struct {
		Provider                 string
		Config                   map[string]any
		ForceWithoutCrossSigning bool
		Rotate                   bool
	}{config.Provider, config.Config, force, true}
	if _, err := client.Raw().Write("/v1/connect/ca/configuration", change, nil, conn.Write(cmd.Context())); err != nil {
		return "", "", err
	}
	now, _, err := client.Connect().CARoots(query)
	if err != nil {
		return "", "", err
	}
	if now.ActiveRootID == roots.ActiveRootID {
		return "", "", errors.New("the root is the same as before: the servers are not ctl's; change PrivateKeyType or PrivateKeyBits with set-config instead")
	}
	return roots.ActiveRootID, now.ActiveRootID, nil
}
