// Package page holds the screens of the dashboard, one page each: the overview,
// members, services with their instances and checks, nodes, keys, events, raft,
// DNS and contexts.
//
// A page turns a source.State into lines, and keys into effects that the model
// above carries out. It is not for talking to the cluster: pages do no input or
// output, start nothing and know no terminal. Rules that keep it right: a page
// shows whole states and never remembers data of an older one, but for what the
// operator chose; loading, empty, hidden by a filter and failed are four
// different things to see; what cannot be undone is asked for with the object,
// the cluster and what hangs on it by name; whatever is shown or done has a ctl
// command that shows or does the same.
package page

import (
	"time"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// Env is what a page draws and decides with. It is made anew for every call and
// not kept.
type Env struct {
	State *source.State
	Theme *ui.Theme
	Keys  *ui.KeyMap
	// Now is what ages are counted to: in the past, the moment that is shown.
	Now time.Time
	// AsOf is the moment that the dashboard was taken back to; zero for now.
	// Pages that show the present all the same have State as it is now.
	AsOf time.Time
	// Cluster names context and datacenter, as dialogs show it.
	Cluster string
	// Require is what must be typed before a destructive act; empty where a
	// yes is enough.
	Require string
	// ReadOnly says why nothing may be changed; empty where it may.
	ReadOnly string
	// Contexts are what the operator can switch to.
	Contexts []Context
}

// Context is a cluster the operator has settings for.
type Context struct {
	Name      string
	Addresses []string
	ReadOnly  bool
	Protected bool
	Current   bool
	From      string // where the settings stand: a file, or the environment
	// Survey is what was seen of it last, nil for not yet.
	Survey *source.Survey
}

// Page is a screen. All methods are called by one goroutine.
type Page interface {
	// Path is the page's address, as after `ctl dash` and as Open takes it.
	Path() string
	// Title is the page's part of the breadcrumbs.
	Title() string
	// Interest is what the page must have watched while it is shown.
	Interest() source.Interest
	// Versions are those of the sections the page shows: while they are the
	// same, and nobody touches a key, the page looks the same.
	Versions(*source.State) [4]uint64
	// Update takes over a new state.
	Update(*Env)
	// Do does what an action means here. The zero Effect is none.
	Do(*Env, ui.Action) Effect
	// View draws at most height lines of at most width cells.
	View(env *Env, width, height int) []string
	// Grid is the widget that takes movements, the filter and the mouse, and
	// where it was last drawn in the View.
	Grid() (g ui.Grid, x, y int)
	// Hints are the keys worth showing, the most useful first.
	Hints(*Env) []ui.Hint
	// Sheet is all the page shows, as text without a layout.
	Sheet(*Env) Sheet
	// Data is what the page shows, for JSON and YAML.
	Data(*Env) any
	// Ready reports whether everything that the page shows has been answered,
	// if only by an error.
	Ready(*source.State) bool
	// Command is the ctl command that shows the same.
	Command() string
}

// ShowsNow is a page that has no past, or shows all of it: it has the state of now
// while the dashboard is taken back.
type ShowsNow interface{ ShowsNow() }

// Moment is a page on which a moment of the past can be chosen.
type Moment interface {
	// Moment returns the one that is selected.
	Moment() (at time.Time, ok bool)
}

// Sheet is a page as plain text: facts, then rows in columns.
type Sheet struct {
	Facts  []string
	Titles []string
	Rows   [][]string
	// Note stands instead of rows: why there are none.
	Note string
	// Select makes row i the selected one.
	Select func(i int)
}

// Effect is what a page wants done. The zero Effect is nothing.
type Effect struct {
	// Go opens a page, Back returns to where this one was opened.
	Go   Page
	Back bool
	// Ask shows a dialog; Then gets the answer and says what follows.
	Ask  ui.Dialog
	Then func(ui.Answer) Effect
	// Act does these one after the other. Done says what follows; without
	// it the outcome is shown.
	Act  []source.Action
	Done func(source.Outcome, error) Effect
	// Probe asks DNS.
	Probe *source.Question
	Reply func(source.Answer, error) Effect
	// Copy puts a text on the clipboard; What names it.
	Copy, What string
	// Say shows a line until the next key.
	Say   string
	Level ui.Level
	// Fetch reads keys, and File reads or writes a file, outside the loop.
	Fetch *Fetch
	File  *File
	// Edit opens a value in the operator's editor.
	Edit *Edit
	// Switch goes on with another context or datacenter.
	Switch *Switch
	// Run goes on with something of the model's own.
	Run func()
	// Unselect takes all marks away, once an act on them is done.
	Unselect func()
}

// Fetch is keys to be read before it is known what follows.
type Fetch struct {
	What   string // what is read, for show
	Ranges []source.Range
	// Then gets the keys of each range, or the first error.
	Then func(read [][]source.Key, err error) Effect
}

// File is a file to be read, or, where Text is not nil, a new one to be written
// for nobody but the operator to read. Then gets the text, or what is wrong.
type File struct {
	Name string
	Text []byte
	Then func(text []byte, err error) Effect
}

// Edit is a value to be edited.
type Edit struct {
	Name  string // of the value, for the file's name
	Text  []byte
	Saved func(text []byte) Effect // what follows when the text was changed
}

// Switch is what to go on with; an empty part stays as it is. Path is the page to
// go to there, empty for the screen that is shown now.
type Switch struct{ Context, Datacenter, Path string }

// say returns an effect that only shows a line.
func say(l ui.Level, text string) Effect { return Effect{Say: text, Level: l} }

// refused is the answer to an act where nothing may be changed.
func refused(why string) Effect { return say(ui.Warning, "Nothing can be changed here: "+why+".") }

// noSelection is the answer to an act without an object.
func noSelection(g ui.Grid) Effect {
	if gone := g.Gone(); gone != "" {
		return say(ui.Warning, ui.Clean(gone)+" is gone; nothing was done. Choose again.")
	}
	return say(ui.Info, "Nothing is selected.")
}
