package tui

import (
	"os"
	"strings"
	"testing"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/tuitest"
)

// written are the steps of the only act, as "index:key=value -deleted@index".
func written(t *testing.T, d *driver) string {
	t.Helper()
	acts := d.feed.Acts()
	if len(acts) != 1 {
		t.Fatalf("done: %v", acts)
	}
	w, ok := acts[0].(source.WriteKeys)
	if !ok {
		t.Fatalf("done: %T", acts[0])
	}
	var out []string
	for _, s := range w.Steps {
		if s.To != "" {
			out = append(out, strings.Repeat("*", int(s.Index%7))+s.To+"="+string(s.Value))
		}
		if s.Delete != "" {
			out = append(out, "-"+s.Delete)
		}
	}
	return strings.Join(out, " ")
}

// retype writes a text in place of what the dialog suggests.
func (d *driver) retype(text string) {
	d.t.Helper()
	d.press("ctrl+u")
	d.write(text)
	d.press("enter")
}

func TestRenameAndCopy(t *testing.T) {
	// At old/ one key has another value, with an index that is 1 modulo 7, and
	// one has the same.
	there := func(r source.Range) ([]source.Key, error) {
		k := func(name, value string, index uint64) source.Key {
			return source.Key{Key: name, Found: true, Value: []byte(value), ModifyIndex: index}
		}
		switch r.Key {
		case "app/":
			return []source.Key{k("app/a", "1", 70), k("app/b", "2", 70), {Key: "app/c", Value: []byte("3"), Session: "s", ModifyIndex: 70}}, nil
		case "old/":
			return []source.Key{k("old/a", "other", 71), k("old/b", "2", 72)}, nil
		case "greeting":
			return []source.Key{k("greeting", "hello", 70)}, nil
		}
		return nil, nil
	}
	for _, c := range []struct {
		name, path, key, to string
		shows               []string
		want                string
		command             string
	}{
		{"a key", "kv/greeting", "r", "welcome", []string{"Rename?", "greeting -> welcome", "1 key, 5 bytes"}, "welcome=hello -greeting", "ctl kv mv greeting welcome"},
		{"a copy of a key", "kv/greeting", "t", "welcome", []string{"Copy?"}, "welcome=hello", "ctl kv cp greeting welcome"},
		{"a prefix", "kv/app/", "r", "new/", []string{"app/a -> new/a", "3 keys", "1 key locked by a session"},
			"new/a=1 -app/a new/b=2 -app/b new/c=3 -app/c", "ctl kv mv -recurse -force app/ new/"},
		{"a prefix where some are", "kv/app/", "t", "old/", []string{"1 key there already with the same value", "1 key there overwritten: old/a"},
			"*old/a=1 old/c=3", "ctl kv cp -recurse -force app/ old/"},
		{"a rename onto the same value only deletes", "kv/app/", "r", "old/", nil, "*old/a=1 -app/a -app/b old/c=3 -app/c", "ctl kv mv -recurse -force app/ old/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDriver(t, tuitest.Live(), c.path)
			d.feed.OnKeys = there
			d.press(c.key)
			d.retype(c.to)
			d.shows(c.shows...)
			d.shows("127.0.0.1:8500", "No")
			if len(d.feed.Acts()) != 0 {
				t.Error("done without an answer")
			}
			d.press("y")
			if got := written(t, d); got != c.want {
				t.Errorf("wrote %s\nwant  %s", got, c.want)
			}
			if got := d.feed.Acts()[0].Command(); got != c.command {
				t.Errorf("the command is %s, want %s", got, c.command)
			}
		})
	}
}

func TestNamesThatCannotBe(t *testing.T) {
	for _, c := range []struct{ path, to, why string }{
		{"kv/greeting", "", "A name is needed"},
		{"kv/greeting", "greeting", "its name now"},
		{"kv/greeting", "/x", "does not begin with a slash"},
		{"kv/app/", "app/old/", "begin with the other"},
		{"kv/app/", "a", "begin with the other"},
	} {
		d := newDriver(t, tuitest.Live(), c.path)
		d.press("r")
		d.retype(c.to)
		d.shows(c.why)
		d.press("esc")
		if len(d.feed.Acts()) != 0 {
			t.Errorf("%s to %q was done", c.path, c.to)
		}
	}
}

func TestDeleteCountsFirst(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "kv/app/")
	d.press("ctrl+d")
	d.shows("Delete all keys below?", "app/ (2 keys)", "app/colour, app/limits.json")
	d.press("y")
	if acts := d.feed.Acts(); len(acts) != 1 || acts[0] != (source.DeleteTree{Prefix: "app/", Count: 2}) {
		t.Errorf("done: %v", acts)
	}

	// Of what is marked, a key below a prefix that goes anyway counts once.
	d = newDriver(t, tuitest.Live(), "kv/app/")
	for range 4 {
		d.press("space")
	}
	d.press("ctrl+d")
	d.shows("app/ (2 keys)", "greeting", "3 keys in all")
	d.press("y")
	if acts := d.feed.Acts(); len(acts) != 2 || acts[0] != (source.DeleteTree{Prefix: "app/", Count: 2}) || acts[1] != (source.DeleteKey{Key: "greeting", Index: 90}) {
		t.Errorf("done: %v", acts)
	}
}

// TestAnAnswerThatComesLate goes elsewhere while keys are read: the question about
// them must not come up under the next key.
func TestAnAnswerThatComesLate(t *testing.T) {
	d := newDriver(t, tuitest.Live(), "kv/app/")
	late := d.fetch(page.Fetch{Ranges: []source.Range{{Key: "app/", Below: true}}, Then: func([][]source.Key, error) page.Effect {
		return page.Effect{Act: []source.Action{source.DeleteTree{Prefix: "app/"}}}
	}})
	d.press("3")
	d.do(late)
	d.shows("dropped", "consul")
	if len(d.feed.Acts()) != 0 {
		t.Errorf("done: %v", d.feed.Acts())
	}
}

func TestExportAndImport(t *testing.T) {
	t.Chdir(t.TempDir())
	d := newDriver(t, tuitest.Live(), "kv/app/")
	d.press("x")
	d.shows("Export all below app/", "app.json")
	d.press("enter")
	d.shows("2 keys exported to app.json")
	if st, err := os.Stat("app.json"); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("the file: %v, %v", st, err)
	}
	d.press("x")
	d.press("enter")
	d.shows("Not exported", "file exists")

	// The same again changes nothing.
	d.press("I")
	d.retype("app.json")
	d.shows("Nothing to do: 2 keys")

	file := `[{"key":"app/colour","flags":0,"value":"dmFsdWU="},{"key":"app/new","flags":3,"value":"bmV3"},{"key":"greeting","flags":0,"value":"eA=="}]`
	if err := os.WriteFile("more.json", []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	d.press("I")
	d.retype("more.json")
	d.shows("Import?", "1 new key", "1 key overwritten: greeting", "1 key there already with the same value", "ctl kv import @more.json")
	d.press("y")
	if got := written(t, d); got != "app/new=new ******greeting=x" {
		t.Errorf("wrote %s", got)
	}
}

func TestImportSaysWhatIsWrong(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct{ name, text, why string }{
		{"no JSON", "[\n{\"key\": \"a\"},\nx", "bad.json: line 3"},
		{"no list", `{"key": "a"}`, "a list of"},
		{"a value that is no base64", "[\n{\"key\": \"a\", \"value\": \"%\"}]", "bad.json: line 2"},
		{"more behind it", "[{\"key\": \"a\", \"value\": \"\"}]\n[]", "more behind"},
		{"no key", `[{"value": ""}]`, "entry 1 has no key"},
		{"a key twice", `[{"key": "a"}, {"key": "a"}]`, "stands there twice"},
		{"nothing", `[]`, "no keys"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDriver(t, tuitest.Live(), "kv")
			if err := os.WriteFile("bad.json", []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			d.press("I")
			d.retype("bad.json")
			d.shows(c.why, "nothing was written")
			if len(d.feed.Acts()) != 0 {
				t.Error("written all the same")
			}
		})
	}
	d := newDriver(t, tuitest.Live(), "kv")
	d.press("I")
	d.retype("none.json")
	d.shows("Not imported", "no such file")
}
