package cli

// environ returns the variables, as NAME=value, by which another ctl, or a client
// of Consul, reaches the agent as c does; with "" those of the operator's that
// would say something else are taken back. A context is handed on by its name, so
// that its marks and other addresses hold there, too.
func (c *Conn) environ(token string) []string {
	name := ""
	switch c.values.origin("http-addr") {
	case fromFlag, fromCtlEnv:
		// The variable would put a context aside, with all that it says.
	default:
		if c.context() != nil {
			name = c.values.context.name
		}
	}
	out := []string{contextEnv + "=" + name}
	for _, s := range Settings() {
		if s.Env == "" {
			continue
		}
		value, from := c.values.text(s.Name), c.values.origin(s.Name)
		switch s.Name {
		case "token":
			value = token
		case "token-file", "token-command":
			value = "" // it is the token by now
		}
		own := value
		if name != "" && (from.ofContext() || from == fromDefault) {
			own = "" // the context says it
		}
		if s.Name == "token" && name != "" && c.values.origin(c.tokenSetting()).ofContext() {
			own = ""
		}
		out = append(out, ctlPrefix+s.Env+"="+own)
		if !s.OwnOnly {
			out = append(out, consulPrefix+s.Env+"="+value)
		}
	}
	return out
}
