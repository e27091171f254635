package source

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// quote returns s as one word of a shell.
func quote(s string) string {
	plain := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("-_./:,@%+=", r))
	})
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Words is a command line of words, as it would be typed in a shell.
func Words(all []string) string {
	quoted := make([]string, len(all))
	for i, w := range all {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}

// words joins a command line, leaving empty words out.
func words(all ...string) string {
	var b strings.Builder
	for _, w := range all {
		if w == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w)
	}
	return b.String()
}

// flag returns -name=value, or nothing for an empty value.
func flag(name, value string) string {
	if value == "" {
		return ""
	}
	return "-" + name + "=" + quote(value)
}

func when(b bool, s string) string {
	if b {
		return s
	}
	return ""
}

// curl is the command line of what no command of ctl does.
func curl(method, path string, body any) string {
	data := ""
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			panic(fmt.Sprintf("encode %T: %v", body, err)) // our own maps of strings: cannot happen
		}
		data = "-d " + quote(string(text))
	}
	return words("curl -X", method, data, `"${CONSUL_HTTP_ADDR:-127.0.0.1:8500}`+path+`"`)
}

// inlineValue bounds the values that stand in a command line.
const inlineValue = 4096

// valueWords returns the words that give a value to kv put.
func valueWords(key string, value []byte) string {
	text := string(value)
	printable := utf8.Valid(value) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' })
	switch {
	case len(value) > inlineValue:
		return words(quote(key), "@FILE")
	case len(value) == 0:
		return quote(key)
	case !printable:
		return words("-base64", quote(key), base64.StdEncoding.EncodeToString(value))
	case strings.HasPrefix(text, "@") || text == "-":
		return words("-base64", quote(key), base64.StdEncoding.EncodeToString(value))
	default:
		return words(quote(key), quote(text))
	}
}

// condition returns the flags of a check-and-set.
func condition(unconditional bool, index uint64) string {
	if unconditional {
		return ""
	}
	return fmt.Sprintf("-cas -modify-index=%d", index)
}

// Command implements Action.
func (a MaintainNode) Command() string {
	return words("ctl maint", maintenance(a.Enable, a.Reason))
}

func maintenance(enable bool, reason string) string {
	if enable {
		return words("-enable", flag("reason", reason))
	}
	return "-disable"
}

// Describe implements Action.
func (a MaintainNode) Describe() string {
	if a.Enable {
		return "put node " + a.Node + " into maintenance"
	}
	return "take node " + a.Node + " out of maintenance"
}

// Command implements Action.
func (a MaintainService) Command() string {
	return words("ctl maint", maintenance(a.Enable, a.Reason), flag("service", a.ID))
}

// Describe implements Action.
func (a MaintainService) Describe() string {
	if a.Enable {
		return fmt.Sprintf("put service %s on %s into maintenance", a.ID, a.Node)
	}
	return fmt.Sprintf("take service %s on %s out of maintenance", a.ID, a.Node)
}

// Command implements Action.
func (a DeregisterService) Command() string {
	if !a.Local {
		return words("ctl services deregister", flag("node", a.Node), flag("id", a.ID))
	}
	return words("ctl services deregister", flag("id", a.ID))
}

// Describe implements Action.
func (a DeregisterService) Describe() string {
	return fmt.Sprintf("deregister service %s on %s", a.ID, a.Node)
}

// Command implements Action.
func (a DeregisterNode) Command() string {
	return curl("PUT", "/v1/catalog/deregister", map[string]string{"Node": a.Node})
}

// Describe implements Action.
func (a DeregisterNode) Describe() string { return "deregister node " + a.Node + " and all on it" }

// Command implements Action.
func (a PutKey) Command() string {
	flags := ""
	if a.Flags != 0 {
		flags = fmt.Sprintf("-flags=%d", a.Flags)
	}
	return words("ctl kv put", condition(a.Unconditional, a.Index), flags, valueWords(a.Key, a.Value))
}

// Describe implements Action.
func (a PutKey) Describe() string { return "write key " + a.Key }

// Command implements Action.
func (a DeleteKey) Command() string {
	return words("ctl kv delete", condition(a.Unconditional, a.Index), quote(a.Key))
}

// Describe implements Action.
func (a DeleteKey) Describe() string { return "delete key " + a.Key }

// Command implements Action.
func (a DeleteTree) Command() string { return words("ctl kv delete -recurse", quote(a.Prefix)) }

// Describe implements Action.
func (a DeleteTree) Describe() string { return "delete every key below " + a.Prefix }

// Command implements Action.
func (a ForceLeave) Command() string {
	return words("ctl force-leave", when(a.Prune, "-prune"), quote(a.Member))
}

// Describe implements Action.
func (a ForceLeave) Describe() string { return "declare member " + a.Member + " gone" }

// Command implements Action.
func (a Join) Command() string { return words("ctl join", when(a.WAN, "-wan"), quote(a.Address)) }

// Describe implements Action.
func (a Join) Describe() string { return "join the member at " + a.Address }

// Command implements Action.
func (a TransferLeader) Command() string {
	return words("ctl operator raft transfer-leader", flag("id", a.ID))
}

// Describe implements Action.
func (a TransferLeader) Describe() string {
	if a.ID == "" {
		return "hand leadership to another server"
	}
	return "hand leadership to " + named(a.Name, a.ID)
}

// Command implements Action.
func (a RemovePeer) Command() string { return words("ctl operator raft remove-peer", flag("id", a.ID)) }

// Describe implements Action.
func (a RemovePeer) Describe() string {
	return "remove server " + named(a.Name, a.ID) + " from Raft"
}

func named(name, id string) string {
	if name == "" {
		return id
	}
	return name
}

// Command implements Action.
func (a DestroySession) Command() string { return curl("PUT", "/v1/session/destroy/"+a.ID, nil) }

// Describe implements Action.
func (a DestroySession) Describe() string { return "destroy session " + a.ID }
