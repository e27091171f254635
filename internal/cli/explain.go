package cli

import (
	"fmt"
	"maps"
	"strings"
	"unicode/utf8"
)

// Explained is a setting with its value and where that came from.
type Explained struct {
	Setting string
	Value   string // a secret is not shown
	Source  string // empty where nothing gives a value
	Note    string `json:",omitempty"`
}

// Explain says where every setting of the command comes from. It connects to
// nothing and runs no token command.
func (c *Conn) Explain() ([]Explained, error) {
	context, err := c.f.chooseContext(c.flags)
	if err != nil {
		return nil, err
	}
	_, path, err := c.f.Contexts()
	if err != nil {
		return nil, err
	}
	c.values = readSettings(c.flags, c.f.LookupEnv, context)
	context = c.values.context
	rows := []Explained{{Setting: "contexts-file", Value: path, Source: "default"}, {Setting: contextFlag}}
	if path == "" {
		rows[0].Source, rows[0].Note = "", "neither HOME nor XDG_CONFIG_HOME is set"
	}
	if context.Context != nil {
		rows[1] = Explained{Setting: contextFlag, Value: context.name, Source: context.from(), Note: marks(context)}
	}
	for _, s := range Settings() {
		if s.Hidden && c.values.origin(s.Name) == fromDefault {
			continue
		}
		rows = append(rows, c.explain(s))
	}
	for _, other := range []struct{ name, env string }{{exitCodesFlag, exitCodesEnv}, {"no-prompt", noPromptEnv}, {"color", "NO_COLOR"}} {
		if value, ok := c.f.LookupEnv(other.env); ok && value != "" {
			rows = append(rows, Explained{Setting: other.name, Value: value, Source: other.env})
		}
	}
	return rows, nil
}

func marks(c chosen) string {
	var notes []string
	if c.aside != "" {
		notes = append(notes, "left aside: "+c.aside)
	}
	if c.ReadOnly {
		notes = append(notes, "read-only")
	}
	if c.Protected {
		notes = append(notes, "protected")
	}
	return strings.Join(notes, ", ")
}

func (c *Conn) explain(s Setting) Explained {
	e := Explained{Setting: s.Name, Value: c.values.text(s.Name), Source: c.values.source(s.Name)}
	switch {
	case e.Value == "" && c.values.origin(s.Name) == fromDefault:
		e.Source = ""
	case s.Secret && e.Value != "":
		e.Value = fmt.Sprintf("(secret, %d characters)", utf8.RuneCountInString(e.Value))
	case s.Name == "http-addr":
		e.Value = strings.Join(c.addresses(), ", ")
	}
	if strings.HasPrefix(s.Name, "token") && e.Source != "" && s.Name != c.tokenSetting() {
		e.Note = "not used: --" + c.tokenSetting() + " from " + c.values.source(c.tokenSetting()) + " wins"
	}
	return e
}

// Environment returns what variables say about reaching an agent, by setting:
// CTL_* and, where those are silent, CONSUL_*.
func (f *Factory) Environment() map[string]string {
	all := environment(consulPrefix, f.LookupEnv)
	maps.Copy(all, environment(ctlPrefix, f.LookupEnv))
	return all
}
