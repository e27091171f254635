package logging

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	textTime = "2006-01-02T15:04:05.000Z0700"
	jsonTime = "2006-01-02T15:04:05.000000Z07:00"
)

// entry is one record on its way to the outputs. It formats itself at most once
// a form; the lines are shared and must not be changed.
type entry struct {
	level     slog.Level
	time      time.Time
	component string
	message   string
	attrs     []slog.Attr // flat, resolved, keys dotted

	text, json []byte
}

func newEntry(h *handler, r slog.Record) *entry {
	e := &entry{
		level: r.Level, time: r.Time, message: r.Message, component: h.component,
		attrs: make([]slog.Attr, 0, len(h.attrs)+r.NumAttrs()),
	}
	if e.time.IsZero() {
		e.time = time.Now()
	}
	e.attrs = append(e.attrs, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		if h.group == "" && a.Key == KeyComponent {
			e.component = a.Value.Resolve().String()
			return true
		}
		e.add(h.group, a)
		return true
	})
	return e
}

// add appends a, flattening groups into dotted keys.
func (e *entry) add(prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindGroup {
		if a.Key != "" || v.Any() != nil { // the zero Attr is ignored, as slog asks
			e.attrs = append(e.attrs, slog.Attr{Key: prefix + a.Key, Value: v})
		}
		return
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, g := range v.Group() {
		e.add(prefix, g)
	}
}

// line returns the formatted entry with its newline.
func (e *entry) line(asJSON bool) []byte {
	if asJSON {
		if e.json == nil {
			e.json = e.appendJSON(nil)
		}
		return e.json
	}
	if e.text == nil {
		e.text = e.appendText(make([]byte, 0, 160))
	}
	return e.text
}

// appendText writes `2026-11-23T10:01:48.982Z [INFO]  agent: message: key=value`.
func (e *entry) appendText(b []byte) []byte {
	b = e.time.AppendFormat(b, textTime)
	b = append(b, textLevel(e.level)...)
	if e.component != "" {
		b = append(appendPlain(b, e.component), ": "...)
	}
	b = appendPlain(b, e.message)
	if len(e.attrs) > 0 {
		b = append(b, ':')
	}
	for _, a := range e.attrs {
		b = append(b, ' ')
		b = append(appendPlain(b, a.Key), '=')
		b = appendTextValue(b, a.Value)
	}
	return append(b, '\n')
}

// textLevel returns the level as it stands in a line, spaces included, so that
// components line up.
func textLevel(l slog.Level) string {
	switch LevelName(l) {
	case "TRACE":
		return " [TRACE] "
	case "DEBUG":
		return " [DEBUG] "
	case "INFO":
		return " [INFO]  "
	case "WARN":
		return " [WARN]  "
	default:
		return " [ERROR] "
	}
}

// afterLevel returns the part of a text line behind its level, for outputs that
// carry time and level themselves.
func afterLevel(line []byte) []byte {
	_, rest, ok := bytes.Cut(line, []byte("] "))
	if !ok {
		return line
	}
	return bytes.TrimLeft(rest, " ")
}

// appendPlain writes s with control characters escaped, so that it stays on its
// line.
func appendPlain(b []byte, s string) []byte {
	if strings.IndexFunc(s, unicode.IsControl) < 0 {
		return append(b, s...)
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			q := strconv.AppendQuoteRune(nil, r)
			b = append(b, q[1:len(q)-1]...)
		} else {
			b = append(b, string(r)...)
		}
	}
	return b
}

func appendTextValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendQuoted(b, v.String())
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindFloat64:
		return strconv.AppendFloat(b, v.Float64(), 'g', -1, 64)
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindDuration:
		return append(b, v.Duration().String()...)
	case slog.KindTime:
		return v.Time().AppendFormat(b, textTime)
	default:
		if list, ok := v.Any().([]string); ok {
			return appendList(b, list)
		}
		return appendQuoted(b, fmt.Sprint(v.Any()))
	}
}

func appendList(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendQuoted(b, s)
	}
	return append(b, ']')
}

// appendQuoted writes s, in quotes where a reader could not tell its end.
func appendQuoted(b []byte, s string) []byte {
	plain := func(r rune) bool { return r != '"' && r != ' ' && unicode.IsPrint(r) }
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return append(b, s...)
	}
	return strconv.AppendQuote(b, s)
}

// appendJSON writes the entry as an object with the keys @level, @message,
// @module, @timestamp and then the attributes.
func (e *entry) appendJSON(b []byte) []byte {
	b = append(b, `{"@level":"`...)
	b = append(b, strings.ToLower(LevelName(e.level))...)
	b = append(b, `","@message":`...)
	b = appendJSONValue(b, e.message)
	if e.component != "" {
		b = append(b, `,"@module":`...)
		b = appendJSONValue(b, e.component)
	}
	b = append(b, `,"@timestamp":"`...)
	b = e.time.AppendFormat(b, jsonTime)
	b = append(b, '"')
	for i, a := range e.attrs {
		if e.repeated(i) {
			continue
		}
		b = append(b, ',')
		b = appendJSONValue(b, a.Key)
		b = append(b, ':')
		b = appendJSONValue(b, jsonForm(a.Value))
	}
	return append(b, '}', '\n')
}

// repeated reports whether a later attribute has the key of the i-th: an object
// holds a key once, and the last word counts.
func (e *entry) repeated(i int) bool {
	return slices.ContainsFunc(e.attrs[i+1:], func(a slog.Attr) bool { return a.Key == e.attrs[i].Key })
}

// jsonForm turns what JSON would render as an opaque number or {} into text.
func jsonForm(v slog.Value) any {
	switch x := v.Any().(type) {
	case time.Duration:
		return x.String()
	case error:
		return fmt.Sprint(x)
	case json.Marshaler, encoding.TextMarshaler:
		return x
	case fmt.Stringer:
		return fmt.Sprint(x)
	default:
		return x
	}
}

func appendJSONValue(b []byte, v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // a channel, a NaN: say it as text
		buf.Reset()
		_ = enc.Encode(fmt.Sprint(v)) // a string always encodes
	}
	return append(b, bytes.TrimRight(buf.Bytes(), "\n")...)
}
