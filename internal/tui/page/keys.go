package page

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

var keysAbout = content{"keys", "Write one: ctl kv put greeting hello", `key:list on the prefix`}

// keys is the browser of keys: a tree whose levels are fetched when they are
// opened and, where there is room, the value of the selected key.
type keys struct {
	tree *ui.Tree
	y    int
}

// newKeys opens the tree down to a prefix or key.
func newKeys(at string) *keys {
	p := &keys{tree: ui.NewTree()}
	if at == "" {
		return p
	}
	var branches []string
	for i, c := range at {
		if c == '/' {
			branches = append(branches, at[:i+1])
		}
	}
	if strings.HasSuffix(at, "/") {
		// The prefix itself is selected, and open.
		p.tree.Select(at, branches...)
		return p
	}
	p.tree.Select(at, branches...)
	return p
}

// ShowsNow implements ShowsNow.
func (*keys) ShowsNow() {}

func (p *keys) Path() string {
	if n, ok := p.tree.Selected(); ok {
		return "kv/" + n.ID
	}
	return "kv"
}
func (p *keys) Title() string   { return "Keys" }
func (p *keys) Command() string { return "ctl kv get -keys -separator=/" }

func (p *keys) Interest() source.Interest {
	in := source.Interest{Prefixes: append([]string{""}, p.tree.Opened()...)}
	if n, ok := p.tree.Selected(); ok && !n.Branch {
		in.Key = n.ID
	}
	return in
}

func (p *keys) Versions(s *source.State) [4]uint64 { return [4]uint64{s.KV.Version, s.Key.Version} }
func (p *keys) Ready(s *source.State) bool {
	in := p.Interest()
	for _, prefix := range in.Prefixes {
		if l := s.KV.Levels[prefix]; l == nil || !settled(l.Status) {
			return false
		}
	}
	return in.Key == "" || s.Key.Key == in.Key && settled(s.Key.Status)
}
func (p *keys) Grid() (ui.Grid, int, int) { return p.tree, 0, p.y }

func (p *keys) Update(env *Env) {
	kv := &env.State.KV
	p.tree.Set(func(prefix string) ui.Branch { return branch(env, kv, prefix) })
}

// branch is what hangs under a prefix, or why that is not known.
func branch(env *Env, kv *source.KV, prefix string) ui.Branch {
	l := kv.Levels[prefix]
	if l == nil {
		return ui.Branch{Note: "loading…", Level: ui.Info}
	}
	b := ui.Branch{Nodes: make([]ui.Node, len(l.Children))}
	for i, c := range l.Children {
		b.Nodes[i] = ui.Node{ID: c.Key, Label: c.Name(prefix), Branch: c.Dir}
	}
	switch {
	case l.Phase == source.Failed && l.Problem != nil:
		b.Note, b.Level = words(problem(env, l.Problem, content{"keys below " + strconv.Quote(prefix), "", `key:list on "` + prefix + `"`})), ui.Critical
	case l.Phase == source.Unsupported:
		b.Note, b.Level = "not supported by this agent", ui.Unknown
	case len(b.Nodes) > 0:
	case l.Phase == source.Ready && prefix != "":
		b.Note, b.Level = "no keys any more", ui.Faint
	case l.Phase != source.Ready:
		b.Note, b.Level = "loading…", ui.Info
	}
	return b
}

// rootHole says why there is nothing at all to show.
func (p *keys) rootHole(env *Env) []note {
	l := env.State.KV.Levels[""]
	switch {
	case l == nil:
		return loading(env, keysAbout)
	case len(l.Children) > 0 && p.tree.Len() == 0:
		return []note{{ui.Info, "No keys that are open here match."},
			{ui.Faint, "The filter is “" + p.tree.Filter() + "”; " + env.Keys.Key(ui.Back) + " clears it. Branches that are closed are not searched."}}
	case len(l.Children) > 0:
		return nil
	case l.Phase == source.Failed && l.Problem != nil:
		return problem(env, l.Problem, keysAbout)
	case l.Phase == source.Unsupported:
		return lacking(keysAbout)
	case l.Phase == source.Ready:
		return []note{{ui.Info, "There are no keys."}, {ui.Faint, keysAbout.empty + ", or " + env.Keys.Key(ui.New) + " here"}}
	}
	return loading(env, keysAbout)
}

func (p *keys) View(env *Env, width, height int) []string {
	if h := p.rootHole(env); h != nil {
		return trim(draw(env.Theme, h, width), height)
	}
	p.y = 0
	n, ok := p.tree.Selected()
	if width < 100 || !ok || n.Branch {
		return p.tree.View(env.Theme, width, height)
	}
	left := width * 2 / 5
	tree := ui.Fill(p.tree.View(env.Theme, left, height), height)
	value := ui.Fill(valueLines(env, &env.State.Key, n.ID, width-left-3, height), height)
	lines := make([]string, height)
	for i := range lines {
		lines[i] = tree[i] + ui.Blank(left-ui.Width(tree[i])) + " " + env.Theme.Border.Render(env.Theme.Glyphs.Vertical) + " " + value[i]
	}
	return lines
}

// valueLines is all about a key, in lines.
func valueLines(env *Env, k *source.Key, key string, width, height int) []string {
	th := env.Theme
	if k.Key != key || !k.Found {
		return draw(th, keyHole(env, k, key), width)
	}
	lines := facts(th, width, keyPairs(k)...)
	lines = append(lines, "")
	for _, l := range ui.Wrap(valueText(k.Value, asItIs), width) {
		lines = append(lines, th.Text.Render(l))
	}
	return trim(lines, height)
}

// keyHole says why a key's value cannot be shown.
func keyHole(env *Env, k *source.Key, key string) []note {
	about := content{"the value of " + key, "", `key:read on "` + key + `"`}
	switch {
	case k.Key != key || k.Phase == source.Loading || k.Phase == source.Idle:
		return loading(env, about)
	case k.Phase == source.Failed && k.Problem != nil:
		return problem(env, k.Problem, about)
	case k.Phase == source.Unsupported:
		return lacking(about)
	}
	return []note{{ui.Warning, "The key " + key + " does not exist, or no longer."}, {ui.Faint, env.Keys.Key(ui.Edit) + " writes it."}}
}

func keyPairs(k *source.Key) []string {
	pairs := []string{"size", strconv.Itoa(len(k.Value)) + " B", "index", number(k.ModifyIndex).Text, "created", number(k.CreateIndex).Text,
		"flags", strconv.FormatUint(k.Flags, 10)}
	if k.Session != "" {
		pairs = append(pairs, "locked by", k.Session, "lock index", number(k.LockIndex).Text)
	}
	return pairs
}

// form is how a value is shown.
type form int

const (
	asItIs form = iota
	pretty
	dump
)

// valueText shows a value: text as it is, JSON indented if asked, anything else
// as hex.
func valueText(v []byte, f form) string {
	switch {
	case len(v) == 0:
		return "(empty)"
	case f == dump || !utf8.Valid(v) || bytes.IndexByte(v, 0) >= 0:
		return hex.Dump(v)
	case f == pretty:
		var b bytes.Buffer
		if err := json.Indent(&b, v, "", "  "); err == nil {
			return b.String()
		}
	}
	return string(v)
}

func (p *keys) Sheet(env *Env) Sheet {
	s := Sheet{Titles: []string{"Key", "Kind"}, Note: words(p.rootHole(env))}
	var add func(prefix string)
	opened := p.tree.Opened()
	add = func(prefix string) {
		l := env.State.KV.Levels[prefix]
		if l == nil {
			return
		}
		for _, c := range l.Children {
			kind := "key"
			if c.Dir {
				kind = "prefix"
			}
			s.Rows = append(s.Rows, []string{c.Key, kind})
			if c.Dir && slices.Contains(opened, c.Key) {
				add(c.Key)
			}
		}
	}
	add("")
	rows := s.Rows
	s.Select = func(i int) {
		if i >= 0 && i < len(rows) {
			key := rows[i][0]
			var branches []string
			for k, c := range strings.TrimSuffix(key, "/") {
				if c == '/' {
					branches = append(branches, key[:k+1])
				}
			}
			p.tree.Select(key, branches...)
		}
	}
	return s
}

func (p *keys) Data(env *Env) any {
	out := []source.Child{}
	for _, l := range env.State.KV.Levels {
		out = append(out, l.Children...)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

func (p *keys) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Open, Word: "open"}, {Action: ui.Edit, Word: "edit"}, {Action: ui.New, Word: "new"}, {Action: ui.Delete, Word: "delete"},
		{Action: ui.Find, Word: "filter"}, {Action: ui.CopyValue, Word: "copy"}, {Action: ui.CopyCtl, Word: "command"},
		{Action: ui.Rename, Word: "rename"}, {Action: ui.CopyTo, Word: "copy to"}, {Action: ui.Export, Word: "export"}, {Action: ui.Import, Word: "import"}}
}

func (p *keys) Do(env *Env, a ui.Action) Effect {
	if p.tree.Do(a) {
		return Effect{}
	}
	n, ok := p.tree.Selected()
	switch marked := p.tree.Marked(); {
	case a == ui.Import:
		return importKeys(env)
	case a == ui.Delete && len(marked) > 0:
		all := make([]subtree, len(marked))
		for i, m := range marked {
			all[i] = subtree{m.ID, m.Branch}
		}
		return deleteKeys(env, all, p.tree.Unmark)
	case a == ui.New:
		at := ""
		if ok {
			at = n.ID[:strings.LastIndex(n.ID, "/")+1]
		}
		return newKey(env, at)
	}
	if !ok {
		return noSelection(p.tree)
	}
	if e, ok := onSubtree(env, a, subtree{n.ID, n.Branch}); ok {
		return e
	}
	if n.Branch {
		return p.onPrefix(env, a, n.ID)
	}
	if a == ui.Open {
		return Effect{Go: newKeyPage(n.ID)}
	}
	return onKey(env, a, n.ID)
}

func (p *keys) onPrefix(env *Env, a ui.Action, prefix string) Effect {
	switch a {
	case ui.Open:
		p.tree.Toggle(prefix)
	case ui.CopyValue:
		return Effect{Copy: prefix, What: "prefix"}
	case ui.CopyCtl:
		return Effect{Copy: "ctl kv get -recurse " + shell(prefix), What: "command"}
	case ui.Edit:
		return say(ui.Info, prefix+" is a prefix: "+env.Keys.Key(ui.New)+" makes a new key below it.")
	case ui.Delete:
		return deleteKeys(env, []subtree{{prefix, true}}, nil)
	default: // the others are not for here
	}
	return Effect{}
}

// newKey asks for a name and opens the editor.
func newKey(env *Env, at string) Effect {
	if env.ReadOnly != "" {
		return refused(env.ReadOnly)
	}
	ask := &ui.Ask{Question: "New key", Hint: "Its value is written in your editor next.", Check: func(s string) string {
		switch {
		case s == "":
			return "A name is needed; esc leaves."
		case strings.HasPrefix(s, "/"):
			return "A key does not begin with a slash."
		}
		return ""
	}}
	ask.Input.Set(at)
	return Effect{Ask: ask, Then: func(a ui.Answer) Effect {
		if !a.OK {
			return say(ui.Info, "Nothing was done.")
		}
		return edit(source.Key{Key: a.Text}, nil)
	}}
}

// onKey does what an action means to a key, in the tree or on its own page.
func onKey(env *Env, a ui.Action, key string) Effect {
	k := &env.State.Key
	known := k.Key == key && k.Phase == source.Ready
	switch a {
	case ui.CopyCtl:
		return Effect{Copy: "ctl kv get " + shell(key), What: "command"}
	case ui.CopyValue, ui.ShowJSON, ui.ShowYAML, ui.Describe, ui.Edit, ui.Delete:
		if !known {
			return say(ui.Info, "The value of "+key+" is not known yet.")
		}
	default: // the others are not for here
	}
	switch a {
	case ui.CopyValue:
		return Effect{Copy: string(k.Value), What: "value of " + key}
	case ui.ShowJSON, ui.ShowYAML, ui.Describe:
		return show(key, keyData(k), a)
	case ui.Edit:
		if env.ReadOnly != "" {
			return refused(env.ReadOnly)
		}
		return edit(*k, k.Value)
	case ui.Delete:
		if env.ReadOnly != "" {
			return refused(env.ReadOnly)
		}
		blast := []string{strconv.Itoa(len(k.Value)) + " bytes, last changed at index " + number(k.ModifyIndex).Text + "; not if it changes meanwhile"}
		if k.Session != "" {
			blast = append(blast, "the lock of session "+k.Session+" goes with it")
		}
		return confirm(env, "Delete key", []string{key}, blast, source.DeleteKey{Key: key, Index: k.ModifyIndex})
	default:
		return Effect{}
	}
}

// keyData is a key as the HTTP API shows it, but with a readable value.
func keyData(k *source.Key) any {
	return struct {
		Key                                        string
		Value                                      string
		Flags, CreateIndex, ModifyIndex, LockIndex uint64
		Session                                    string `json:",omitempty"`
	}{k.Key, string(k.Value), k.Flags, k.CreateIndex, k.ModifyIndex, k.LockIndex, k.Session}
}

// edit opens the editor on text and writes what comes of it, as long as the key
// is still what base says.
func edit(base source.Key, text []byte) Effect {
	return Effect{Edit: &Edit{Name: base.Key, Text: text, Saved: func(mine []byte) Effect {
		return put(base, mine, false)
	}}}
}

func put(base source.Key, mine []byte, force bool) Effect {
	act := source.PutKey{Key: base.Key, Value: mine, Flags: base.Flags, Index: base.ModifyIndex, Unconditional: force}
	return Effect{Act: []source.Action{act}, Done: func(o source.Outcome, err error) Effect {
		var c *source.Conflict
		switch {
		case err == nil:
			return say(ui.Passing, o.Text+" · "+act.Command())
		case errors.As(err, &c):
			return conflict(base, c.Key, mine)
		}
		return say(ui.Critical, err.Error())
	}}
}

// conflict shows the three values a key has: as it was, as it is, as wanted.
func conflict(base, theirs source.Key, mine []byte) Effect {
	theirs.Key = base.Key
	return Effect{Go: &conflictPage{base: base, theirs: theirs, mine: mine, viewer: ui.NewViewer(threeWay(base, theirs, mine), false)}}
}

// threeWay writes the three values under each other, changes marked line by
// line against what both began with.
func threeWay(base, theirs source.Key, mine []byte) string {
	var b strings.Builder
	part := func(title string, v []byte, against []byte) {
		b.WriteString(title + "\n")
		old := map[string]bool{}
		for l := range strings.SplitSeq(valueText(against, asItIs), "\n") {
			old[l] = true
		}
		for l := range strings.SplitSeq(strings.TrimSuffix(valueText(v, asItIs), "\n"), "\n") {
			sign := "  "
			if !old[l] {
				sign = "+ "
			}
			b.WriteString("  " + sign + l + "\n")
		}
		b.WriteString("\n")
	}
	if theirs.Found {
		part("Now, at index "+number(theirs.ModifyIndex).Text+" (+ is new since you began)", theirs.Value, base.Value)
	} else {
		b.WriteString("Now\n    (deleted)\n\n")
	}
	part("Yours (+ is new since you began)", mine, base.Value)
	part("When you began, at index "+number(base.ModifyIndex).Text, base.Value, base.Value)
	return b.String()
}

// conflictPage lets the operator choose between what is there and what was
// written.
type conflictPage struct {
	base, theirs source.Key
	mine         []byte
	viewer       *ui.Viewer
	y            int
}

// ShowsNow implements ShowsNow.
func (*conflictPage) ShowsNow() {}

func (p *conflictPage) Path() string                         { return "kv/" + p.base.Key }
func (p *conflictPage) Title() string                        { return "conflict on " + p.base.Key }
func (p *conflictPage) Command() string                      { return "ctl kv get -detailed " + shell(p.base.Key) }
func (p *conflictPage) Interest() source.Interest            { return source.Interest{Key: p.base.Key} }
func (p *conflictPage) Versions(*source.State) (v [4]uint64) { return v }
func (p *conflictPage) Update(*Env)                          {}
func (p *conflictPage) Grid() (ui.Grid, int, int)            { return p.viewer, 0, p.y }
func (p *conflictPage) Ready(*source.State) bool             { return true }
func (p *conflictPage) Data(*Env) any                        { return keyData(&p.theirs) }
func (p *conflictPage) Sheet(*Env) Sheet                     { return Sheet{Facts: ui.Lines(p.viewer.Text())} }

func (p *conflictPage) View(env *Env, width, height int) []string {
	lines := trim(draw(env.Theme, []note{{ui.Critical, "Somebody else changed " + p.base.Key + " while you edited it. Nothing was written; your text is kept."},
		{ui.None, env.Keys.Key(ui.Edit) + " edits your text again, on top of what is there now · " + env.Keys.Key(ui.Delete) +
			" writes yours over it · " + env.Keys.Key(ui.Back) + " keeps what is there"}}, width), height/2)
	p.y = len(lines)
	return append(lines, p.viewer.View(env.Theme, width, height-len(lines))...)
}

func (p *conflictPage) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Edit, Word: "edit again"}, {Action: ui.Delete, Word: "overwrite"}, {Action: ui.Back, Word: "keep theirs"}, {Action: ui.CopyValue, Word: "copy mine"}}
}

func (p *conflictPage) Do(env *Env, a ui.Action) Effect {
	switch a {
	case ui.Edit:
		e := edit(p.theirs, p.mine)
		e.Back = true
		return e
	case ui.CopyValue:
		return Effect{Copy: string(p.mine), What: "your text"}
	case ui.Delete:
		act := source.PutKey{Key: p.base.Key, Value: p.mine, Flags: p.theirs.Flags, Index: p.theirs.ModifyIndex}
		e := confirm(env, "Overwrite key", []string{p.base.Key}, []string{"what was written at index " + number(p.theirs.ModifyIndex).Text + " is lost"}, act)
		then := e.Then
		e.Then = func(ans ui.Answer) Effect {
			out := then(ans)
			if ans.OK {
				out = put(p.theirs, p.mine, false)
				out.Back = true
			}
			return out
		}
		return e
	default: // the others are not for here
	}
	p.viewer.Do(a)
	return Effect{}
}

// keyPage shows one key on the whole screen.
type keyPage struct {
	key    string
	form   form
	viewer *ui.Viewer
	y      int
}

func newKeyPage(key string) *keyPage { return &keyPage{key: key, viewer: ui.NewViewer("", true)} }

// ShowsNow implements ShowsNow.
func (*keyPage) ShowsNow() {}

func (p *keyPage) Path() string                       { return "kv/" + p.key }
func (p *keyPage) Title() string                      { return p.key }
func (p *keyPage) Command() string                    { return "ctl kv get -detailed " + shell(p.key) }
func (p *keyPage) Interest() source.Interest          { return source.Interest{Key: p.key} }
func (p *keyPage) Versions(s *source.State) [4]uint64 { return [4]uint64{s.Key.Version} }
func (p *keyPage) Grid() (ui.Grid, int, int)          { return p.viewer, 0, p.y }
func (p *keyPage) Ready(s *source.State) bool {
	return s.Key.Key == p.key && settled(s.Key.Status)
}
func (p *keyPage) Data(env *Env) any { return keyData(&env.State.Key) }
func (p *keyPage) Update(env *Env)   { p.fill(&env.State.Key) }

func (p *keyPage) fill(k *source.Key) {
	if k.Key == p.key && k.Found {
		p.viewer.SetText(valueText(k.Value, p.form))
	}
}

func (p *keyPage) View(env *Env, width, height int) []string {
	k := &env.State.Key
	if k.Key != p.key || !k.Found {
		return trim(draw(env.Theme, keyHole(env, k, p.key), width), height)
	}
	var lines []string
	if height >= 6 {
		lines = facts(env.Theme, width, keyPairs(k)...)
	}
	lines = append(lines, draw(env.Theme, old(env, k.Status), width)...)
	p.y = len(lines)
	return append(lines, p.viewer.View(env.Theme, width, max(0, height-len(lines)))...)
}

func (p *keyPage) Sheet(env *Env) Sheet {
	k := &env.State.Key
	if k.Key != p.key || !k.Found {
		return Sheet{Note: words(keyHole(env, k, p.key))}
	}
	return Sheet{Facts: append(plainFacts(keyPairs(k)...), ui.Lines(valueText(k.Value, p.form))...)}
}

func (p *keyPage) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Edit, Word: "edit"}, {Action: ui.Wide, Word: "text/JSON/hex"}, {Action: ui.CopyValue, Word: "copy"},
		{Action: ui.Delete, Word: "delete"}, {Action: ui.Back, Word: "back"}, {Action: ui.CopyCtl, Word: "command"},
		{Action: ui.Rename, Word: "rename"}, {Action: ui.CopyTo, Word: "copy to"}, {Action: ui.Export, Word: "export"}}
}

func (p *keyPage) Do(env *Env, a ui.Action) Effect {
	if a == ui.Wide {
		p.form = (p.form + 1) % 3
		p.fill(&env.State.Key)
		return say(ui.Info, [...]string{"As it is.", "Indented, where it is JSON.", "As bytes."}[p.form])
	}
	if p.viewer.Do(a) {
		return Effect{}
	}
	if e, ok := onSubtree(env, a, subtree{key: p.key}); ok {
		return e
	}
	return onKey(env, a, p.key)
}
