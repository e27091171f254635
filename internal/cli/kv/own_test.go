package kv

import (
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/cli/clitest"
	"github.com/google/go-cmp/cmp"
)

// pair is a key as the API answers it.
func pair(key, value string, index int) string {
	return fmt.Sprintf(`{"Key":%q,"Value":%q,"ModifyIndex":%d,"Flags":0}`, key, base64.StdEncoding.EncodeToString([]byte(value)), index)
}

func list(pairs ...string) clitest.Answer {
	return clitest.Answer{Body: "[" + strings.Join(pairs, ",") + "]"}
}

func TestBrowse(t *testing.T) {
	names := clitest.Answer{Body: `["app/a","app/b/","app/b/c","app/b/d/e","app/z"]`}
	none := clitest.Answer{Status: 404}
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "ls: one level, names of that level", Args: "kv ls app",
			Answers: map[string]clitest.Answer{"GET /v1/kv/app/?keys=&separator=%2F": {Body: `["app/","app/a","app/b/"]`}}, Out: "a\nb/\n",
		},
		{
			Name: "ls -o name: whole keys", Args: "kv ls -o name /app/",
			Answers: map[string]clitest.Answer{"GET /v1/kv/app/?keys=&separator=%2F": {Body: `["app/a","app/b/"]`}}, Out: "app/a\napp/b/\n",
		},
		{
			Name: "ls -l counts what is below", Args: "kv ls -l app",
			Answers: map[string]clitest.Answer{"GET /v1/kv/app/?recurse=": list(pair("app/a", "12", 3), pair("app/b/c", "345", 9), pair("app/b/d/e", "", 7))},
			Out:     "Name  Keys  Bytes  ModifyIndex\na     1     2      3\nb/    2     3      9\n",
		},
		{
			Name: "ls of nothing", Args: "kv ls app", Code: 13, Answers: map[string]clitest.Answer{"GET /v1/kv/app/?keys=&separator=%2F": none},
			Err: "There is no key below app/. `ctl kv get -keys app` shows keys that begin so.\n",
		},
		{
			Name: "tree; what has keys below it may be a key itself", Args: "kv tree app", Answers: map[string]clitest.Answer{"GET /v1/kv/app/?keys=": names},
			Out: "app/\n├── a\n├── b/\n│   ├── c\n│   └── d/\n│       └── e\n└── z\n\n5 keys\n",
		},
		{
			Name: "tree, one level", Args: "kv tree -depth 1 app", Answers: map[string]clitest.Answer{"GET /v1/kv/app/?keys=": names},
			Out: "app/\n├── a\n├── b/ (3 keys)\n└── z\n\n5 keys\n",
		},
		{
			Name: "tree as rows", Args: "kv tree -o table app", Answers: map[string]clitest.Answer{"GET /v1/kv/app/?keys=": {Body: `["app/b/c","app/b/d"]`}},
			Out: "Key      Depth  Keys\napp/b/   1      2\napp/b/c  2      1\napp/b/d  2      1\n",
		},
		{
			Name: "no control characters reach the terminal", Args: "kv tree app", Answers: map[string]clitest.Answer{"GET /v1/kv/app/?keys=": {Body: `["app/\u001b[2Jü"]`}},
			Out: "app/\n└── \\x1b[2Jü\n\n1 keys\n",
		},
		{Name: "tree of no keys at all", Args: "kv tree", Answers: map[string]clitest.Answer{"GET /v1/kv/?keys=": none}, Out: "/\n\n0 keys\n"},
		{Name: "negative depth", Args: "kv tree -depth -1", Code: 1, Err: "-depth -1 is negative; 0 shows all levels\n"},
	})
}

func TestDiff(t *testing.T) {
	answers := map[string]clitest.Answer{
		"GET /v1/kv/a/?recurse=": list(pair("a/same", "x", 1), pair("a/gone", "12", 2), pair("a/other", "1", 3), pair("a/size", "1", 3)),
		"GET /v1/kv/b/?recurse=": list(pair("b/same", "x", 9), pair("b/new", "", 8), pair("b/other", "2", 3), pair("b/size", "123", 3)),
	}
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "names and sizes, never values", Args: "kv diff a/ b/", Code: 1, Answers: answers,
			Out: "- gone (2 bytes)\n+ new (0 bytes)\n~ other (1 bytes -> 1 bytes)\n~ size (1 bytes -> 3 bytes)\n",
		},
		{Name: "none", Args: "kv diff a/ a/", Answers: answers, Out: "No difference.\n"},
		{
			Name: "a line of JSON each", Args: "kv diff -o jsonl a/g b/n", Code: 1,
			Answers: map[string]clitest.Answer{"GET /v1/kv/a/g?recurse=": list(pair("a/gone", "12", 2)), "GET /v1/kv/b/n?recurse=": {Status: 404}},
			Out:     `{"Change":"removed","Key":"one","Here":{"Bytes":2,"Flags":0},"There":null}` + "\n",
		},
		{
			Name: "a failure is no difference", Args: "kv diff a/ b/", Code: 12, Err: "on the other side: Error querying Consul agent: ",
			Answers: map[string]clitest.Answer{"GET /v1/kv/a/?recurse=": {Status: 404}, "GET /v1/kv/b/?recurse=": {Status: 403, Body: "Permission denied"}},
		},
		{Name: "nothing to compare with", Args: "kv diff a/", Code: 1, Err: "what to compare with is missing: a second prefix, -against-context or -against-datacenter\n"},
		{
			Name: "the same prefix in another datacenter", Args: "kv diff -against-datacenter west a/", Code: 1,
			Answers: map[string]clitest.Answer{
				"GET /v1/kv/a/?recurse=":         list(pair("a/x", "1", 1)),
				"GET /v1/kv/a/?dc=west&recurse=": list(pair("a/x", "22", 1), pair("a/y", "", 2)),
			},
			Out: "~ x (1 bytes -> 2 bytes)\n+ y (0 bytes)\n",
		},
		{
			Name: "another prefix in another datacenter, from one that is not the agent's own", Args: "kv diff -datacenter east -against-datacenter west a/ b/",
			Answers: map[string]clitest.Answer{
				"GET /v1/kv/a/?dc=east&recurse=": list(pair("a/x", "1", 1)),
				"GET /v1/kv/b/?dc=west&recurse=": list(pair("b/x", "1", 7)),
			},
			Out: "No difference.\n", Asked: []string{"GET /v1/kv/a/?dc=east&recurse=", "GET /v1/kv/b/?dc=west&recurse="},
		},
		{
			Name: "a datacenter that is not there is no difference", Args: "kv diff -against-datacenter nowhere a/", Code: 10,
			Answers: map[string]clitest.Answer{
				"GET /v1/kv/a/?recurse=":            {Status: 404},
				"GET /v1/kv/a/?dc=nowhere&recurse=": {Status: 500, Body: "No path to datacenter"},
			},
			Err: "on the other side: Error querying Consul agent: Unexpected response code: 500 (No path to datacenter)\n",
		},
		{Name: "an unknown context", Args: "kv diff -against-context nowhere a/", Code: 1, Err: "-against-context nowhere: "},
	})
}

func TestDiffAgainstContext(t *testing.T) {
	here := clitest.NewAgent(t, map[string]clitest.Answer{"GET /v1/kv/a/?recurse=": list(pair("a/x", "1", 1))})
	there := clitest.NewAgent(t, map[string]clitest.Answer{"GET /v1/kv/a/?recurse=": list(pair("a/x", "2", 1))})
	dir := t.TempDir()
	path := filepath.Join(dir, "ctl", "config.json")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, `{"contexts":{"other":{"addresses":[%q]}}}`, there.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	got := clitest.Do(t, NewCommand, clitest.Run{
		Args: []string{"kv", "diff", "-against-context", "other", "a/"}, Agent: here, Env: map[string]string{"XDG_CONFIG_HOME": dir},
	})
	if got.Code != 1 || got.Out != "~ x (1 bytes -> 1 bytes)\n" {
		t.Errorf("got %+v", got)
	}
	there.Answers["GET /v1/kv/a/?dc=west&recurse="] = list(pair("a/x", "1", 1))
	got = clitest.Do(t, NewCommand, clitest.Run{
		Args: []string{"kv", "diff", "-against-context", "other", "-against-datacenter", "west", "a/"}, Agent: here, Env: map[string]string{"XDG_CONFIG_HOME": dir},
	})
	if got.Code != 0 || got.Out != "No difference.\n" {
		t.Errorf("in another datacenter of the context: %+v", got)
	}
}

func TestCopy(t *testing.T) {
	from := list(pair("a/x", "1", 5), pair("a/y/z", "2", 6))
	sources := func(more map[string]clitest.Answer) map[string]clitest.Answer {
		m := map[string]clitest.Answer{"GET /v1/kv/a/?recurse=": from, "GET /v1/kv/b/?recurse=": {Status: 404}}
		maps.Copy(m, more)
		return m
	}
	yes, no := clitest.Answer{Body: "true"}, clitest.Answer{Body: "false"}
	clitest.Check(t, NewCommand, []clitest.Case{
		{
			Name: "one key", Args: "kv cp a b", Out: "Copied: a -> b\n",
			Answers: map[string]clitest.Answer{"GET /v1/kv/a": list(pair("a", "1", 5)), "GET /v1/kv/b": {Status: 404}, "PUT /v1/kv/b?cas=0": yes},
		},
		{
			Name: "all below a prefix", Args: "kv cp -recurse a/ b/", Out: "Copied: a/x -> b/x\nCopied: a/y/z -> b/y/z\n",
			Answers: sources(map[string]clitest.Answer{"PUT /v1/kv/b/x?cas=0": yes, "PUT /v1/kv/b/y/z?cas=0": yes}),
		},
		{
			Name: "a move deletes what nobody changed", Args: "kv mv -recurse a/ b/", Out: "Moved: a/x -> b/x\nMoved: a/y/z -> b/y/z\n",
			Answers: sources(map[string]clitest.Answer{
				"PUT /v1/kv/b/x?cas=0": yes, "DELETE /v1/kv/a/x?cas=5": yes, "PUT /v1/kv/b/y/z?cas=0": yes, "DELETE /v1/kv/a/y/z?cas=6": yes,
			}),
		},
		{
			Name: "a dry run lists every key and writes nothing", Args: "kv mv -recurse -dry-run a/ b/", Answers: sources(nil),
			Out: "move a/x -> b/x\nmove a/y/z -> b/y/z\n", Asked: []string{"GET /v1/kv/a/?recurse=", "GET /v1/kv/b/?recurse="},
		},
		{
			Name: "another value is there: nothing is written", Args: "kv cp -recurse a/ b/", Code: 14,
			Answers: sources(map[string]clitest.Answer{"GET /v1/kv/b/?recurse=": list(pair("b/y/z", "other", 8))}),
			Err:     "There already, with another value: b/y/z. Nothing was changed; -force overwrites.\n",
			Asked:   []string{"GET /v1/kv/a/?recurse=", "GET /v1/kv/b/?recurse="},
		},
		{
			Name: "force wants to be sure", Args: "kv cp -force a b", Code: 1, Err: "To copy 1 keys from a to b, and overwrite 1 of them",
			Answers: map[string]clitest.Answer{"GET /v1/kv/a": list(pair("a", "1", 5)), "GET /v1/kv/b": list(pair("b", "2", 7))},
		},
		{
			Name: "force overwrites what it saw", Args: "kv cp -force -yes a b", Out: "Copied: a -> b\n",
			Answers: map[string]clitest.Answer{"GET /v1/kv/a": list(pair("a", "1", 5)), "GET /v1/kv/b": list(pair("b", "2", 7)), "PUT /v1/kv/b?cas=7": yes},
		},
		{
			Name: "the same value is there: it goes on behind it", Args: "kv cp -recurse a/ b/", Out: "There already: a/x -> b/x\nCopied: a/y/z -> b/y/z\n",
			Answers: sources(map[string]clitest.Answer{"GET /v1/kv/b/?recurse=": list(pair("b/x", "1", 8)), "PUT /v1/kv/b/y/z?cas=0": yes}),
		},
		{
			Name: "a move that was broken off goes on with the deletion", Args: "kv mv a b", Out: "Moved: a -> b\n",
			Answers: map[string]clitest.Answer{"GET /v1/kv/a": list(pair("a", "1", 5)), "GET /v1/kv/b": list(pair("b", "1", 7)), "DELETE /v1/kv/a?cas=5": yes},
		},
		{
			Name: "a conflict on the way is told with what is done", Args: "kv cp -recurse a/ b/", Code: 14, Out: "Copied: a/x -> b/x\n",
			Answers: sources(map[string]clitest.Answer{"PUT /v1/kv/b/x?cas=0": yes, "PUT /v1/kv/b/y/z?cas=0": no}),
			Err:     "Key b/y/z was changed meanwhile and not written. Before it, 1 of 2 keys were done, as listed; the 0 behind it were not touched.",
		},
		{
			Name: "a source that changed is not deleted", Args: "kv mv a b", Code: 14,
			Answers: map[string]clitest.Answer{"GET /v1/kv/a": list(pair("a", "1", 5)), "GET /v1/kv/b": {Status: 404}, "PUT /v1/kv/b?cas=0": yes, "DELETE /v1/kv/a?cas=5": no},
			Err:     "Key a was changed meanwhile and not deleted; its copy b has the old value.",
		},
		{
			Name: "a locked key keeps its session", Args: "kv mv a b", Code: 14,
			Answers: map[string]clitest.Answer{"GET /v1/kv/a": {Body: `[{"Key":"a","Session":"s","ModifyIndex":5}]`}, "GET /v1/kv/b": {Status: 404}},
			Err:     "Locked by a session, which would lose it: a.",
		},
		{
			Name: "no such key", Args: "kv cp a b", Code: 13, Answers: map[string]clitest.Answer{"GET /v1/kv/a": {Status: 404}},
			Err: "There is no key a. Nothing was changed.\n",
		},
		{Name: "into itself", Args: "kv mv -recurse a/ a/b/", Code: 1, Err: `"a/" and "a/b/" overlap`},
		{Name: "the same", Args: "kv cp a /a", Code: 1, Err: "FROM and TO are the same\n"},
		{Name: "one argument", Args: "kv cp a", Code: 1, Err: "FROM and TO are wanted, 1 arguments were given\n"},
		{Name: "a whole prefix by mistake", Args: "kv cp '' b", Code: 1, Err: "a key is missing; all keys below a prefix need -recurse\n"},
	})
}

// editing runs kv edit with a shell command for an editor, whose $1 is the file.
func editing(t *testing.T, editor string, agent *clitest.Agent, args ...string) clitest.Result {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the editor of this test is a shell's command")
	}
	script := filepath.Join(t.TempDir(), "editor")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"+editor+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return clitest.Do(t, NewCommand, clitest.Run{
		Args: append([]string{"kv", "edit"}, args...), Agent: agent,
		Env: map[string]string{"EDITOR": "false", "VISUAL": "sh " + script}, // VISUAL is stronger
	})
}

func TestEdit(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	const get, put = "GET /v1/kv/app/a.json", "PUT /v1/kv/app/a.json?cas=5"
	yes := clitest.Answer{Body: "true"}
	tests := []struct {
		name    string
		editor  string
		answers map[string]clitest.Answer
		args    []string
		code    int
		out     string
		err     []string // all are in standard error
		wrote   string   // the body of the write; "-" for no write
	}{
		{
			name: "a change is written by check-and-set; the editor's newline is none", editor: `test "$(cat "$1")" = old && echo new > "$1"`,
			answers: map[string]clitest.Answer{get: list(pair("app/a.json", "old", 5)), put: yes}, out: "Success! Data written to: app/a.json\n", wrote: "new",
		},
		{
			name: "a value's own newline stays", editor: `echo new > "$1"`,
			answers: map[string]clitest.Answer{get: list(pair("app/a.json", "old\n", 5)), put: yes}, out: "Success! Data written to: app/a.json\n", wrote: "new\n",
		},
		{
			name: "nothing changed", editor: `true`, answers: map[string]clitest.Answer{get: list(pair("app/a.json", "old", 5))},
			out: "Not changed: app/a.json\n", wrote: "-",
		},
		{
			name: "a key that is not there must stay so until it is written", editor: `printf x > "$1"`,
			answers: map[string]clitest.Answer{get: {Status: 404}, "PUT /v1/kv/app/a.json?cas=0": yes}, out: "Success! Data written to: app/a.json\n", wrote: "x",
		},
		{
			name: "an editor that fails", editor: `echo new > "$1"; exit 3`, answers: map[string]clitest.Answer{get: list(pair("app/a.json", "old", 5))},
			code: 1, err: []string{"exit status 3. Nothing was changed; the text is in "}, wrote: "-",
		},
		{
			name: "the file is the operator's alone and named as the key", editor: `stat -c %a "$1" >> "$1"; basename "$1" >> "$1"`,
			answers: map[string]clitest.Answer{get: list(pair("app/a.json", "", 5)), put: yes}, out: "Success! Data written to: app/a.json\n", wrote: "600\na.json",
		},
		{
			name: "no text", editor: `echo new > "$1"`, answers: map[string]clitest.Answer{get: list(pair("app/a.json", "\xff\xfe", 5))},
			code: 1, err: []string{"The value of app/a.json is not text."}, wrote: "-",
		},
		{
			name: "a dry run opens no editor", editor: `exit 9`, args: []string{"-dry-run"}, answers: nil,
			out: "", wrote: "-",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			agent := clitest.NewAgent(t, test.answers)
			got := editing(t, test.editor, agent, append(test.args, "app/a.json")...)
			if test.args != nil {
				test.out = got.Out
				if !strings.HasPrefix(got.Out, "Dry run, nothing was changed. Would edit key app/a.json, at ") {
					t.Errorf("said %q", got.Out)
				}
			}
			if got.Code != test.code || got.Out != test.out {
				t.Errorf("got %+v, want %d %q", got, test.code, test.out)
			}
			for _, text := range test.err {
				if !strings.Contains(got.Err, text) {
					t.Errorf("standard error %q lacks %q", got.Err, text)
				}
			}
			wrote := "-"
			for _, r := range agent.Requests() {
				if strings.HasPrefix(r.Line, "PUT ") {
					wrote = r.Body
				}
			}
			if wrote != test.wrote {
				t.Errorf("wrote %q, want %q", wrote, test.wrote)
			}
		})
	}
}

func TestEditConflictKeepsTheDraft(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	agent := clitest.NewAgent(t, map[string]clitest.Answer{
		"GET /v1/kv/a": list(pair("a", "theirs", 5)), "PUT /v1/kv/a?cas=5": {Body: "false"},
	})
	got := editing(t, `echo mine > "$1"`, agent, "a")
	if got.Code != 14 {
		t.Errorf("exit code %d, want 14", got.Code)
	}
	for _, text := range []string{"Stored now (index 5, you began at 5):\n  | theirs\n", "Your draft:\n  | mine\n", "Key a was changed by somebody else meanwhile. Nothing was written;"} {
		if !strings.Contains(got.Err, text) {
			t.Errorf("standard error lacks %q:\n%s", text, got.Err)
		}
	}
	_, rest, _ := strings.Cut(got.Err, "the draft is in ")
	path, _, _ := strings.Cut(rest, ". `ctl kv edit")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("draft %q: %v %v", path, info, err)
	}
	agent = clitest.NewAgent(t, map[string]clitest.Answer{"GET /v1/kv/a": list(pair("a", "theirs", 8)), "PUT /v1/kv/a?cas=8": {Body: "true"}})
	if got := editing(t, `true`, agent, "-draft", path, "a"); got.Code != 0 {
		t.Errorf("going on with the draft: %+v", got)
	}
	requests := agent.Requests()
	if d := cmp.Diff(requests[len(requests)-1].Body, "mine"); d != "" {
		t.Errorf("written (- got, + want):\n%s", d)
	}
}

func TestDraftNames(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for key, want := range map[string]string{
		"a/b.json": "b.json", "a/": "a_", "-x": "_-x", "..": "_..", "a/..": "_..", "c\n:d": "c__d", "a//": "_",
		strings.Repeat("x", 200): strings.Repeat("x", 100),
	} {
		path, err := newDraft(key, nil)
		if err != nil || filepath.Base(path) != want {
			t.Errorf("%q: got %q, %v; want the name %q", key, path, err, want)
		}
	}
}
