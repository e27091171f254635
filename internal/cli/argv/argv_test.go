package argv

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// testTree has a command of every sort: plain, with a free tail, nested, with
// a one-letter flag, with an alias.
func testTree() *cobra.Command {
	leaf := func(use string) *cobra.Command {
		c := &cobra.Command{Use: use, RunE: func(*cobra.Command, []string) error { return nil }}
		c.Flags().String("http-addr", "", "")
		c.Flags().String("token", "", "")
		c.Flags().Bool("stale", false, "")
		return c
	}
	format := func(c *cobra.Command) { c.Flags().StringP("format", "o", "", "") }
	root := &cobra.Command{Use: "ctl"}
	root.Flags().BoolP("version", "v", false, "")

	agent := leaf("agent")
	agent.Flags().StringArray("config-dir", nil, "")
	agent.Flags().String("node", "", "")
	agent.Flags().Bool("dev", false, "")
	agent.Flags().Int("bootstrap-expect", 0, "")

	members := leaf("members")
	members.Flags().Bool("wan", false, "")
	members.Flags().String("status", "", "")
	format(members)

	kv := &cobra.Command{Use: "kv"}
	get := leaf("get")
	get.Flags().Bool("recurse", false, "")
	get.Flags().String("separator", "/", "")
	format(get)
	put := leaf("put")
	put.Flags().Uint64("modify-index", 0, "")
	put.Flags().Bool("cas", false, "")
	FreeTail(put)
	kv.AddCommand(get, put)

	lock := leaf("lock")
	lock.Flags().IntP("limit", "n", 1, "")
	lock.Flags().Bool("try", false, "")
	FreeTail(lock)

	forceLeave := leaf("force-leave")
	forceLeave.Aliases = []string{"fl"}
	forceLeave.Flags().Bool("prune", false, "")
	root.AddCommand(agent, members, kv, lock, forceLeave)
	Prepare(root)
	return root
}

func TestRewrite(t *testing.T) {
	for _, c := range []struct {
		name string
		in   string // split at blanks; _ is an empty argument
		want string // empty: nothing changes
	}{
		{"no arguments", "", ""},
		{"command alone", "members", ""},
		{"one dash", "members -wan", "members --wan"},
		{"two dashes", "members --wan", ""},
		{"one dash with =", "members -status=alive", "members --status=alive"},
		{"two dashes with =", "members --status=alive", ""},
		{"value in the next argument", "members -status alive", "members --status alive"},
		{"boolean with =", "members -wan=false", "members --wan=false"},
		{"boolean takes no next argument", "members -wan -status alive", "members --wan --status alive"},
		{"boolean with a blank is true and a positional", "agent -dev false", "agent --dev false"},
		{"value that begins with a dash", "agent -node -dc1", "agent --node -dc1"},
		{"value after two dashes that begins with one", "agent --node -dc1", ""},
		{"value that looks like a flag", "agent -node -dev -dev", "agent --node -dev --dev"},
		{"value that looks like two dashes", "agent -node -- -dev", "agent --node -- --dev"},
		{"value that is one dash", "members -status - -wan", "members --status - --wan"},
		{"value with =", "members -status a=b", "members --status a=b"},
		{"= in the value, not in the name", "members -status=-a=b", "members --status=-a=b"},
		{"empty value after =", "members -status= -wan", "members --status= --wan"},
		{"empty argument as value", "members -status _ -wan", "members --status _ --wan"},
		{"value that is missing", "members -status", "members --status"},
		{"negative number as value", "agent -bootstrap-expect -5", "agent --bootstrap-expect -5"},
		{"repeated flag", "agent -config-dir a -config-dir b", "agent --config-dir a --config-dir b"},
		{"mixed dashes", "agent -dev --node x -config-dir=d", "agent --dev --node x --config-dir=d"},
		{"unknown long name gets its dash too", "members -outptu json", "members --outptu json"},
		{"unknown name takes no value", "members -outptu -wan", "members --outptu --wan"},
		{"unknown name with =", "members -outptu=json", "members --outptu=json"},
		{"prefix of a name is not the name", "members -stat alive", "members --stat alive"},
		{"upper case", "members -WAN", "members --WAN"},
		{"underscore", "agent -config_dir x", "agent --config_dir x"},

		{"-h", "members -h", ""},
		{"-help", "members -help", "members --help"},
		{"--help", "members --help", ""},
		{"-help at the top", "-help", "--help"},
		{"-version at the top", "-version", "--version"},
		{"-v at the top", "-v", ""},
		{"-help of a group", "kv -help", "kv --help"},
		{"help as a command", "help kv put", ""},
		{"-help behind help", "help -help", "help --help"},

		{"shorthand with the value next", "members -o json -wan", "members -o json --wan"},
		{"shorthand with =", "members -o=json -wan", "members -o=json --wan"},
		{"shorthand whose value begins with a dash", "members -o -wan", ""},
		{"-ojson", "members -ojson", ""},
		{"-otable and a flag", "kv get -otable -recurse", "kv get -otable --recurse"},
		{"-ojson takes no next argument", "members -ojson -wan", "members -ojson --wan"},
		{"-ojson where there is no -o", "agent -ojson", "agent --ojson"},
		{"other glued value is a long name", "members -oxml", "members --oxml"},
		{"one-letter flag", "lock -n 3 -try p cmd -v", "lock -n 3 --try p cmd -v"},
		{"one-letter flag with =", "lock -n=3 p", ""},
		{"one letter that is no flag", "members -x -wan", "members -x --wan"},
		{"one letter that is not ASCII", "members -é", ""},
		{"two letters that are not ASCII", "members -éé", "members --éé"},

		{"one dash is a positional", "kv put k -", ""},
		{"one dash before flags in a free tail", "kv put - -cas", ""},
		{"one dash before flags elsewhere", "kv get - -recurse", "kv get - --recurse"},
		{"two dashes end the flags", "kv get -- -recurse", ""},
		{"flags before two dashes", "kv get -recurse -- -recurse", "kv get --recurse -- -recurse"},
		{"two dashes at the top", "-- -version", ""},
		{"three dashes", "members ---wan", ""},
		{"dash and =", "members -=x", ""},
		{"two dashes and =", "members --=x", ""},

		{"negative number as data", "kv put k -5", ""},
		{"negative fraction as data", "kv put k -.5", ""},
		{"negative number elsewhere", "kv get -5 -recurse", "kv get -5 --recurse"},
		{"flag-like data", "kv put k -cas", ""},
		{"flag-like data behind flags", "kv put -cas -modify-index 3 k -cas", "kv put --cas --modify-index 3 k -cas"},
		{"token that begins with a dash", "kv put -token -abc k v", "kv put --token -abc k v"},
		{"empty data", "kv put k _", ""},
		{"data that is the name of a command", "kv put put -cas", ""},
		{"child command and its flags", "lock -try prefix sh -c -x", "lock --try prefix sh -c -x"},
		{"two dashes before a child command", "lock p -- ls -la", ""},
		{"two dashes first", "lock -- p ls -la", ""},

		{"flags behind arguments", "force-leave node -prune", "force-leave node --prune"},
		{"flags around arguments", "force-leave -prune node -http-addr x", "force-leave --prune node --http-addr x"},
		{"alias", "fl node -prune", "fl node --prune"},
		{"argument that is the name of a command", "force-leave kv -prune", "force-leave kv --prune"},

		{"flag before the command", "-http-addr x kv get k", "--http-addr x kv get k"},
		{"flag before the command with =", "-http-addr=x kv get k", "--http-addr=x kv get k"},
		{"boolean before the command", "-stale kv get -recurse k", "--stale kv get --recurse k"},
		{"value that is the name of a command", "-token kv kv put k -cas", "--token kv kv put k -cas"},
		{"flag between group and command", "kv -http-addr x put k -cas", "kv --http-addr x put k -cas"},
		{"shorthand before the command", "-o json members -wan", "-o json members --wan"},
		{"unknown command", "nope -wan x", "nope --wan x"},
		{"unknown command of a group", "kv nope -recurse", "kv nope --recurse"},
		{"name that is part of a command's", "kv ge -recurse", "kv ge --recurse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := words(c.want)
			if c.want == "" {
				want = words(c.in)
			}
			in := words(c.in)
			got := Rewrite(testTree(), in)
			if d := cmp.Diff(got, want); d != "" {
				t.Errorf("(- got, + want):\n%s", d)
			}
			if !slices.Equal(in, words(c.in)) {
				t.Errorf("the arguments passed in were changed to %q", in)
			}
		})
	}
}

func words(s string) []string {
	w := strings.Fields(s)
	for i := range w {
		if w[i] == "_" {
			w[i] = ""
		}
	}
	return append([]string{}, w...)
}

func TestArrange(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing to move", "kv get --recurse k", "kv get --recurse k"},
		{"before a command", "--http-addr x members --wan", "members --http-addr x --wan"},
		{"before a group", "--http-addr x kv get k", "kv get --http-addr x k"},
		{"between group and command", "kv --stale get k", "kv get --stale k"},
		{"both, in order", "--token a kv --http-addr=x put k --cas", "kv put --token a --http-addr=x k --cas"},
		{"in front of a free tail", "--cas kv put k -", "kv put --cas k -"},
		{"no command", "--version", "--version"},
		{"unknown command", "--http-addr x nope", "--http-addr x nope"},
		{"behind two dashes", "--stale -- kv get", "--stale -- kv get"},
		{"help flag", "-h kv", "kv -h"},
		{"no arguments", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(Arrange(testTree(), words(c.in)), words(c.want)); d != "" {
				t.Errorf("(- got, + want):\n%s", d)
			}
		})
	}
}

func TestDescend(t *testing.T) {
	for _, c := range []struct{ name, in, cmd, rest string }{
		{"nothing", "", "ctl", ""},
		{"leaf", "kv get k", "ctl kv get", "k"},
		{"group", "kv", "ctl kv", ""},
		{"stops at a flag", "kv --x get", "ctl kv", "--x get"},
		{"alias", "fl n", "ctl force-leave", "n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd, rest := Descend(testTree(), words(c.in))
			if cmd.CommandPath() != c.cmd || strings.Join(rest, " ") != c.rest {
				t.Errorf("got %q and %q, want %q and %q", cmd.CommandPath(), rest, c.cmd, c.rest)
			}
		})
	}
}

// TestFreeTailAgrees checks that cobra and Rewrite see the end of the flags at
// the same place.
func TestFreeTailAgrees(t *testing.T) {
	for _, path := range []string{"kv put", "kv get", "lock", "members", "force-leave"} {
		t.Run(path, func(t *testing.T) {
			root := testTree()
			cmd, _ := Descend(root, strings.Fields(path))
			rewritten := Rewrite(root, append(strings.Fields(path), "positional", "-stale"))
			if err := cmd.ParseFlags([]string{"positional", "--stale"}); err != nil {
				t.Fatal(err)
			}
			byCobra := !cmd.Flags().Changed("stale")
			byRewrite := rewritten[len(rewritten)-1] == "-stale"
			if byCobra != byRewrite || byCobra != HasFreeTail(cmd) {
				t.Errorf("free tail: cobra %v, Rewrite %v, HasFreeTail %v", byCobra, byRewrite, HasFreeTail(cmd))
			}
		})
	}
}

func TestComplete(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		answer, shown  string
	}{
		{"one dash", "kv get -rec", "kv get --rec", "--recurse\tread\n:4\n", "-recurse\tread\n:4\n"},
		{"two dashes", "kv get --rec", "kv get --rec", "--recurse\n", "--recurse\n"},
		{"one letter", "kv get -r", "kv get --r", "--recurse\n", "-recurse\n"},
		{"a dash alone", "kv get -", "kv get -", "--recurse\n-h\n", "--recurse\n-h\n"},
		{"words before are rewritten", "members -status al -w", "members --status al --w", "--wan\n", "-wan\n"},
		{"value stays as it is", "agent -node -x", "agent --node -x", "-x1\n", "-x1\n"},
		{"flags before the command", "-http-addr x kv get -r", "kv get --http-addr x --r", "--recurse\n", "-recurse\n"},
		{"flags before a group are left out", "-http-addr x kv g", "kv g", "get\n", "get\n"},
		{"flags before nothing are left out", "-http-addr x k", "k", "kv\n", "kv\n"},
		{"free tail", "kv put k -ca", "kv put k -ca", "x\n", "x\n"},
		{"empty last word", "kv get _", "kv get _", "a/b\n", "a/b\n"},
		{"behind two dashes", "kv get -- -r", "kv get -- -r", "--x\n", "--x\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, restore := Complete(testTree(), append([]string{cobra.ShellCompRequestCmd}, words(c.in)...))
			if d := cmp.Diff(got, append([]string{cobra.ShellCompRequestCmd}, words(c.want)...)); d != "" {
				t.Errorf("(- got, + want):\n%s", d)
			}
			if got := string(restore([]byte(c.answer))); got != c.shown {
				t.Errorf("answers become %q, want %q", got, c.shown)
			}
		})
	}
	if !IsCompletion([]string{"__completeNoDesc", "x"}) || IsCompletion([]string{"kv"}) || IsCompletion(nil) {
		t.Error("completion requests are not recognised")
	}
	if got, _ := Complete(testTree(), []string{"__complete"}); len(got) != 1 {
		t.Errorf("a request without words became %q", got)
	}
}

// FuzzRewrite checks what must hold for any command line: the number of
// arguments stays, an argument is changed by one dash in front at most, and a
// second pass changes nothing. Arrange must keep every argument.
func FuzzRewrite(f *testing.F) {
	for _, seed := range []string{
		"members -wan -status alive", "kv put -cas -modify-index=3 k -5", "agent -node -dc1 -config-dir x",
		"-http-addr x kv get -ojson k", "lock -n 3 p cmd -v -- -x", "kv get -- -recurse", "-token kv kv put - -cas",
		"help -help", "--=x -=x --- -", "members -é -éé -\xff\xfe", "kv -http-addr get get",
	} {
		f.Add(strings.ReplaceAll(seed, " ", "\x00"))
	}
	root := testTree()
	f.Fuzz(func(t *testing.T, line string) {
		in := strings.Split(line, "\x00")
		once := Rewrite(root, in)
		if len(once) != len(in) {
			t.Fatalf("%q has %d arguments, %q has %d", in, len(in), once, len(once))
		}
		for i := range in {
			if once[i] != in[i] && once[i] != "-"+in[i] {
				t.Errorf("%q: argument %q became %q", in, in[i], once[i])
			}
		}
		if twice := Rewrite(root, once); !slices.Equal(once, twice) {
			t.Errorf("%q: first %q, then %q", in, once, twice)
		}
		arranged := slices.Clone(Arrange(root, once))
		want := slices.Clone(once)
		slices.Sort(arranged)
		slices.Sort(want)
		if !slices.Equal(arranged, want) {
			t.Errorf("%q: Arrange changed the arguments to %q", once, arranged)
		}
	})
}

// FuzzValue checks that the value of a flag is never changed, whatever it is,
// and that what follows it is.
func FuzzValue(f *testing.F) {
	for _, v := range []string{"", "-", "--", "-dc1", "--dev", "-5", "members", "-o=json", "a=b"} {
		f.Add(v)
	}
	root := testTree()
	f.Fuzz(func(t *testing.T, value string) {
		for _, in := range [][]string{
			{"agent", "-node", value, "-dev"},
			{"-token", value, "members", "-wan"},
			{"members", "-o", value, "-wan"},
		} {
			got := Rewrite(root, in)
			i := slices.Index(in, value)
			if got[i] != value {
				t.Errorf("%q: value became %q", in, got[i])
			}
			if last := len(in) - 1; got[last] != "-"+in[last] {
				t.Errorf("%q: the flag behind the value became %q", in, got[last])
			}
		}
	})
}
