package page

import (
	"strconv"
	"strings"

	"github.com/ctl-sh/ctl/internal/tui/source"
	"github.com/ctl-sh/ctl/internal/tui/ui"
)

// content is what a pane is about, for what it says where it has nothing to
// show.
type content struct {
	what  string // "services", in the plural
	empty string // what none means and what to do, a sentence
	// permission is the rule that is asked for, where the agent names none.
	permission string
}

// note is a line about a pane instead of its rows.
type note struct {
	level ui.Level
	text  string
}

// hole says why a pane has no rows: it is being loaded, it failed, there are
// none, or the filter hides them all. It is empty where there are rows.
func hole(env *Env, st source.Status, c content, g ui.Grid, problems bool) []note {
	if g.Len() > 0 {
		return nil
	}
	switch then := env.State.AsOf; {
	case !then.IsZero() && g.Total() == 0 && (st.Phase == source.Loading || st.Phase == source.Idle && st.At.IsZero()):
		return []note{{ui.Unknown, "Nobody had looked at the " + c.what + " by " + clock(then) + "."}, {ui.Faint, "What is not in sight is not watched. " + env.Keys.Key(ui.Present) + " returns to now."}}
	case !then.IsZero() && g.Total() == 0 && st.Phase == source.Idle:
		return []note{{ui.Info, "There were no " + c.what + " when they were last in sight, at " + clock(st.At) + "."}}
	case g.Total() > 0:
		out := []note{{ui.Info, "No " + c.what + " match: " + strconv.Itoa(g.Total()) + " are hidden."}}
		if f := g.Filter(); f != "" {
			out = append(out, note{ui.Faint, "The filter is “" + f + "”; " + env.Keys.Key(ui.Back) + " clears it."})
		}
		if problems {
			out = append(out, note{ui.Faint, "Only problems are shown; " + env.Keys.Key(ui.Problems) + " shows all."})
		}
		return out
	case st.Phase == source.Failed && st.Problem != nil:
		return problem(env, st.Problem, c)
	case st.Phase == source.Unsupported:
		return lacking(c)
	case st.Phase == source.Ready:
		return []note{{ui.Info, "There are no " + c.what + "."}, {ui.Faint, c.empty}}
	}
	return loading(env, c)
}

// lacking says that an agent does not have what a pane is about.
func lacking(c content) []note {
	return []note{{ui.Unknown, "No " + c.what + ": not supported by this agent."}}
}

func loading(env *Env, c content) []note {
	conn := &env.State.Connection
	if conn.Link == source.Connected {
		return []note{{ui.Info, "Loading " + c.what + "…"}}
	}
	out := []note{{ui.Info, "Waiting for the agent at " + conn.Address + " to list " + c.what + "…"}}
	if conn.Problem != nil {
		out = append(out, note{ui.Warning, conn.Problem.Text})
		if conn.Problem.Hint != "" {
			out = append(out, note{ui.Faint, conn.Problem.Hint})
		}
	}
	return out
}

// problem explains an error: what failed, why, and what to do.
func problem(env *Env, p *source.Problem, c content) []note {
	var out []note
	switch p.Kind {
	case source.Denied:
		rule := p.Rule
		if rule == "" {
			rule = c.permission
		}
		out = append(out, note{ui.Critical, "Permission denied to list " + c.what + "."})
		if rule != "" {
			out = append(out, note{ui.None, "Missing is " + rule + "."})
		}
		if p.Token != "" {
			out = append(out, note{ui.None, "The token came from " + p.Token + "."})
		} else {
			out = append(out, note{ui.None, "No token was sent: set CTL_HTTP_TOKEN, or --token-file."})
		}
	case source.NoLeader:
		out = append(out, note{ui.Critical, "There is no leader, so nobody can confirm which " + c.what + " there are."})
	default:
		out = append(out, note{ui.Critical, "Cannot list " + c.what + "."})
	}
	if p.Text != "" {
		out = append(out, note{ui.Faint, strings.TrimSpace(p.Text)})
	}
	if p.Hint != "" {
		out = append(out, note{ui.None, p.Hint})
	}
	return append(out, note{ui.Faint, env.Keys.Key(ui.Retry) + " asks again."})
}

// old says that rows are shown which could not be read anew, or may be out of
// date. It is empty where the rows are what there is.
func old(env *Env, st source.Status) []note {
	switch {
	case !env.State.AsOf.IsZero() && st.Phase == source.Idle:
		return []note{{ui.Warning, "as of " + clock(st.At) + ": nobody looked at this any more by " + clock(env.State.AsOf)}}
	case env.State.Connection.Link == source.Lost:
		return nil // the model says so across the screen
	case st.Phase == source.Failed && st.Problem != nil:
		text := "as of " + since(env.Now, st.At) + " ago: " + st.Problem.Text
		if st.Problem.Kind == source.Denied && st.Problem.Rule != "" {
			text += " (" + st.Problem.Rule + ")"
		}
		return []note{{ui.Critical, text}}
	case st.Phase == source.Unsupported:
		return []note{{ui.Unknown, "More is not supported by this agent."}}
	case st.Stale:
		return []note{{ui.Warning, "stale: no leader confirmed this, as of " + since(env.Now, st.At) + " ago"}}
	}
	return nil
}

// draw turns notes into lines of at most width cells.
func draw(th *ui.Theme, notes []note, width int) []string {
	var lines []string
	for i, n := range notes {
		sign := "  "
		if i == 0 {
			sign = th.Glyph(n.level) + " "
		}
		for k, l := range ui.Wrap(n.text, max(1, width-4)) {
			if k > 0 {
				sign = "  "
			}
			lines = append(lines, th.Level(n.level).Render(ui.Cut("  "+sign+l, width, "")))
		}
	}
	return lines
}

// words joins notes into one line, for plain text.
func words(notes []note) string {
	parts := make([]string, len(notes))
	for i, n := range notes {
		parts[i] = n.text
	}
	return strings.Join(parts, " ")
}
