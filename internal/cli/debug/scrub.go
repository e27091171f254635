package debug

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/ctl-sh/ctl/internal/lazyregexp"
)

// removal is a place where a secret was: it names the place and the sort of
// secret, never the secret.
type removal struct {
	File  string
	Place string // a path in JSON, or "line N"
	What  string
}

// scrubber takes secrets out of texts and remembers where they were. It would
// rather take too much. It is safe for concurrent use.
type scrubber struct {
	mu    sync.Mutex
	known []string // taken out wherever they stand
	found []removal
}

// gone is what stands in the place of a secret.
func gone(what string) string { return "[removed: " + what + "]" }

// A rule finds a secret by the words around it: what matches its second group
// is taken out.
type rule struct {
	what    string
	pattern func() *regexp.Regexp
}

// value is a secret behind its name: in quotes, which may be escaped because
// the text is within another, or up to what cannot belong to it.
const value = `("(?:[^"\\]|\\.)*"|\\+"(?:[^"\\]|\\\\)*\\+"|'[^']*'|\\*["']?[^\s"',;&|)\]}\\]+)`

var rules = []rule{
	{"cookie", lazyregexp.New(`(?i)\b((?:set-)?cookie["'\\]*\s*[:=]\s*)(.+)`)},
	{"authorization", lazyregexp.New(`(?i)(authorization["'\\]*\s*[:=]\s*["'\\\[]*)((?:(?:basic|bearer|digest|negotiate)\s+)?[^\s"'\\\]]+)`)},
	{"bearer token", lazyregexp.New(`(?i)\b(bearer\s+)([A-Za-z0-9._~+/=-]{8,})`)},
	{"password in a URL", lazyregexp.New(`(://[^\s/:@"']*:)([^\s/@"']+)@`)},
	{"flag that gives a secret", lazyregexp.New(`(?i)(--?(?:token|encrypt|password|secret|http-auth)\s+)` + value)},
	{"named secret", lazyregexp.New(`(?i)((?:tokens?|secrets?|secret[_-]?id|passw(?:or)?d|passphrase|encrypt|(?:private|api|access|secret|encrypt|encryption|gossip)[_-]?key|key[_-]?material|credentials?)["'\\]*\s*[:=]\s*)` + value)},
}

var (
	privateKey   = lazyregexp.New(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|$)`)
	keyEnd       = lazyregexp.New(`-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----`)
	keyLine      = lazyregexp.New(`^[\s|]*[A-Za-z0-9+/=]*\s*$|^\s*(?:Proc-Type|DEK-Info):`)
	keyLineInLog = lazyregexp.New(`[A-Za-z0-9+/]{16,}={0,2}\s*$`)
	base64Run    = lazyregexp.New(`[A-Za-z0-9+/]+={0,2}`)
)

func (s *scrubber) note(file, place, what string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := (removal{file, place, what}); !slices.Contains(s.found[max(0, len(s.found)-8):], r) {
		s.found = append(s.found, r)
	}
	return gone(what)
}

// know makes secret be taken out wherever it stands from now on. Short words
// are not: they would be found in what is no secret.
func (s *scrubber) know(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(secret) >= 12 && !slices.Contains(s.known, secret) {
		s.known = append(s.known, secret)
	}
}

// text returns text without secrets.
func (s *scrubber) text(file, place, text string) string {
	text = privateKey().ReplaceAllStringFunc(text, func(string) string { return s.note(file, place, "private key") })
	s.mu.Lock()
	known := s.known
	s.mu.Unlock()
	for _, secret := range known {
		if strings.Contains(text, secret) {
			text = strings.ReplaceAll(text, secret, s.note(file, place, "known secret"))
		}
	}
	for _, r := range rules {
		text = s.apply(r, file, place, text)
	}
	return base64Run().ReplaceAllStringFunc(text, func(run string) string {
		if !gossipKey(run) {
			return run
		}
		return s.note(file, place, "key in base64")
	})
}

func (s *scrubber) apply(r rule, file, place, text string) string {
	var out strings.Builder
	at := 0
	for _, m := range r.pattern().FindAllStringSubmatchIndex(text, -1) {
		secret := text[m[4]:m[5]]
		if bare := strings.Trim(secret, `"'\`); bare == "" || bare == hidden || strings.HasPrefix(bare, "[removed:") {
			continue
		}
		out.WriteString(text[at:m[4]])
		out.WriteString(s.note(file, place, r.what))
		at = m[5]
	}
	return out.String() + text[at:]
}

// hidden is what the agent itself has put in the place of a secret.
const hidden = "hidden"

// gossipKey reports whether text looks like 16, 24 or 32 bytes in base64. The
// 32 characters of 24 bytes have no padding to be known by, and must be mixed.
func gossipKey(text string) bool {
	padding := len(text) - len(strings.TrimRight(text, "="))
	switch len(text) {
	case 24:
		return padding == 2
	case 44:
		return padding == 1
	case 32:
		return padding == 0 && strings.ContainsAny(text, "0123456789+/") &&
			strings.ToLower(text) != text && strings.ToUpper(text) != text
	}
	return false
}

// json returns a JSON document without secrets, indented. What is no JSON is
// read as text.
func (s *scrubber) json(file string, data []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil || decoder.More() {
		return []byte(s.text(file, "line 1", string(data)))
	}
	out, err := json.MarshalIndent(s.walk(file, "", document, false), "", "  ")
	if err != nil { // it was JSON a moment ago
		return []byte(s.text(file, "line 1", string(data)))
	}
	return append(out, '\n')
}

// walk returns v without secrets; secret says that it has the name of one.
func (s *scrubber) walk(file, place string, v any, secret bool) any {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			at := strings.TrimPrefix(place+"."+name, ".")
			below := secret || secretName(name)
			if _, object := v[name].(map[string]any); object && !secret && strings.HasSuffix(plain(name), "encrypt") {
				below = false // auto_encrypt: settings, not a key
			}
			v[name] = s.walk(file, at, v[name], below)
		}
	case []any:
		for i := range v {
			v[i] = s.walk(file, fmt.Sprintf("%s[%d]", place, i), v[i], secret)
		}
	case json.Number:
		if secret {
			return s.note(file, place, "named secret")
		}
	case string:
		switch {
		case v == "" || v == hidden:
		case secret:
			if strings.ContainsAny(v, "0123456789") {
				s.know(v)
			}
			return s.note(file, place, "named secret")
		default:
			return s.text(file, place, v)
		}
	}
	return v
}

// plain is a name as all its spellings have it.
func plain(name string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "", " ", "").Replace(strings.ToLower(name))
}

// secretName reports whether what has this name in JSON is a secret. All that
// is in headers may be.
func secretName(name string) bool {
	name = plain(name)
	for _, end := range []string{
		"token", "tokens", "secret", "secrets", "secretid", "password", "passwd", "passphrase", "encrypt", "encryptkey",
		"encryptionkey", "gossipkey", "privatekey", "apikey", "accesskey", "secretkey", "keymaterial", "credential", "credentials",
		"authorization", "cookie", "header", "headers",
	} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// lines scrubs a text line by line, in which a private key may span several.
type lines struct {
	s     *scrubber
	file  string
	n     int
	inKey bool
}

func (l *lines) scrub(line string) string {
	l.n++
	place := fmt.Sprintf("line %d", l.n)
	if l.inKey {
		end := keyEnd().FindStringIndex(line)
		switch {
		case end != nil:
			l.inKey = false
			return l.s.note(l.file, place, "private key") + l.s.text(l.file, place, line[end[1]:])
		case keyLine().MatchString(line):
			return l.s.note(l.file, place, "private key")
		case keyLineInLog().MatchString(line):
			line = keyLineInLog().ReplaceAllLiteralString(line, l.s.note(l.file, place, "private key"))
			return l.s.text(l.file, place, line)
		}
		l.inKey = false
	}
	for _, m := range privateKey().FindAllString(line, -1) {
		l.inKey = !keyEnd().MatchString(m)
	}
	return l.s.text(l.file, place, line)
}
