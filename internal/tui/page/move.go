package page

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// atOnce is how many keys are copied, renamed, exported or imported at once:
// beyond, ctl kv shows how far it is, which this does not.
const atOnce = 1000

// subtree is a key, or all that begin with a prefix, as an act takes it.
type subtree struct {
	key   string
	below bool
}

func (s subtree) String() string {
	if s.below {
		return "all below " + s.key
	}
	return s.key
}

func (s subtree) within(most int) source.Range {
	return source.Range{Key: s.key, Below: s.below, Most: most}
}

// onSubtree does what an action means to a key as well as to a prefix; ok is false
// where it means nothing.
func onSubtree(env *Env, a ui.Action, s subtree) (e Effect, ok bool) {
	switch a {
	case ui.Rename, ui.CopyTo:
		if env.ReadOnly != "" {
			return refused(env.ReadOnly), true
		}
		return copying{from: s, move: a == ui.Rename}.ask(env), true
	case ui.Export:
		return export(s), true
	default:
		return Effect{}, false
	}
}

// copying is a copy of a key or of all below a prefix to another name, or a
// rename. The rules are those of ctl kv cp and mv: all is looked at before the
// first write, and each key is written only if nobody changed it meanwhile.
type copying struct {
	from subtree
	to   string
	move bool
}

func (t copying) verb() string {
	if t.move {
		return "Rename"
	}
	return "Copy"
}

// ask asks for the other name, then reads what is at both.
func (t copying) ask(env *Env) Effect {
	hint := "The other name. You will see first what is there already."
	if t.from.below {
		hint = "The prefix that stands in its place, most often ending in a slash. You will see first what is there already."
	}
	ask := &ui.Ask{Question: t.verb() + " " + t.from.String() + " to", Hint: hint, Check: t.wrong}
	ask.Input.Set(t.from.key)
	return Effect{Ask: ask, Then: func(a ui.Answer) Effect {
		if !a.OK {
			return say(ui.Info, "Nothing was done.")
		}
		t.to = a.Text
		return Effect{Fetch: &Fetch{What: "keys", Ranges: []source.Range{t.from.within(atOnce), subtree{t.to, t.from.below}.within(atOnce)},
			Then: func(read [][]source.Key, err error) Effect {
				if err != nil {
					return say(ui.Critical, "Nothing was changed: "+err.Error())
				}
				return t.confirm(env, read[0], read[1])
			}}}
	}}
}

// wrong says what is wrong with a name to copy or rename to.
func (t copying) wrong(to string) string {
	switch from := t.from.key; {
	case to == "":
		return "A name is needed; esc leaves."
	case strings.HasPrefix(to, "/"):
		return "A key does not begin with a slash."
	case to == from:
		return "That is its name now; esc leaves."
	case t.from.below && (strings.HasPrefix(to, from) || strings.HasPrefix(from, to)):
		return "Every key below one of them would begin with the other: take a third prefix between."
	}
	return ""
}

// confirm asks with all that was found out.
func (t copying) confirm(env *Env, sources, there []source.Key) Effect {
	if len(sources) == 0 {
		return say(ui.Warning, "There is nothing any more at "+t.from.key+"; nothing was done.")
	}
	p := t.plan(sources, there)
	if len(p.steps) == 0 {
		return say(ui.Info, "Nothing to do: "+plural(p.same, "key")+" at "+t.to+" already, with the same values.")
	}
	blast := []string{plural(len(sources), "key") + ", " + size(p.bytes)}
	if p.same > 0 {
		blast = append(blast, plural(p.same, "key")+" there already with the same value")
	}
	if len(p.overwritten) > 0 {
		blast = append(blast, plural(len(p.overwritten), "key")+" there overwritten: "+few(p.overwritten))
	}
	if p.locked > 0 && t.move {
		blast = append(blast, plural(p.locked, "key")+" locked by a session, which loses the lock")
	}
	blast = append(blast, "one key after the other, each only if nobody changes it meanwhile; at the first that was changed it stops")
	to, done := " to "+t.to, "copied"
	if t.move {
		done = "renamed"
	}
	verb := t.verb()
	act := source.WriteKeys{What: strings.ToLower(verb) + " " + t.from.String() + to, Steps: p.steps, Line: t.command(p),
		Done: plural(len(sources), "key") + " " + done + to}
	return confirm(env, verb, p.lines, blast, act)
}

// command is the ctl command that does the same.
func (t copying) command(p movePlan) string {
	words := []string{"ctl kv cp"}
	if t.move {
		words[0] = "ctl kv mv"
	}
	if t.from.below {
		words = append(words, "-recurse")
	}
	if len(p.overwritten) > 0 || t.move && p.locked > 0 {
		words = append(words, "-force")
	}
	return strings.Join(append(words, shell(t.from.key), shell(t.to)), " ")
}

// movePlan is what a copying comes to.
type movePlan struct {
	steps       []source.KeyStep
	lines       []string // "from -> to" of every key
	overwritten []string // keys there with another value
	same        int      // keys there with the same
	locked      int
	bytes       int
}

func (t copying) plan(sources, there []source.Key) movePlan {
	at := byName(there)
	var p movePlan
	for _, k := range sources {
		to := t.to + strings.TrimPrefix(k.Key, t.from.key)
		s := source.KeyStep{To: to, Value: k.Value, Flags: k.Flags}
		if t.move {
			s.Delete, s.DeleteIndex = k.Key, k.ModifyIndex
		}
		if old, ok := at[to]; ok {
			s.Index = old.ModifyIndex
			if same(old, k.Value, k.Flags) {
				s.To = ""
				p.same++
			} else {
				p.overwritten = append(p.overwritten, to)
			}
		}
		if k.Session != "" {
			p.locked++
		}
		p.bytes += len(k.Value)
		p.lines = append(p.lines, k.Key+" -> "+to)
		if s.To != "" || s.Delete != "" {
			p.steps = append(p.steps, s)
		}
	}
	return p
}

func byName(keys []source.Key) map[string]source.Key {
	out := make(map[string]source.Key, len(keys))
	for _, k := range keys {
		out[k.Key] = k
	}
	return out
}

func same(k source.Key, value []byte, flags uint64) bool {
	return bytes.Equal(k.Value, value) && k.Flags == flags
}

// few names at most three keys.
func few(keys []string) string {
	if n := len(keys); n > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(keys[:3], ", "), n-3)
	}
	return strings.Join(keys, ", ")
}

// size is a number of bytes as people say it.
func size(n int) string {
	const k = 1 << 10
	switch {
	case n < 10*k:
		return plural(n, "byte")
	case n < 10*k*k:
		return itoa(n/k) + " KiB"
	}
	return itoa(n/k/k) + " MiB"
}

// deleteKeys asks before all of the prefixes and keys are deleted, with how many
// keys that is.
func deleteKeys(env *Env, all []subtree, unmark func()) Effect {
	if env.ReadOnly != "" {
		return refused(env.ReadOnly)
	}
	// A key below a prefix that goes as well is not counted twice.
	all = slices.DeleteFunc(slices.Clone(all), func(s subtree) bool {
		return slices.ContainsFunc(all, func(p subtree) bool { return p.below && p != s && strings.HasPrefix(s.key, p.key) })
	})
	ranges := make([]source.Range, len(all))
	for i, s := range all {
		ranges[i] = source.Range{Key: s.key, Below: s.below, Names: s.below}
	}
	return Effect{Fetch: &Fetch{What: "keys", Ranges: ranges, Then: func(read [][]source.Key, err error) Effect {
		if err != nil {
			return say(ui.Critical, "Nothing was deleted: "+err.Error())
		}
		return confirmDelete(env, all, read, unmark)
	}}}
}

func confirmDelete(env *Env, all []subtree, read [][]source.Key, unmark func()) Effect {
	var objects, blast, examples []string
	var acts []source.Action
	count := 0
	for i, s := range all {
		n := len(read[i])
		if n == 0 {
			continue // gone meanwhile
		}
		count += n
		if !s.below {
			objects = append(objects, s.key)
			acts = append(acts, source.DeleteKey{Key: s.key, Index: read[i][0].ModifyIndex})
			continue
		}
		objects = append(objects, s.key+" ("+plural(n, "key")+")")
		acts = append(acts, source.DeleteTree{Prefix: s.key, Count: n})
		for _, k := range read[i] {
			examples = append(examples, k.Key)
		}
	}
	if count == 0 {
		return say(ui.Warning, "There is nothing any more at "+all[0].key+"; nothing was done.")
	}
	blast = append(blast, plural(count, "key")+" in all; not if that has changed meanwhile")
	if len(examples) > 0 {
		blast = append(blast, few(examples))
	}
	verb := "Delete all keys below"
	if len(all) > 1 || !all[0].below {
		verb = "Delete"
	}
	e := confirm(env, verb, objects, blast, acts...)
	e.Unselect = unmark
	return e
}
