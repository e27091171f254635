package tui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ctl-sh/ctl/internal/tui/page"
	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// Streams are what the line-by-line dashboard reads and writes.
type Streams struct {
	In  io.Reader
	Out io.Writer
}

// rowsAtOnce is how many rows are listed before the reader is asked to go on.
const rowsAtOnce = 20

// reader is the dashboard for those who read line by line: with a screen reader,
// on a terminal that cannot place the cursor, or in a script. Lines are only ever
// added; rows have numbers, and every answer is a line.
type reader struct {
	m    *Model
	in   *bufio.Scanner
	out  io.Writer
	from int    // first row listed
	seen uint64 // last event told
}

// Lines runs the dashboard line by line until the input ends, the operator quits
// or ctx ends.
func Lines(ctx context.Context, c Config, s Streams) error {
	c.Looks.Dumb = true
	m, err := settle(ctx, c)
	if err != nil {
		return err
	}
	r := &reader{m: m, in: bufio.NewScanner(s.In), out: s.Out}
	defer r.m.end()
	defer r.m.commands.end()
	if n := len(m.state.Recent.Events); n > 0 {
		r.seen = m.state.Recent.Events[n-1].Seq
	}
	r.list()
	for ctx.Err() == nil {
		r.say("Number opens a row. back, next, find TEXT, go SCREEN, do ACTION [NUMBER], again, help, quit.")
		fmt.Fprint(r.out, "> ")
		if !r.in.Scan() {
			fmt.Fprintln(r.out)
			return r.in.Err()
		}
		r.m.take()
		r.news()
		if quit := r.command(ctx, strings.TrimSpace(r.in.Text())); quit {
			return nil
		}
	}
	return nil
}

func (r *reader) say(text string) { fmt.Fprintln(r.out, text) }

// news tells what has changed since the last line.
func (r *reader) news() {
	told := 0
	for _, e := range r.m.state.Recent.Events {
		if e.Seq <= r.seen {
			continue
		}
		r.seen = e.Seq
		if told++; told <= 10 {
			r.say("Changed at " + e.At.Format("15:04:05") + ": " + ui.Clean(e.Kind.String()+" "+e.Object+" "+e.Text))
		}
	}
	if told > 10 {
		r.say("And " + strconv.Itoa(told-10) + " more changes: go events")
	}
}

// list writes the page: where we are, facts, and numbered rows.
func (r *reader) list() {
	r.m.at.page.Update(r.m.env())
	_, word := r.m.link()
	var titles []string
	for v := r.m.at; v != nil; v = v.from {
		titles = append([]string{v.page.Title()}, titles...)
	}
	r.say(strings.Join(titles, ", ") + ". " + r.m.cluster() + ", " + word + ".")
	if r.m.then != nil {
		now := r.m.c.Now()
		r.say("As of " + r.m.then.AsOf.Format("15:04:05") + ", " + page.Age(now.Sub(r.m.then.AsOf)) + " ago.")
	}
	if why := r.m.readOnly(); why != "" {
		r.say("Nothing can be changed: " + why + ".")
	}
	s := r.m.at.page.Sheet(r.m.env())
	for _, f := range s.Facts {
		r.say(f)
	}
	if s.Note != "" {
		r.say(s.Note)
		return
	}
	g, _, _ := r.m.at.page.Grid()
	if f := g.Filter(); f != "" {
		r.say("Found with " + f + ": " + strconv.Itoa(len(s.Rows)))
	}
	end := min(r.from+rowsAtOnce, len(s.Rows))
	for i := r.from; i < end; i++ {
		r.say(strconv.Itoa(i+1) + ") " + rowText(s.Titles, s.Rows[i]))
	}
	if end < len(s.Rows) {
		r.say("Rows " + strconv.Itoa(r.from+1) + " to " + strconv.Itoa(end) + " of " + strconv.Itoa(len(s.Rows)) + "; next goes on.")
	}
}

// rowText is a row as one line: the first column, then titles with values.
func rowText(titles, row []string) string {
	var parts []string
	for i, c := range row {
		c = strings.TrimSpace(ui.Clean(c))
		switch {
		case c == "" || c == "-":
		case i == 0:
			parts = append(parts, c)
		default:
			parts = append(parts, strings.ToLower(titles[i])+" "+c)
		}
	}
	return strings.Join(parts, ", ")
}

// command does what a line asks for and reports whether to quit.
func (r *reader) command(ctx context.Context, line string) (quit bool) {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	if n, err := strconv.Atoi(word); err == nil {
		if r.choose(n) {
			r.carry(ctx, r.m.at.page.Do(r.m.env(), ui.Open))
			r.list()
		}
		return false
	}
	switch word {
	case "q", "quit", "exit":
		return true
	case "":
	case "b", "back":
		r.from = 0
		r.m.back()
		r.list()
	case "n", "next":
		if r.from += rowsAtOnce; r.from >= len(r.m.at.page.Sheet(r.m.env()).Rows) {
			r.from = 0
			r.say("From the beginning.")
		}
		r.list()
	case "f", "find":
		g, _, _ := r.m.at.page.Grid()
		g.SetFilter(rest)
		r.from = 0
		r.list()
	case "r", "again":
		r.settle(ctx)
		r.list()
	case "g", "go":
		p, err := page.Open(rest)
		if err != nil {
			r.say(err.Error())
			return false
		}
		r.open(ctx, p)
	case "do":
		r.act(ctx, rest)
	case "at":
		r.travel(func() { r.m.rewindTo(rest) })
	case "h", "help", "?":
		for _, b := range r.m.c.Keys.Bindings() {
			r.say("do " + string(b.Action) + ": " + b.Help)
		}
		r.say("at TIME: as it was at a time of day such as 14:03, or so long ago, such as 5m")
	default:
		r.say("Not understood: " + ui.Clean(word) + ".")
	}
	return false
}

func (r *reader) open(ctx context.Context, p page.Page) {
	r.from = 0
	r.m.visit(&visit{page: p, from: r.m.at})
	if b, ok := p.(page.Beginner); ok {
		r.carry(ctx, b.Begin(r.m.env()))
	}
	r.settle(ctx)
	r.list()
}

// choose selects row n as listed and says which it is.
func (r *reader) choose(n int) bool {
	s := r.m.at.page.Sheet(r.m.env())
	if n < 1 || n > len(s.Rows) || s.Select == nil {
		r.say("There is no row " + strconv.Itoa(n) + ".")
		return false
	}
	s.Select(n - 1)
	r.say("Selected: " + rowText(s.Titles, s.Rows[n-1]))
	return true
}

// act does an action by its name, on a row if a number follows.
func (r *reader) act(ctx context.Context, text string) {
	name, number, _ := strings.Cut(text, " ")
	b := r.m.c.Keys.Binding(ui.Action(name))
	if b.Action == ui.NoAction {
		r.say("No action is called " + ui.Clean(name) + "; help lists them.")
		return
	}
	if b.Mutates {
		if why := r.m.readOnly(); why != "" {
			r.say("Nothing can be changed: " + why + ".")
			return
		}
	}
	if number != "" {
		n, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil || !r.choose(n) {
			return
		}
	}
	switch b.Action {
	case ui.Older, ui.Newer, ui.Present:
		r.travel(func() { r.m.travelInTime(b.Action) })
		return
	case ui.Rewind:
		r.say("at TIME goes to a time of day such as 14:03, or back so long, such as 5m.")
		return
	default: // the page knows, below
	}
	if name, ok := b.Action.Command(); ok {
		r.run(ctx, name)
		return
	}
	before := r.m.at
	r.carry(ctx, r.m.at.page.Do(r.m.env(), b.Action))
	if r.m.at != before {
		r.list()
	}
}

// run runs a command of the operator's and says what it printed.
func (r *reader) run(ctx context.Context, name string) {
	p, err := r.m.prepare(name)
	if err != nil {
		r.say(err.Error())
		return
	}
	require := ""
	if p.Writes {
		require = r.m.c.Session.Require
	}
	if (p.Confirm || require != "") && !r.ask(p.question(r.m.cluster(), require)).OK {
		r.say("Nothing was done.")
		return
	}
	r.say("Running: " + p.line())
	msg := ranMsg{prepared: p}
	began := r.m.c.Now()
	msg.output, msg.err = p.run(ctx)
	msg.took = r.m.c.Now().Sub(began)
	for _, l := range ui.Lines(msg.output) {
		r.say(ui.Clean(l))
	}
	r.say(p.Name + ": " + msg.ended())
}

// travel goes to another moment and says what is shown then.
func (r *reader) travel(to func()) {
	r.m.notice, r.from = "", 0
	if to(); r.m.notice != "" {
		r.say(r.m.notice)
	}
	r.list()
}

// settle waits until the page has all it asked for.
func (r *reader) settle(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, OncePatience)
	defer stop()
	r.m.sight()
	r.m.surveyOnce(ctx)
	for {
		r.m.take()
		if r.m.at.page.Ready(r.m.state) || r.m.state.Connection.Link == source.Lost {
			r.m.at.page.Update(r.m.env())
			return
		}
		select {
		case <-r.m.c.Session.Feed.Changed():
		case <-ctx.Done():
			return
		}
	}
}

// carry carries out what a page wants done, asking line by line.
func (r *reader) carry(ctx context.Context, e page.Effect) {
	if e.Back {
		r.m.back()
	}
	if e.Say != "" {
		r.say(e.Say)
	}
	if e.Go != nil {
		r.from = 0
		r.m.visit(&visit{page: e.Go, from: r.m.at})
		r.settle(ctx)
	}
	if e.Ask != nil {
		if e.Then != nil {
			r.carry(ctx, e.Then(r.ask(e.Ask)))
		}
		return
	}
	for _, a := range e.Act {
		o, err := r.m.c.Session.Feed.Do(ctx, a)
		switch {
		case e.Done != nil:
			r.carry(ctx, e.Done(o, err))
		case err != nil:
			r.say("Could not " + a.Describe() + ": " + err.Error())
			return
		default:
			r.say("Done: " + o.Text + ". The same by command: " + a.Command())
		}
	}
	if e.Probe != nil {
		a, err := r.m.c.Session.Feed.Probe(ctx, *e.Probe)
		r.carry(ctx, e.Reply(a, err))
	}
	if e.Fetch != nil {
		read, err := readRanges(ctx, r.m.c.Session.Feed, e.Fetch.Ranges)
		r.carry(ctx, e.Fetch.Then(read, err))
	}
	if e.File != nil {
		text, err := onDisk(*e.File)
		r.carry(ctx, e.File.Then(text, err))
	}
	if e.Copy != "" {
		r.say("The " + e.What + ": " + ui.Clean(e.Copy))
	}
	if e.Edit != nil {
		r.edit(ctx, e.Edit)
	}
	if e.Switch != nil {
		r.say("Start again with --context or --datacenter to look elsewhere.")
	}
}

// ask reads the answer to a dialog.
func (r *reader) ask(d ui.Dialog) ui.Answer {
	for _, l := range d.Plain() {
		r.say(l)
	}
	switch d := d.(type) {
	case *ui.Confirm:
		want := d.Require
		if want == "" {
			want = "yes"
		}
		fmt.Fprint(r.out, "Type "+want+" to go on, anything else is no: ")
		return ui.Answer{OK: r.line() == want}
	case *ui.Choose:
		fmt.Fprint(r.out, "Number: ")
		n, err := strconv.Atoi(r.line())
		return ui.Answer{OK: err == nil && n >= 1 && n <= len(d.Options), Choice: n - 1}
	case *ui.Ask:
		for {
			fmt.Fprint(r.out, "Text, or a single dot to leave: ")
			text := r.line()
			if text == "." {
				return ui.Answer{}
			}
			if d.Check != nil {
				if wrong := d.Check(text); wrong != "" {
					r.say(wrong)
					if text == "" {
						return ui.Answer{}
					}
					continue
				}
			}
			return ui.Answer{OK: true, Text: text}
		}
	}
	return ui.Answer{}
}

func (r *reader) line() string {
	if !r.in.Scan() {
		return ""
	}
	return strings.TrimSpace(r.in.Text())
}

// edit reads a new value, ended by a line with a single dot.
func (r *reader) edit(ctx context.Context, e *page.Edit) {
	r.say("The value of " + ui.Clean(e.Name) + " is now:")
	for _, l := range ui.Lines(string(e.Text)) {
		r.say("  " + l)
	}
	r.say("Write the new one, then a line with a single dot; a dot alone keeps it.")
	var lines []string
	for r.in.Scan() && r.in.Text() != "." {
		lines = append(lines, r.in.Text())
	}
	if err := r.in.Err(); err != nil && !errors.Is(err, io.EOF) {
		r.say("The text cannot be read: " + err.Error())
		return
	}
	if len(lines) == 0 {
		r.say("Not changed.")
		return
	}
	r.carry(ctx, e.Saved([]byte(strings.Join(lines, "\n"))))
}
