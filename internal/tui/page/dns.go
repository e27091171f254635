package page

import (
	"cmp"
	"strings"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// record is a record of an answer, with the section it stood in.
type record struct {
	source.Record
	id      string
	section string
}

// dns asks the agent a name and shows the whole answer.
type dns struct {
	list[record]
	question source.Question
	answer   *source.Answer
	err      error
	waiting  bool
	asked    []string
}

func newDNS(name string) *dns {
	p := &dns{question: question(name)}
	p.about = content{what: "records"}
	p.table = ui.NewTable(func(r *record) string { return r.id },
		ui.Column[record]{Title: "Name", Max: 60, Cell: func(r *record) ui.Cell { return ui.Cell{Text: r.Name} }},
		ui.Column[record]{Title: "Type", Cell: func(r *record) ui.Cell { return ui.Cell{Text: r.Type} }},
		ui.Column[record]{Title: "Data", Elastic: true, Max: 80, Cell: func(r *record) ui.Cell { return ui.Cell{Text: r.Data} }},
		ui.Column[record]{Title: "TTL", Drop: 1, Right: true, Cell: func(r *record) ui.Cell { return ui.Cell{Text: Age(r.TTL)} }},
		ui.Column[record]{Title: "Instance", Drop: 2, Cell: func(r *record) ui.Cell { return ui.Cell{Text: r.Instance} }},
		ui.Column[record]{Title: "Section", Drop: 3, Cell: func(r *record) ui.Cell { return ui.Cell{Text: r.section, Level: ui.Faint} }},
	)
	return p
}

// question understands "name", "name TYPE" and "name TYPE @server", as dig does.
func question(text string) source.Question {
	var q source.Question
	for w := range strings.FieldsSeq(text) {
		switch {
		case strings.HasPrefix(w, "@"):
			q.Server = w[1:]
		case q.Name == "":
			q.Name = w
		default:
			q.Type = strings.ToUpper(w)
		}
	}
	return q
}

// Begin returns what a page wants done when it is opened.
func (p *dns) Begin(env *Env) Effect {
	if p.question.Name == "" {
		return p.ask(env)
	}
	return p.probe()
}

// Beginner is a page that wants something done when it is opened.
type Beginner interface{ Begin(*Env) Effect }

func (p *dns) probe() Effect {
	p.waiting, p.answer, p.err = true, nil, nil
	p.table.Set(nil)
	q := p.question
	return Effect{Probe: &q, Reply: func(a source.Answer, err error) Effect {
		p.waiting = false
		if p.err = err; err == nil {
			p.answer = &a
		}
		p.fill()
		return Effect{}
	}}
}

func (p *dns) fill() {
	if p.answer == nil {
		return
	}
	var rows []*record
	add := func(section string, all []source.Record) {
		for _, r := range all {
			rows = append(rows, &record{Record: r, section: section, id: section + itoa(len(rows))})
		}
	}
	add("answer", p.answer.Answers)
	add("authority", p.answer.Authority)
	add("extra", p.answer.Extra)
	p.table.Set(rows)
}

func (p *dns) ask(*Env) Effect {
	ask := &ui.Ask{Question: "Ask DNS", Hint: "A name, and perhaps a type and @server: web.service.consul SRV",
		Check: func(s string) string {
			if question(s).Name == "" {
				return "A name is needed; esc leaves."
			}
			return ""
		}}
	ask.Input.History = p.asked
	if p.question.Name != "" {
		ask.Input.Set(strings.TrimSpace(p.question.Name + " " + p.question.Type))
	}
	return Effect{Ask: ask, Then: func(a ui.Answer) Effect {
		if !a.OK {
			return Effect{}
		}
		p.asked = append(p.asked, a.Text)
		p.question = question(a.Text)
		return p.probe()
	}}
}

// ShowsNow implements ShowsNow.
func (*dns) ShowsNow() {}

func (p *dns) Path() string {
	if p.question.Name == "" {
		return "dns"
	}
	return "dns/" + p.question.Name
}
func (p *dns) Title() string                        { return "DNS" }
func (p *dns) Interest() source.Interest            { return source.Interest{} }
func (p *dns) Versions(*source.State) (v [4]uint64) { return v }
func (p *dns) Update(*Env)                          {}
func (p *dns) Ready(*source.State) bool             { return !p.waiting }
func (p *dns) Command() string {
	return strings.TrimSpace("dig @127.0.0.1 -p 8600 " + shell(cmp.Or(p.question.Name, "web.service.consul")) + " " + p.question.Type)
}

func (p *dns) Data(*Env) any {
	if p.answer == nil {
		return nil
	}
	return p.answer
}

func (p *dns) pairs() []string {
	if p.answer == nil {
		return nil
	}
	a := p.answer
	truncated := ""
	if a.Truncated {
		truncated = "yes"
	}
	return []string{"asked", strings.TrimSpace(a.Question.Name + " " + a.Question.Type), "of", a.Server, "answer", a.Code, "took", took(a.Took),
		"size", itoa(a.Size) + " B", "truncated", truncated}
}

// notes say what there is instead of records.
func (p *dns) notes(env *Env) []note {
	switch {
	case p.waiting:
		return []note{{ui.Info, "Asking for " + p.question.Name + "…"}}
	case p.err != nil:
		return []note{{ui.Critical, "No answer for " + p.question.Name + "."}, {ui.Faint, p.err.Error()},
			{ui.None, env.Keys.Key(ui.Retry) + " asks again, " + env.Keys.Key(ui.Edit) + " asks something else."}}
	case p.answer == nil:
		return []note{{ui.Info, "Nothing was asked."}, {ui.Faint, env.Keys.Key(ui.Edit) + " asks for a name, such as web.service.consul SRV."}}
	case p.table.Total() == 0:
		return []note{{ui.Info, "The answer is " + p.answer.Code + ", without records."},
			{ui.Faint, "A service is in DNS under its name only while an instance passes."}}
	}
	return nil
}

func (p *dns) View(env *Env, width, height int) []string {
	lines := trim(facts(env.Theme, width, p.pairs()...), height-2)
	if n := p.notes(env); n != nil {
		return trim(append(lines, draw(env.Theme, n, width)...), height)
	}
	if h := hole(env, source.Status{Phase: source.Ready}, p.about, p.table, false); h != nil {
		return trim(append(lines, draw(env.Theme, h, width)...), height)
	}
	p.y = len(lines)
	return append(lines, p.table.View(env.Theme, width, max(0, height-len(lines)))...)
}

func (p *dns) Sheet(env *Env) Sheet {
	titles, rows := p.table.Export()
	return Sheet{Facts: plainFacts(p.pairs()...), Titles: titles, Rows: rows, Note: words(p.notes(env)), Select: func(i int) { p.table.Pick(i) }}
}

func (p *dns) Hints(*Env) []ui.Hint {
	return []ui.Hint{{Action: ui.Edit, Word: "ask"}, {Action: ui.Retry, Word: "again"}, {Action: ui.Open, Word: "instance"}, {Action: ui.CopyValue, Word: "copy"}, {Action: ui.CopyCtl, Word: "command"}}
}

func (p *dns) Do(env *Env, a ui.Action) Effect {
	switch a {
	case ui.Edit:
		return p.ask(env)
	case ui.Retry:
		if p.question.Name != "" {
			return p.probe()
		}
		return p.ask(env)
	case ui.CopyCtl:
		return Effect{Copy: p.Command(), What: "command"}
	default: // the others are not for here
	}
	if e, ok := p.do(env, a); ok {
		return e
	}
	r, ok := p.table.Selected()
	if !ok {
		if a == ui.Open {
			return p.ask(env)
		}
		return noSelection(p.table)
	}
	switch a {
	case ui.Open:
		name, _, _ := strings.Cut(strings.TrimPrefix(p.question.Name, "_"), ".")
		if node, id, found := strings.Cut(r.Instance, "/"); found {
			return Effect{Go: newInstance(name, node, id)}
		}
		return say(ui.Info, "It is not known which instance this record is about.")
	case ui.CopyValue:
		return Effect{Copy: r.Data, What: "record"}
	default:
		return Effect{}
	}
}
