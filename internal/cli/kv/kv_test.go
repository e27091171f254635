package kv

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/google/go-cmp/cmp"
)

type answers = map[string]clitest.Answer

const (
	foo  = `[{"LockIndex":0,"Key":"foo","Flags":0,"Value":"YmFy","CreateIndex":19,"ModifyIndex":19}]`
	tree = `[{"LockIndex":1,"Key":"p/a","Flags":7,"Value":"MQ==","CreateIndex":3,"ModifyIndex":4,"Session":"adf4"},
{"LockIndex":0,"Key":"p/b","Flags":0,"Value":null,"CreateIndex":5,"ModifyIndex":6}]`
)

func TestGet(t *testing.T) {
	clitest.Check(t, NewCommand, []clitest.Case{
		{Name: "value and a newline", Args: "kv get foo", Answers: answers{"GET /v1/kv/foo": {Body: foo}}, Out: "bar\n"},
		{Name: "leading slash is dropped", Args: "kv get /foo", Answers: answers{"GET /v1/kv/foo": {Body: foo}}, Out: "bar\n"},
		{Name: "base64", Args: "kv get -base64 foo", Answers: answers{"GET /v1/kv/foo": {Body: foo}}, Out: "YmFy\n"},
		{
			Name: "detailed", Args: "kv get -detailed foo", Answers: answers{"GET /v1/kv/foo": {Body: foo}},
			Out: `CreateIndex      19
Flags            0
Key              foo
LockIndex        0
ModifyIndex      19
Session          -
Value            bar
`,
		},
		{
			Name: "detailed and recurse: a blank line between keys", Args: "kv get -detailed -recurse p/", Answers: answers{"GET /v1/kv/p/?recurse=": {Body: tree}},
			Out: `CreateIndex      3
Flags            7
Key              p/a
LockIndex        1
ModifyIndex      4
Session          adf4
Value            1

CreateIndex      5
Flags            0
Key              p/b
LockIndex        0
ModifyIndex      6
Session          -
` + "Value            \n",
		},
		{Name: "recurse", Args: "kv get -recurse p/", Answers: answers{"GET /v1/kv/p/?recurse=": {Body: tree}}, Out: "p/a:1\np/b:\n"},
		{Name: "recurse, base64", Args: "kv get -recurse -base64 p/", Answers: answers{"GET /v1/kv/p/?recurse=": {Body: tree}}, Out: "p/a:MQ==\np/b:\n"},
		{Name: "recurse over everything", Args: "kv get -recurse", Answers: answers{"GET /v1/kv/?recurse=": {Body: tree}}, Out: "p/a:1\np/b:\n"},
		{Name: "recurse, none", Args: "kv get -recurse q", Answers: answers{"GET /v1/kv/q?recurse=": {Status: 404}}},
		{Name: "keys", Args: "kv get -keys p/", Answers: answers{"GET /v1/kv/p/?keys=&separator=%2F": {Body: `["p/a","p/c/"]`}}, Out: "p/a\np/c/\n"},
		{Name: "keys, other separator", Args: "kv get -keys -separator - p", Answers: answers{"GET /v1/kv/p?keys=&separator=-": {Body: `["p-"]`}}, Out: "p-\n"},
		{Name: "keys, no separator", Args: "kv get -keys -separator '' p", Answers: answers{"GET /v1/kv/p?keys=": {Body: `["p/a"]`}}, Out: "p/a\n"},
		{Name: "keys and recurse", Args: "kv get -keys -recurse p", Answers: answers{"GET /v1/kv/p?keys=": {Body: `["p/a","p/b/c"]`}}, Out: "p/a\np/b/c\n"},
		{Name: "keys, none", Args: "kv get -keys q", Answers: answers{"GET /v1/kv/q?keys=&separator=%2F": {Status: 404}}},
		{Name: "keys, none, JSON", Args: "kv get -keys -o json q", Answers: answers{"GET /v1/kv/q?keys=&separator=%2F": {Status: 404}}, Out: "[]\n"},
		{Name: "recurse, none, JSON", Args: "kv get -recurse -ojson q", Answers: answers{"GET /v1/kv/q?recurse=": {Status: 404}}, Out: "[]\n"},
		{
			Name: "JSON has the shape of the HTTP API", Args: "kv get -format json foo", Answers: answers{"GET /v1/kv/foo": {Body: foo}},
			Out: `[
    {
        "Key": "foo",
        "CreateIndex": 19,
        "ModifyIndex": 19,
        "LockIndex": 0,
        "Flags": 0,
        "Value": "YmFy",
        "Session": ""
    }
]
`,
		},
		{Name: "datacenter and stale", Args: "kv get -datacenter dc2 -stale foo", Answers: answers{"GET /v1/kv/foo?dc=dc2&stale=": {Body: foo}}, Out: "bar\n"},
		{Name: "missing key", Args: "kv get foo", Code: 1, Answers: answers{"GET /v1/kv/foo": {Status: 404}}, Err: "Error! No key exists at: foo\n"},
		{Name: "no key", Args: "kv get", Code: 1, Err: "Error! Missing KEY argument\n"},
		{Name: "two keys", Args: "kv get a b", Code: 1, Err: "Too many arguments (expected 1, got 2)\n"},
		{
			Name: "error of the agent", Args: "kv get foo", Code: 1, Answers: answers{"GET /v1/kv/foo": {Status: 500, Body: "boom"}},
			Err: "Error querying Consul agent: Unexpected response code: 500 (boom)\n",
		},
	})
}

func TestPut(t *testing.T) {
	ok, refused := clitest.Answer{Body: "true"}, clitest.Answer{Body: "false"}
	clitest.Check(t, NewCommand, []clitest.Case{
		{Name: "key and value", Args: "kv put k v", Answers: answers{"PUT /v1/kv/k": ok}, Out: "Success! Data written to: k\n"},
		{Name: "leading slash is dropped", Args: "kv put /k v", Answers: answers{"PUT /v1/kv/k": ok}, Out: "Success! Data written to: k\n"},
		{Name: "flags", Args: "kv put -flags=42 k v", Answers: answers{"PUT /v1/kv/k?flags=42": ok}, Out: "Success! Data written to: k\n"},
		{Name: "cas", Args: "kv put -cas -modify-index=3 k v", Answers: answers{"PUT /v1/kv/k?cas=3": ok}, Out: "Success! Data written to: k\n"},
		{Name: "cas lost", Args: "kv put -cas -modify-index=3 k v", Code: 1, Answers: answers{"PUT /v1/kv/k?cas=3": refused}, Err: "Error! Did not write to k: CAS failed\n"},
		{
			Name: "cas with index 0 lost", Args: "kv put -cas k v", Code: 1, Answers: answers{"PUT /v1/kv/k?cas=0": refused},
			Err: "Error! Did not write to k: CAS performed with index=0 and key already exists.\n",
		},
		{Name: "acquire", Args: "kv put -acquire -session s k v", Answers: answers{"PUT /v1/kv/k?acquire=s": ok}, Out: "Success! Lock acquired on: k\n"},
		{Name: "acquire lost", Args: "kv put -acquire -session s k v", Code: 1, Answers: answers{"PUT /v1/kv/k?acquire=s": refused}, Err: "Error! Did not acquire lock\n"},
		{Name: "release", Args: "kv put -release -session s k v", Answers: answers{"PUT /v1/kv/k?release=s": ok}, Out: "Success! Lock released on: k\n"},
		{Name: "release lost", Args: "kv put -release -session s k v", Code: 1, Answers: answers{"PUT /v1/kv/k?release=s": refused}, Err: "Error! Did not release lock\n"},
		{Name: "acquire without session", Args: "kv put -acquire k v", Code: 1, Err: "Error! Missing -session (required with -acquire and -release)\n", Asked: nil},
		{Name: "session alone", Args: "kv put -session s k v", Code: 1, Err: "Error! -session needs -acquire or -release\n"},
		{Name: "acquire and release", Args: "kv put -acquire -release -session s k v", Code: 1, Err: "Error! Only one of"},
		{Name: "cas and acquire", Args: "kv put -cas -acquire -session s k v", Code: 1, Err: "Error! Only one of"},
		{Name: "index without cas", Args: "kv put -modify-index=3 k v", Code: 1, Err: "Error! -modify-index needs -cas\n"},
		{Name: "index that is no number", Args: "kv put -cas -modify-index=x k v", Code: 1, Err: "invalid argument \"x\" for \"--modify-index\" flag"},
		{Name: "negative flags", Args: "kv put -flags -1 k v", Code: 1, Err: "invalid argument \"-1\" for \"--flags\" flag"},
		{Name: "no key", Args: "kv put", Code: 1, Err: "Error! Missing KEY argument\n"},
		{Name: "slash as key", Args: "kv put / v", Code: 1, Err: "Error! Missing KEY argument\n"},
		{Name: "flag behind the key is data", Args: "kv put k v -cas", Code: 1, Err: "Too many arguments (expected at most 2, got 3)\n"},
		{Name: "file that is missing", Args: "kv put k @/nonexistent", Code: 1, Err: "Error! Failed reading data: read file: open /nonexistent"},
		{
			Name: "value too large", Args: "kv put k v", Code: 1, Answers: answers{"PUT /v1/kv/k": {Status: 413, Body: "too large, limit 524288"}},
			Err: "Error! Failed writing data: Unexpected response code: 413 (too large, limit 524288)\n",
		},
	})
}

// TestPutData checks the bytes that are sent.
func TestPutData(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, []byte("file\x00\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		in   string
		want string
	}{
		{"literal", []string{"k", "v w"}, "", "v w"},
		{"no data", []string{"k"}, "", ""},
		{"empty data", []string{"k", ""}, "", ""},
		{"negative number", []string{"k", "-5"}, "", "-5"},
		{"what looks like a flag", []string{"k", "-recurse"}, "", "-recurse"},
		{"file", []string{"k", "@" + file}, "", "file\x00\n"},
		{"standard input", []string{"k", "-"}, "stdin\n", "stdin\n"},
		{"base64", []string{"-base64", "k", "AP8="}, "", "\x00\xff"},
		{"base64 from standard input", []string{"-base64", "k", "-"}, "AP8=\n", "\x00\xff"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			agent := clitest.NewAgent(t, answers{"PUT /v1/kv/k": {Body: "true"}})
			got := clitest.Do(t, NewCommand, clitest.Run{Args: append([]string{"kv", "put"}, c.args...), In: c.in, Agent: agent})
			if got.Code != 0 {
				t.Fatalf("exit code %d: %s", got.Code, got.Err)
			}
			if sent := agent.Requests()[0].Body; sent != c.want {
				t.Errorf("sent %q, want %q", sent, c.want)
			}
		})
	}
}

// TestNothingIsWrittenOnBadInput checks that mistakes are found before the
// first request.
func TestNothingIsWrittenOnBadInput(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		err  string
	}{
		{"base64 that is none", []string{"kv", "put", "-base64", "k", "!!"}, "Error! Cannot base64 decode data: illegal base64 data at input byte 0; nothing was written\n"},
		{"import that is no JSON", []string{"kv", "import", "{"}, "Cannot unmarshal data: unexpected end of JSON input\n"},
		{"import of a wrong shape", []string{"kv", "import", `{"key":"a"}`}, "Cannot unmarshal data: json: cannot unmarshal object into Go value"},
		{
			"import whose last value is broken", []string{"kv", "import", `[{"key":"a","value":"MQ=="},{"key":"b","value":"?"}]`},
			"Error! Failed decoding value for key b: illegal base64 data at input byte 0; nothing was written\n",
		},
		{"import of an entry without a key", []string{"kv", "import", `[{"value":"MQ=="}]`}, "Error! Entry 1 has no key; nothing was written\n"},
		{"import without data", []string{"kv", "import"}, "Error! Missing DATA argument\n"},
		{"import with too much", []string{"kv", "import", "a", "b"}, "Too many arguments (expected 1, got 2)\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			agent := clitest.NewAgent(t, nil)
			got := clitest.Do(t, NewCommand, clitest.Run{Args: c.args, Agent: agent})
			if got.Code != 1 || len(got.Err) < len(c.err) || got.Err[:len(c.err)] != c.err {
				t.Errorf("exit code %d, error %q, want %q", got.Code, got.Err, c.err)
			}
			if asked := agent.Lines(); len(asked) > 0 {
				t.Errorf("the agent was asked %q", asked)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	ok := clitest.Answer{Body: "true"}
	clitest.Check(t, NewCommand, []clitest.Case{
		{Name: "key", Args: "kv delete k", Answers: answers{"DELETE /v1/kv/k": ok}, Out: "Success! Deleted key: k\n"},
		{Name: "recurse", Args: "kv delete -recurse p/", Answers: answers{"DELETE /v1/kv/p/?recurse=": ok}, Out: "Success! Deleted keys with prefix: p/\n"},
		{Name: "everything", Args: "kv delete -recurse ''", Answers: answers{"DELETE /v1/kv/?recurse=": ok}, Out: "Success! Deleted keys with prefix: \n"},
		{Name: "everything needs its empty prefix", Args: "kv delete -recurse", Code: 1, Err: "Error! Missing KEY argument\n"},
		{Name: "cas", Args: "kv delete -cas -modify-index 5 k", Answers: answers{"DELETE /v1/kv/k?cas=5": ok}, Out: "Success! Deleted key: k\n"},
		{
			Name: "cas lost", Args: "kv delete -cas -modify-index 5 k", Code: 1,
			Answers: answers{"DELETE /v1/kv/k?cas=5": {Body: "false"}}, Err: "Error! Did not delete key k: CAS failed\n",
		},
		{Name: "cas without index", Args: "kv delete -cas k", Code: 1, Err: "Error! -cas needs -modify-index"},
		{Name: "index without cas", Args: "kv delete -modify-index 5 k", Code: 1, Err: "Error! -modify-index needs -cas"},
		{Name: "cas and recurse", Args: "kv delete -cas -modify-index 5 -recurse k", Code: 1, Err: "Error! -cas and -recurse cannot be used together\n"},
		{Name: "no key", Args: "kv delete", Code: 1, Err: "Error! Missing KEY argument\n"},
		{
			Name: "error of the agent", Args: "kv delete k", Code: 1, Answers: answers{"DELETE /v1/kv/k": {Status: 500, Body: "boom"}},
			Err: "Error! Did not delete key k: Unexpected response code: 500 (boom)\n",
		},
	})
}

func TestExport(t *testing.T) {
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "tab-indented JSON", Args: "kv export p/", Answers: answers{"GET /v1/kv/p/?recurse=": {Body: tree}},
			Out: "[\n\t{\n\t\t\"key\": \"p/a\",\n\t\t\"flags\": 7,\n\t\t\"value\": \"MQ==\"\n\t},\n\t{\n\t\t\"key\": \"p/b\",\n\t\t\"flags\": 0,\n\t\t\"value\": \"\"\n\t}\n]\n",
		},
		{Name: "none", Args: "kv export", Answers: answers{"GET /v1/kv/?recurse=": {Status: 404}}, Out: "[]\n"},
		{Name: "two prefixes", Args: "kv export a b", Code: 1, Err: "Too many arguments (expected 1, got 2)\n"},
	})
}

func TestImport(t *testing.T) {
	const data = `[{"key":"a/","flags":7,"value":"MQ=="},{"key":"b","flags":0,"value":""}]`
	for _, c := range []struct {
		name  string
		args  []string
		in    string
		asked []string
		out   string
	}{
		{"argument", []string{data}, "", []string{"PUT /v1/kv/a/?flags=7", "PUT /v1/kv/b"}, "Imported: a/\nImported: b\n"},
		{"standard input", []string{"-"}, data, []string{"PUT /v1/kv/a/?flags=7", "PUT /v1/kv/b"}, "Imported: a/\nImported: b\n"},
		{"prefix", []string{"-prefix", "x", "-"}, data, []string{"PUT /v1/kv/x/a/?flags=7", "PUT /v1/kv/x/b"}, "Imported: x/a/\nImported: x/b\n"},
		{"prefix with slashes", []string{"-prefix", "/x/", "-"}, data, []string{"PUT /v1/kv/x/a/?flags=7", "PUT /v1/kv/x/b"}, "Imported: x/a/\nImported: x/b\n"},
		{"nothing", []string{"[]"}, "", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			planned := answers{}
			for _, line := range c.asked {
				planned[line] = clitest.Answer{Body: "true"}
			}
			agent := clitest.NewAgent(t, planned)
			got := clitest.Do(t, NewCommand, clitest.Run{Args: append([]string{"kv", "import"}, c.args...), In: c.in, Agent: agent})
			if got.Code != 0 || got.Out != c.out {
				t.Errorf("exit code %d, output %q, want %q; %s", got.Code, got.Out, c.out, got.Err)
			}
			if d := cmp.Diff(agent.Lines(), c.asked); d != "" {
				t.Errorf("requests (- got, + want):\n%s", d)
			}
		})
	}
	agent := clitest.NewAgent(t, answers{"PUT /v1/kv/a/?flags=7": {Body: "true"}, "PUT /v1/kv/b": {Status: 500, Body: "boom"}})
	got := clitest.Do(t, NewCommand, clitest.Run{Args: []string{"kv", "import", data}, Agent: agent})
	if want := "Error! Failed writing data for key b (1 of 2 keys imported before it): Unexpected response code: 500 (boom)\n"; got.Code != 1 || got.Err != want {
		t.Errorf("a key that cannot be written: exit code %d, error %q", got.Code, got.Err)
	}
}
