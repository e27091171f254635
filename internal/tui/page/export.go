package page

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// exported is one key of a file, in the form of ctl kv export, which is Consul's.
type exported struct {
	Key   string `json:"key"`
	Flags uint64 `json:"flags"`
	Value []byte `json:"value"`
}

// exportMost is how many keys are exported at once: all of them are in memory.
const exportMost = 100_000

// export asks for a file and writes the keys there.
func export(s subtree) Effect {
	ask := &ui.Ask{Question: "Export " + s.String(), Hint: "A new file for you alone to read, as `ctl kv import` takes it:", Check: func(name string) string {
		if name == "" {
			return "A name is needed; esc leaves."
		}
		return ""
	}}
	ask.Input.Set(strings.ReplaceAll(strings.Trim(s.key, "/"), "/", "-") + ".json")
	return Effect{Ask: ask, Then: func(a ui.Answer) Effect {
		if !a.OK {
			return say(ui.Info, "Nothing was written.")
		}
		return Effect{Fetch: &Fetch{What: "keys", Ranges: []source.Range{s.within(exportMost)}, Then: func(read [][]source.Key, err error) Effect {
			if err != nil {
				return say(ui.Critical, "Nothing was written: "+err.Error())
			}
			if len(read[0]) == 0 {
				return say(ui.Warning, "There is nothing any more at "+s.key+"; nothing was written.")
			}
			return writeExport(a.Text, read[0])
		}}}
	}}
}

func writeExport(name string, keys []source.Key) Effect {
	out := make([]exported, len(keys))
	for i, k := range keys {
		out[i] = exported{k.Key, k.Flags, append([]byte{}, k.Value...)}
	}
	text, err := json.MarshalIndent(out, "", "\t")
	if err != nil {
		return say(ui.Critical, "Nothing was written: "+err.Error())
	}
	return Effect{File: &File{Name: name, Text: append(text, '\n'), Then: func(_ []byte, err error) Effect {
		if err != nil {
			return say(ui.Critical, "Not exported: "+err.Error())
		}
		return say(ui.Passing, plural(len(keys), "key")+" exported to "+name)
	}}}
}

// importKeys asks for a file and writes the keys that it has, once it is known
// what they replace.
func importKeys(env *Env) Effect {
	if env.ReadOnly != "" {
		return refused(env.ReadOnly)
	}
	ask := &ui.Ask{Question: "Import keys", Hint: "A file that `ctl kv export` or Consul's wrote. You will see first what it replaces.", Check: func(name string) string {
		if name == "" {
			return "A name is needed; esc leaves."
		}
		return ""
	}}
	return Effect{Ask: ask, Then: func(a ui.Answer) Effect {
		if !a.OK {
			return say(ui.Info, "Nothing was done.")
		}
		return Effect{File: &File{Name: a.Text, Then: func(text []byte, err error) Effect {
			if err != nil {
				return say(ui.Critical, "Not imported: "+err.Error())
			}
			keys, err := parseExport(text)
			if err != nil {
				return say(ui.Critical, a.Text+": "+err.Error()+"; nothing was written")
			}
			return compareImport(env, a.Text, keys)
		}}}
	}}
}

// parseExport reads a file of keys and checks all of it.
func parseExport(text []byte) ([]exported, error) {
	var keys []exported
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&keys); err != nil {
		return nil, badJSON(text, d.InputOffset(), err)
	}
	if d.More() {
		return nil, fmt.Errorf("line %d: there is more behind the list of keys", lineAt(text, d.InputOffset()))
	}
	seen := map[string]bool{}
	for i, k := range keys {
		switch {
		case k.Key == "":
			return nil, fmt.Errorf("entry %d has no key", i+1)
		case seen[k.Key]:
			return nil, fmt.Errorf("entry %d: the key %s stands there twice", i+1, k.Key)
		}
		seen[k.Key] = true
	}
	switch n := len(keys); {
	case n == 0:
		return nil, errors.New("there are no keys in it")
	case n > atOnce:
		return nil, fmt.Errorf("there are %d keys in it, more than the %d that are written at once here: use ctl kv import, which shows its progress", n, atOnce)
	}
	return keys, nil
}

func badJSON(text []byte, at int64, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &kind):
		at = kind.Offset
		what := `a list of {"key", "flags", "value"}`
		if kind.Field != "" {
			what = "another kind of " + kind.Field
		}
		err = fmt.Errorf("%s is expected, not %s", what, kind.Value)
	}
	return fmt.Errorf("line %d: %w", lineAt(text, at), err)
}

func lineAt(text []byte, at int64) int {
	return 1 + bytes.Count(text[:max(0, min(int(at), len(text)))], []byte("\n"))
}

// compareImport reads what is there of the keys, and asks.
func compareImport(env *Env, file string, keys []exported) Effect {
	ranges := make([]source.Range, len(keys))
	for i, k := range keys {
		ranges[i] = source.Range{Key: k.Key}
	}
	return Effect{Fetch: &Fetch{What: "keys", Ranges: ranges, Then: func(read [][]source.Key, err error) Effect {
		if err != nil {
			return say(ui.Critical, "Nothing was written: "+err.Error())
		}
		return confirmImport(env, file, keys, read)
	}}}
}

func confirmImport(env *Env, file string, keys []exported, read [][]source.Key) Effect {
	var steps []source.KeyStep
	var objects, replaced []string
	for i, k := range keys {
		s := source.KeyStep{To: k.Key, Value: k.Value, Flags: k.Flags}
		if len(read[i]) > 0 {
			if same(read[i][0], k.Value, k.Flags) {
				continue
			}
			s.Index = read[i][0].ModifyIndex
			replaced = append(replaced, k.Key)
		}
		steps, objects = append(steps, s), append(objects, k.Key)
	}
	if len(steps) == 0 {
		return say(ui.Info, "Nothing to do: "+plural(len(keys), "key")+" of "+file+" there already, with the same values.")
	}
	blast := []string{plural(len(steps)-len(replaced), "new key")}
	if len(replaced) > 0 {
		blast = append(blast, plural(len(replaced), "key")+" overwritten: "+few(replaced))
	}
	if n := len(keys) - len(steps); n > 0 {
		blast = append(blast, plural(n, "key")+" there already with the same value")
	}
	return confirm(env, "Import", objects, blast, source.WriteKeys{What: "import " + file, Done: plural(len(steps), "key") + " written from " + file,
		Line: "ctl kv import " + shell("@"+file), Steps: steps})
}
