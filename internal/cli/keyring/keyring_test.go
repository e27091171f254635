package keyring

import (
	"slices"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
)

type answers = map[string]clitest.Answer

const url = "/v1/operator/keyring"

const listed = `[{"WAN":true,"Datacenter":"dc1","Segment":"","Keys":{"bbb=":3,"aaa=":2},"PrimaryKeys":{"bbb=":3},"NumNodes":3},` +
	`{"WAN":false,"Datacenter":"dc1","Segment":"","Messages":{"db3":"its keys are not known: it is failed"},"Keys":{"bbb=":4},"PrimaryKeys":{"bbb=":4},"NumNodes":4}]`

func TestList(t *testing.T) {
	const (
		gathering = "==> Gathering installed encryption keys...\n"
		all       = gathering + "\nWAN:\n  aaa= [2/3]\n  bbb= [3/3]\n\ndc1 (LAN):\n  ===> db3: its keys are not known: it is failed\n  bbb= [4/4]\n"
		primaries = gathering + "\nWAN:\n  bbb= [3/3]\n\ndc1 (LAN):\n  ===> db3: its keys are not known: it is failed\n  bbb= [4/4]\n"
	)
	a := answers{"GET " + url: {Body: listed}, "GET " + url + "?local-only=true": {Body: listed}, "GET " + url + "?relay-factor=5": {Body: listed}}
	clitest.Check(t, NewCommand, []clitest.Case{
		{Name: "by option", Args: "keyring -list", Answers: a, Out: all},
		{Name: "by command", Args: "keyring list", Answers: a, Out: all},
		{Name: "primary keys by option", Args: "keyring -list-primary", Answers: a, Out: primaries},
		{Name: "primary keys by command", Args: "keyring list -primary", Answers: a, Out: primaries},
		{Name: "of the LAN", Args: "keyring -list -local-only", Answers: a, Out: all, Asked: []string{"GET " + url + "?local-only=true"}},
		{Name: "with relays", Args: "keyring list -relay-factor=5", Answers: a, Out: all, Asked: []string{"GET " + url + "?relay-factor=5"}},
		{
			Name: "table", Args: "keyring list -o table", Answers: a,
			Out: "Pool       Key   Members  Encrypting\nWAN        aaa=  2/3      0/3\nWAN        bbb=  3/3      3/3\ndc1 (LAN)  bbb=  4/4      4/4\n",
		},
		{Name: "names by option", Args: "keyring -list -o name", Answers: a, Out: "aaa=\nbbb=\nbbb=\n"},
		{Name: "JSON of nothing", Args: "keyring -list -o json", Answers: answers{"GET " + url: {Body: `[]`}}, Out: "[]\n"},
		{
			Name: "without encryption", Args: "keyring -list", Code: 1, Answers: answers{"GET " + url: {Status: 500, Body: "Keyring is empty (encryption not enabled)"}},
			Out: gathering, Err: "error: Unexpected response code: 500 (Keyring is empty (encryption not enabled))\n",
		},
	})
}

func TestChange(t *testing.T) {
	for _, c := range []struct{ name, method, text string }{
		{"install", "POST", "==> Installing new gossip encryption key...\n"},
		{"use", "PUT", "==> Changing primary gossip encryption key...\n"},
		{"remove", "DELETE", "==> Removing gossip encryption key...\n"},
	} {
		a := answers{c.method + " " + url: {}, c.method + " " + url + "?relay-factor=3": {}}
		refused := answers{c.method + " " + url: {Status: 500, Body: "the key is not removed: db3"}}
		clitest.Check(t, NewCommand, []clitest.Case{
			{Name: c.name + " by option", Args: "keyring -" + c.name + "=key", Answers: a, Out: c.text, Asked: []string{c.method + " " + url}},
			{Name: c.name + " by command", Args: "keyring " + c.name + " key", Answers: a, Out: c.text, Asked: []string{c.method + " " + url}},
			{Name: c.name + " with relays", Args: "keyring " + c.name + " -relay-factor 3 key", Answers: a, Out: c.text, Asked: []string{c.method + " " + url + "?relay-factor=3"}},
			{Name: c.name + " refused", Args: "keyring " + c.name + " key", Answers: refused, Code: 1, Out: c.text, Err: "error: Unexpected response code: 500 (the key is not removed: db3)\n"},
			{Name: c.name + " without a key", Args: "keyring " + c.name, Code: 1, Err: "One key must be specified (got 0).\n"},
			{Name: c.name + " of the LAN only", Args: "keyring -local-only -" + c.name + "=key", Code: 1, Err: "-local-only is for listing keys"},
			{Name: c.name + " with too many relays", Args: "keyring " + c.name + " -relay-factor 6 key", Code: 1, Err: "-relay-factor 6 is not from 0 to 5.\n"},
		})
		t.Run(c.name+" sends the key", func(t *testing.T) {
			for _, arg := range []string{"key", "-"} {
				agent := clitest.NewAgent(t, a)
				clitest.Do(t, NewCommand, clitest.Run{Args: []string{"keyring", c.name, arg}, In: "key\n", Agent: agent})
				if got := agent.Requests(); len(got) != 1 || got[0].Body != "{\"Key\":\"key\"}\n" {
					t.Errorf("%s: sent %+v", arg, got)
				}
			}
		})
		t.Run(c.name+" dry", func(t *testing.T) {
			agent := clitest.NewAgent(t, a)
			got := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"keyring", "-" + c.name, "key", "-dry-run"}, Agent: agent})
			if got.Code != 0 || len(agent.Requests()) != 0 || slices.Contains([]string{"", c.text}, got.Out) {
				t.Errorf("%+v, asked %q", got, agent.Lines())
			}
		})
	}
}

func TestOneThingAtATime(t *testing.T) {
	const one = "Give exactly one of -list, -list-primary, -install, -use and -remove, or one of the commands.\n"
	clitest.Check(t, NewCommand, []clitest.Case{
		{Name: "nothing", Args: "keyring", Code: 1, Err: one},
		{Name: "two options", Args: "keyring -list -install=key", Code: 1, Err: one},
		{Name: "an unknown command", Args: "keyring lst", Code: 1, Err: "Unknown command \"lst\" for \"ctl keyring\": install, use, list or remove.\n"},
	})
}
