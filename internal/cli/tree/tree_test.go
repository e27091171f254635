package tree

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli"
	"github.com/ctl-sh/ctl/internal/cli/argv"
	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/iostreams"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newTree() *cobra.Command {
	streams, _, _ := iostreams.Test("")
	root := New(&cli.Factory{Streams: streams, LookupEnv: func(string) (string, bool) { return "", false }, Agent: standIn})
	argv.Prepare(root)
	return root
}

// standIn has the flags of the agent command, without the agent.
func standIn(*cli.Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use: "agent [options]", Short: "Run an agent", Example: "ctl agent -dev",
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	config.BindFlags(cmd.Flags())
	return cmd
}

// commands returns every command of the tree that is not hidden.
func commands(root *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{root}
	for _, c := range root.Commands() {
		if !c.Hidden {
			all = append(all, commands(c)...)
		}
	}
	return all
}

// TestConsulCommandsThatAreMissing demands of every command Consul has that it is
// here or that its name gets an answer of its own: a script must not mistake it
// for a typing error. The names are those of Consul 1.21, without its
// experimental "resource".
func TestConsulCommandsThatAreMissing(t *testing.T) {
	for path := range strings.FieldsFuncSeq(`acl,agent,catalog datacenters,catalog nodes,catalog services,
		config write,config read,config list,config delete,connect ca get-config,connect ca set-config,connect proxy,
		connect envoy,connect expose,connect redirect-traffic,debug,event,exec,force-leave,info,intention,join,keygen,
		keyring,kv get,kv put,kv delete,kv export,kv import,leave,lock,login,logout,maint,members,monitor,
		operator autopilot get-config,operator autopilot set-config,operator autopilot state,operator raft list-peers,
		operator raft remove-peer,operator raft transfer-leader,operator usage,peering,reload,rtt,services register,
		services deregister,services export,services exported-services,snapshot,tls ca create,tls cert create,
		troubleshoot,validate,version,watch`, func(r rune) bool { return r == ',' || r == '\n' || r == '\t' }) {
		words := strings.Fields(path)
		if _, rest := argv.Descend(newTree(), words); len(rest) == 0 {
			continue
		}
		streams, _, errOut := iostreams.Test("")
		f := &cli.Factory{Streams: streams, LookupEnv: func(string) (string, bool) { return "", false }, Agent: standIn}
		code := Main(t.Context(), f, append(words, "-o", "json"))
		if !strings.Contains(errOut.String(), "Consul has it, this version of ctl does not yet") || code != 127 && len(words) == 1 || code == 0 {
			t.Errorf("%s: exit code %d, %.120q", path, code, errOut)
		}
	}
}

// TestCommands holds the names of all commands: scripts know them.
func TestCommands(t *testing.T) {
	var got []string
	for _, c := range commands(newTree()) {
		got = append(got, c.CommandPath())
	}
	slices.Sort(got)
	want := strings.Split(strings.TrimSpace(`
ctl
ctl agent
ctl catalog
ctl catalog datacenters
ctl catalog nodes
ctl catalog prune
ctl catalog services
ctl check
ctl completion
ctl completion bash
ctl completion fish
ctl completion powershell
ctl completion zsh
ctl config
ctl config explain
ctl connect
ctl connect ca
ctl connect ca get-config
ctl connect ca rotate
ctl connect ca set-config
ctl context
ctl context add
ctl context import
ctl context list
ctl context previous
ctl context remove
ctl context rename
ctl context show
ctl context use
ctl context validate
ctl dashboard
ctl debug
ctl doctor
ctl force-leave
ctl health
ctl help
ctl info
ctl join
ctl keygen
ctl keyring
ctl keyring install
ctl keyring list
ctl keyring remove
ctl keyring use
ctl kv
ctl kv cp
ctl kv delete
ctl kv diff
ctl kv edit
ctl kv export
ctl kv get
ctl kv import
ctl kv ls
ctl kv mv
ctl kv put
ctl kv tree
ctl leave
ctl maint
ctl members
ctl monitor
ctl operator
ctl operator autopilot
ctl operator autopilot get-config
ctl operator autopilot set-config
ctl operator autopilot state
ctl operator raft
ctl operator raft list-peers
ctl operator raft remove-peer
ctl operator raft transfer-leader
ctl reload
ctl rtt
ctl services
ctl services deregister
ctl services list
ctl services register
ctl services show
ctl tls
ctl tls ca
ctl tls ca create
ctl tls cert
ctl tls cert create
ctl tls inspect
ctl validate
ctl version
ctl wait
ctl watch`), "\n")
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("commands (- got, + want):\n%s", d)
	}
}

// TestHelp checks what every help text must have, and its width.
func TestHelp(t *testing.T) {
	for _, c := range commands(newTree()) {
		t.Run(c.CommandPath(), func(t *testing.T) {
			if c.Short == "" || strings.HasSuffix(c.Short, ".") {
				t.Errorf("short description %q", c.Short)
			}
			if !c.HasSubCommands() && c.Parent().Name() != "completion" && c.Name() != "help" && !c.HasExample() {
				t.Error("no example")
			}
			if n := len(slices.Collect(strings.Lines(c.Example))); c.HasSubCommands() && (n < 2 || n > 6) {
				t.Errorf("%d examples of a group, want 2 to 6", n)
			}
			streams, out, _ := iostreams.Test("")
			f := &cli.Factory{Streams: streams, LookupEnv: func(string) (string, bool) { return "", false }, Agent: standIn}
			args := append(strings.Fields(c.CommandPath())[1:], "-h")
			if code := f.Run(t.Context(), New(f), args); code != 0 {
				t.Errorf("-h exits %d", code)
			}
			examples, usage := strings.Index(out.String(), "\nExamples:\n"), strings.Index(out.String(), "\nUsage:\n")
			if c.HasExample() && (examples < 0 || examples > usage) {
				t.Error("the examples are not in front of the usage")
			}
			for line := range strings.Lines(out.String()) {
				if len(line) >= 80+len("\n") {
					t.Errorf("line of %d characters: %s", len(line)-1, line)
				}
			}
		})
	}
}

// TestExamplesAreUnderstood parses the flags of every command line that the
// help texts show.
func TestExamplesAreUnderstood(t *testing.T) {
	for _, c := range commands(newTree()) {
		for line := range strings.Lines(c.Example) {
			for _, part := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune("|<>()&#\n", r) }) {
				words := strings.Fields(strings.ReplaceAll(part, `"`, ""))
				if len(words) < 2 || words[0] != "ctl" {
					continue
				}
				t.Run(part, func(t *testing.T) { understood(t, words[1:]) })
			}
		}
	}
}

// TestConsulCommandLines parses command lines as users of Consul write them.
func TestConsulCommandLines(t *testing.T) {
	for _, line := range []string{
		"agent -dev",
		"agent -config-dir /etc/consul.d -config-file=extra.json",
		"agent -server -disable-host-node-id -bind=127.0.0.2 -bootstrap-expect=3 -client=0.0.0.0 -ui",
		"agent -retry-join 127.0.0.2 -retry-join provider=x -node-meta rack:r1 -node -dc1",
		"agent -data-dir=/tmp/c -encrypt abc= -log-level=debug -raft-protocol 3 -dns-port -1",
		"members",
		"members -detailed",
		"members -status=alive -wan",
		"members -http-addr=127.0.0.1:8500 -token=abc",
		"kv put foo bar",
		"kv put -cas -modify-index=844 redis/config/connections 10",
		"kv put -acquire -session=abc lock @file",
		"kv put -base64 -flags=42 foo aGk=",
		"kv put foo -",
		"kv get -detailed redis/config/minconns",
		"kv get -recurse -separator=: redis",
		"kv get -keys redis/config",
		"kv get --datacenter=dc2 --stale foo",
		"kv delete -recurse foo",
		"kv export vault/",
		"kv import @values.json",
		"kv import -prefix=sub/ -",
		"join -wan 10.0.0.1",
		"leave -token abc",
		"force-leave -prune node1",
		"force-leave node1 -prune -wan",
		"info -http-addr unix:///run/consul.sock",
		"monitor -log-level=debug -log-json",
		"operator raft list-peers -stale=true",
		"operator raft remove-peer -address=127.0.0.1:8300",
		"operator raft remove-peer -id=x",
		"operator raft transfer-leader -id=x",
		"operator autopilot get-config -stale",
		"operator autopilot set-config -cleanup-dead-servers=false -last-contact-threshold=1s",
		"operator autopilot state -format=pretty",
		"catalog nodes -service=redis -near=_agent -node-meta=a=b",
		"catalog datacenters -ca-file=ca.pem -client-cert=c.pem -client-key=k.pem -tls-server-name=x",
		"validate -quiet /etc/consul.d",
		"version -format=json",
		"reload -token-file=f",
		"rtt n1 n2",
		"keyring -list",
		"keyring -list-primary -local-only",
		"keyring -install=aGVsbG8= -relay-factor=3",
		"keyring -use aGVsbG8=",
		"keyring -remove aGVsbG8= -relay-factor 3",
		"rtt n1",
		"rtt -wan n1.dc1 n2.dc2",
		"kv get -namespace=default -partition=default foo",
	} {
		t.Run(line, func(t *testing.T) { understood(t, strings.Fields(line)) })
	}
}

func understood(t *testing.T, args []string) {
	t.Helper()
	root := newTree()
	cmd, rest := argv.Descend(root, argv.Arrange(root, argv.Rewrite(root, args)))
	if cmd.HasSubCommands() && cmd.CommandPath() != "ctl keyring" { // which Consul has without commands
		t.Fatalf("%q leads to %q only", args, cmd.CommandPath())
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("%q: %v", args, err)
	}
}

// TestFlagNamesMeanTheSame checks what argv relies on to read flags in front of
// a command: whether a flag takes a value does not depend on the command. Consul
// broke the rule once, with -client, which nobody writes in front of either.
func TestFlagNamesMeanTheSame(t *testing.T) {
	value := map[string]string{}
	for _, c := range commands(newTree()) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "use" && c.CommandPath() == "ctl keyring" {
				return // Consul's name; it stands behind its command
			}
			if f.Name == "client" && c.CommandPath() == "ctl tls cert create" {
				return
			}
			kind := "takes a value"
			if f.NoOptDefVal != "" {
				kind = "takes none"
			}
			if was, ok := value[f.Name]; ok && was != kind {
				t.Errorf("--%s of %q %s, elsewhere it %s", f.Name, c.CommandPath(), kind, was)
			}
			value[f.Name] = kind
		})
	}
}

func TestFreeTails(t *testing.T) {
	var got []string
	for _, c := range commands(newTree()) {
		if argv.HasFreeTail(c) {
			got = append(got, c.CommandPath())
		}
	}
	if d := cmp.Diff(got, []string{"ctl kv put", "ctl watch"}); d != "" {
		t.Errorf("commands with a free tail (- got, + want):\n%s", d)
	}
}

// TestEveryCommandIsReadOrChange holds every command to one of three sorts:
// it shows something, and has --format; it changes something, and has --dry-run
// and, where that is in a cluster, --yes; or it is named here.
func TestEveryCommandIsReadOrChange(t *testing.T) {
	var neither []string
	for _, c := range commands(newTree()) {
		if c.HasSubCommands() {
			continue
		}
		name := strings.TrimPrefix(c.CommandPath(), "ctl ")
		format := c.Flags().Lookup("format") != nil
		dryRun, yes := c.Flags().Lookup("dry-run") != nil, c.Flags().Lookup("yes") != nil
		if changes := cli.Changes(c) || cli.ChangesFiles(c); changes != dryRun || yes != cli.Changes(c) || (changes && !format) {
			t.Errorf("%s: changes something: %v, has --dry-run: %v, --yes: %v, --format: %v", name, changes, dryRun, yes, format)
		}
		if !format {
			neither = append(neither, name)
		}
		if jq := c.Flags().Lookup("jq") != nil; jq != format {
			t.Errorf("%s: has --format: %v, --jq: %v", name, format, jq)
		}
	}
	slices.Sort(neither)
	want := []string{
		"agent", "completion bash", "completion fish", "completion powershell", "completion zsh",
		"debug", "help", "keygen", "monitor", "watch",
	}
	if d := cmp.Diff(neither, want); d != "" {
		t.Errorf("commands without --format (- got, + want):\n%s", d)
	}
}

// TestReads names the commands that show something and change nothing. A new
// command that changes something must not be among them: it calls
// Factory.Change.
func TestReads(t *testing.T) {
	var reads []string
	for _, c := range commands(newTree()) {
		if !c.HasSubCommands() && c.Flags().Lookup("format") != nil && !cli.Changes(c) && !cli.ChangesFiles(c) {
			reads = append(reads, strings.TrimPrefix(c.CommandPath(), "ctl "))
		}
	}
	slices.Sort(reads)
	want := []string{
		"catalog datacenters", "catalog nodes", "catalog services", "check", "config explain", "connect ca get-config", "context list", "context show", "context validate", "dashboard", "doctor", "health", "info", "keyring list", "kv diff", "kv export", "kv get", "kv ls", "kv tree",
		"members", "operator autopilot get-config", "operator autopilot state", "operator raft list-peers", "rtt", "services list", "services show", "tls inspect", "validate", "version", "wait",
	}
	if d := cmp.Diff(reads, want); d != "" {
		t.Errorf("commands that only read (- got, + want):\n%s", d)
	}
}

// TestReadsHaveWatch holds every command that shows what an agent has to
// --watch, and names those for which it makes no sense.
func TestReadsHaveWatch(t *testing.T) {
	without := map[string]string{
		"check":          "the plugin of a monitoring system, which repeats it",
		"doctor":         "measures for seconds",
		"keyring list":   "asks all members",
		"kv diff":        "reads two clusters whole",
		"kv export":      "writes a file",
		"rtt":            "what it shows hardly moves; the dashboard has it",
		"wait":           "waits by itself",
		"dashboard":      "watches by itself",
		"config explain": "shows this machine's settings", "context list": "the same", "context show": "the same", "context validate": "asks all of them once",
		"tls inspect": "shows files or one handshake", "validate": "reads files", "version": "shows this program",
	}
	for _, c := range commands(newTree()) {
		name := strings.TrimPrefix(c.CommandPath(), "ctl ")
		if c.HasSubCommands() || c.Flags().Lookup("format") == nil || cli.Changes(c) || cli.ChangesFiles(c) {
			continue
		}
		if has := c.Flags().Lookup("watch") != nil; has == (without[name] != "") {
			t.Errorf("%s: has --watch: %v, but there is a reason against it: %q", name, has, without[name])
		}
		delete(without, name)
	}
	for name := range without {
		t.Errorf("%s is no read any more", name)
	}
}

func TestAgentCommandIsHandedIn(t *testing.T) {
	streams, _, _ := iostreams.Test("")
	f := &cli.Factory{Streams: streams, LookupEnv: func(string) (string, bool) { return "", false }}
	ran := []string{}
	f.Agent = func(*cli.Factory) *cobra.Command {
		cmd := &cobra.Command{Use: "agent", RunE: func(_ *cobra.Command, args []string) error { ran = args; return nil }}
		cmd.Flags().StringArray("config-dir", nil, "")
		cmd.Flags().Bool("dev", false, "")
		return cmd
	}
	if code := Main(t.Context(), f, []string{"agent", "-dev", "-config-dir", "-x", "y"}); code != 0 || !slices.Equal(ran, []string{"y"}) {
		t.Errorf("exit code %d, ran with %q", code, ran)
	}
}

// TestOneCommandIsAsInTheWhole makes the tree for each command alone: its name and
// aliases are those that lead to it, and it is the same as in the whole tree.
func TestOneCommandIsAsInTheWhole(t *testing.T) {
	factory := func() (*cli.Factory, fmt.Stringer) {
		streams, out, _ := iostreams.Test("")
		return &cli.Factory{Streams: streams, LookupEnv: func(string) (string, bool) { return "", false }, Agent: standIn}, out
	}
	for _, c := range commands(newTree()) {
		path := strings.Fields(c.CommandPath())[1:]
		if len(path) == 0 || path[0] == "help" || path[0] == "version" {
			continue
		}
		t.Run(c.CommandPath(), func(t *testing.T) {
			for _, first := range append([]string{path[0]}, c.Aliases...) {
				if len(path) > 1 && first != path[0] {
					continue // of a command further down
				}
				f, _ := factory()
				if n := len(forRun(f, []string{first}).Commands()); n > 3 { // and version, and help
					t.Errorf("%d commands are made for ctl %s", n, first)
				}
			}
			args := append(slices.Clone(path), "-h")
			f, whole := factory()
			f.Run(t.Context(), New(f), args)
			g, alone := factory()
			g.Run(t.Context(), forRun(g, args), args)
			if d := cmp.Diff(alone.String(), whole.String()); d != "" {
				t.Errorf("help (- alone, + whole):\n%s", d)
			}
		})
	}
}
