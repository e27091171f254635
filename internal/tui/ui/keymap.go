package ui

import (
	"fmt"
	"slices"
	"strings"
)

// Action is something a key can ask for.
type Action string

// The actions. What one means on a screen is the screen's affair; one that has
// no meaning there does nothing.
const (
	NoAction  Action = ""
	Up        Action = "up"
	Down      Action = "down"
	PageUp    Action = "page-up"
	PageDown  Action = "page-down"
	Home      Action = "first"
	End       Action = "last"
	Left      Action = "left"
	Right     Action = "right"
	Open      Action = "open"
	Back      Action = "back"
	Previous  Action = "history-back"
	Next      Action = "history-forward"
	LastView  Action = "last-view"
	Sort      Action = "sort"
	Reverse   Action = "reverse"
	Wide      Action = "wide"
	Problems  Action = "problems"
	Find      Action = "filter"
	Prompt    Action = "command"
	ShowYAML  Action = "yaml"
	ShowJSON  Action = "json"
	Describe  Action = "describe"
	Edit      Action = "edit"
	New       Action = "new"
	Rename    Action = "rename"
	CopyTo    Action = "copy-to"
	Export    Action = "export"
	Import    Action = "import"
	CopyValue Action = "copy"
	CopyCtl   Action = "copy-command"
	Mark      Action = "mark"
	Pause     Action = "pause"
	Follow    Action = "follow"
	LogLevel  Action = "log-level"
	Older     Action = "older"
	Newer     Action = "newer"
	Rewind    Action = "rewind"
	Present   Action = "now"
	Delete    Action = "delete"
	Maintain  Action = "maintenance"
	Transfer  Action = "transfer-leader"
	Join      Action = "join"
	Save      Action = "save"
	Switch    Action = "switch"
	Retry     Action = "retry"
	Mouse     Action = "mouse"
	Redraw    Action = "redraw"
	Suspend   Action = "suspend"
	Help      Action = "help"
	Quit      Action = "quit"
	Screen1   Action = "screen-1"
	Screen2   Action = "screen-2"
	Screen3   Action = "screen-3"
	Screen4   Action = "screen-4"
	Screen5   Action = "screen-5"
	Screen6   Action = "screen-6"
	Screen7   Action = "screen-7"
	Screen8   Action = "screen-8"
	Screen9   Action = "screen-9"
)

// Binding is an action, the keys that ask for it and what is said about it.
// Keys are named as Bubble Tea names them: "ctrl+d", "space", "shift+tab", "G".
type Binding struct {
	Action  Action
	Keys    []string
	Help    string // what it does, in a few words
	Group   string
	Mutates bool // changes the cluster: gone where nothing may be changed
}

// KeyMap says which key asks for what. Help, the reference page, --print-keys
// and rebinding all come from it. It is not changed once made.
type KeyMap struct {
	bindings []Binding
	byKey    map[string]Action
}

// Groups of bindings, in the order of the help.
const (
	groupMove   = "Move"
	groupScreen = "Screens"
	groupSee    = "See"
	groupPast   = "The past"
	groupAct    = "Act"
	groupApp    = "Dashboard"
	groupOwn    = "Commands of your own"
)

// commandLead is what the actions of commands begin with.
const commandLead = "run:"

// CommandAction is the action that runs the operator's command of a name.
func CommandAction(name string) Action { return commandLead + Action(name) }

// Command returns the name of the operator's command that an action runs.
func (a Action) Command() (name string, ok bool) { return strings.CutPrefix(string(a), commandLead) }

// DefaultKeys returns the key map the dashboard comes with.
func DefaultKeys() *KeyMap {
	screen := func(a Action, name string) Binding {
		return Binding{a, []string{strings.TrimPrefix(string(a), "screen-")}, name, groupScreen, false}
	}
	k, err := newKeyMap([]Binding{
		{Up, []string{"up", "k"}, "one up", groupMove, false},
		{Down, []string{"down", "j"}, "one down", groupMove, false},
		{PageUp, []string{"pgup", "ctrl+b"}, "one page up", groupMove, false},
		{PageDown, []string{"pgdown", "ctrl+f"}, "one page down", groupMove, false},
		{Home, []string{"home", "g"}, "to the first", groupMove, false},
		{End, []string{"end", "G"}, "to the last", groupMove, false},
		{Left, []string{"left", "h"}, "columns to the left; close a branch", groupMove, false},
		{Right, []string{"right", "l"}, "columns to the right; open a branch", groupMove, false},
		{Open, []string{"enter"}, "open what is selected", groupMove, false},
		{Back, []string{"esc", "backspace"}, "back to where this was opened", groupMove, false},
		{Previous, []string{"["}, "back in history", groupMove, false},
		{Next, []string{"]"}, "forward in history", groupMove, false},
		{LastView, []string{"-"}, "the screen before this", groupMove, false},

		screen(Screen1, "overview"), screen(Screen2, "members"), screen(Screen3, "services"),
		screen(Screen4, "nodes"), screen(Screen5, "keys"), screen(Screen6, "events"),
		screen(Screen7, "raft"), screen(Screen8, "DNS"), screen(Screen9, "contexts"),

		{Find, []string{"/"}, "filter (!word not, ~word fuzzy, column:word)", groupSee, false},
		{Problems, []string{"!"}, "problems only", groupSee, false},
		{Sort, []string{"s"}, "sort by the next column", groupSee, false},
		{Reverse, []string{"S"}, "turn the order round", groupSee, false},
		{Wide, []string{"w"}, "more columns, or less", groupSee, false},
		{Describe, []string{"d"}, "all about what is selected", groupSee, false},
		{ShowYAML, []string{"y"}, "as YAML", groupSee, false},
		{ShowJSON, []string{"J"}, "as JSON", groupSee, false},
		{Pause, []string{"p"}, "hold the screen still, or go on", groupSee, false},
		{Follow, []string{"f"}, "follow the newest line", groupSee, false},
		{LogLevel, []string{"L"}, "another level of the log", groupSee, false},

		{Older, []string{"<"}, "as it was before the last change", groupPast, false},
		{Newer, []string{">"}, "as it was after the next change", groupPast, false},
		{Rewind, []string{"b"}, "as it was at the selected event, or at a time", groupPast, false},
		{Present, []string{"0"}, "return to now", groupPast, false},

		{CopyValue, []string{"c"}, "copy the value", groupAct, false},
		{CopyCtl, []string{"C"}, "copy the ctl command that does or shows this", groupAct, false},
		{Save, []string{"ctrl+s"}, "save this view (.csv, .json, .yaml, .txt)", groupAct, false},
		{Mark, []string{"space"}, "mark, to act on several", groupAct, false},
		{Edit, []string{"e"}, "edit in $EDITOR", groupAct, true},
		{New, []string{"n"}, "new key", groupAct, true},
		{Rename, []string{"r"}, "rename a key, or all below a prefix", groupAct, true},
		{CopyTo, []string{"t"}, "copy a key, or all below a prefix, to another name", groupAct, true},
		{Export, []string{"x"}, "export a key, or all below a prefix, to a file", groupAct, false},
		{Import, []string{"I"}, "import keys from a file", groupAct, true},
		{Maintain, []string{"M"}, "maintenance on or off", groupAct, true},
		{Delete, []string{"ctrl+d"}, "delete, deregister or remove", groupAct, true},
		{Transfer, []string{"T"}, "transfer leadership", groupAct, true},
		{Join, []string{"i"}, "join an agent to the cluster", groupAct, true},

		{Prompt, []string{":"}, "command, with completion and history", groupApp, false},
		{Switch, []string{"D"}, "switch datacenter or context", groupApp, false},
		{Retry, []string{"ctrl+r"}, "ask again now", groupApp, false},
		{Mouse, []string{"m"}, "mouse off, to select text, or on", groupApp, false},
		{Redraw, []string{"ctrl+l"}, "draw the screen anew", groupApp, false},
		{Suspend, []string{"ctrl+z"}, "suspend; fg comes back", groupApp, false},
		{Help, []string{"?", "f1"}, "these keys", groupApp, false},
		{Quit, []string{"q", "ctrl+c"}, "quit", groupApp, false},
	})
	if err != nil {
		panic("ui: " + err.Error()) // a mistake in the table above
	}
	return k
}

func newKeyMap(bindings []Binding) (*KeyMap, error) {
	k := &KeyMap{bindings: bindings, byKey: map[string]Action{}}
	for _, b := range bindings {
		for _, key := range b.Keys {
			if other, taken := k.byKey[key]; taken {
				if b.Group == groupOwn && k.Binding(other).Group == groupOwn {
					continue // of other objects; see WithCommands
				}
				return nil, fmt.Errorf("key %q is bound to %s and to %s", key, other, b.Action)
			}
			k.byKey[key] = b.Action
		}
	}
	return k, nil
}

// Rebind returns a key map in which the actions named have the keys given
// instead of their own. It fails for an action that does not exist and for a
// key that would then mean two things.
func (k *KeyMap) Rebind(keys map[Action][]string) (*KeyMap, error) {
	bindings := slices.Clone(k.bindings)
	for a, ks := range keys {
		i := slices.IndexFunc(bindings, func(b Binding) bool { return b.Action == a })
		if i < 0 {
			return nil, fmt.Errorf("no action is called %q; --print-keys lists them", a)
		}
		bindings[i].Keys = ks
	}
	return newKeyMap(bindings)
}

// WithCommands returns a key map with commands of the operator's own besides. Help
// and Mutates of each are the operator's, too. Commands may share a key, which
// then asks for the first of them; a key that means something already is refused.
func (k *KeyMap) WithCommands(commands []Binding) (*KeyMap, error) {
	bindings := slices.Clone(k.bindings)
	for _, b := range commands {
		b.Group = groupOwn
		bindings = append(bindings, b)
	}
	return newKeyMap(bindings)
}

// Action returns what a key asks for.
func (k *KeyMap) Action(key string) Action { return k.byKey[key] }

// Key returns the first key of an action, as it is shown; empty if it has none.
func (k *KeyMap) Key(a Action) string {
	for _, b := range k.bindings {
		if b.Action == a && len(b.Keys) > 0 {
			return b.Keys[0]
		}
	}
	return ""
}

// Binding returns the binding of an action.
func (k *KeyMap) Binding(a Action) Binding {
	for _, b := range k.bindings {
		if b.Action == a {
			return b
		}
	}
	return Binding{}
}

// Bindings returns all bindings in the order of the help. The caller must not
// change them.
func (k *KeyMap) Bindings() []Binding { return k.bindings }
