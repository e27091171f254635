package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// jsonReader turns JSON into values that know their place. It takes the tokens
// of encoding/json, so what is JSON is decided there.
type jsonReader struct {
	source string
	data   []byte
	dec    *json.Decoder
	out    *findings
}

// errBroken ends the reading of a file whose problem is already reported.
var errBroken = errors.New("broken file")

// parseJSON reads one file. It reports false after it put a problem into out.
func parseJSON(source string, data []byte, out *findings) (value, bool) {
	r := &jsonReader{source: source, data: data, dec: json.NewDecoder(bytes.NewReader(data)), out: out}
	r.dec.UseNumber()
	v, err := r.value(0)
	if err != nil {
		return value{}, false
	}
	end := r.dec.InputOffset()
	if rest := bytes.TrimSpace(data[end:]); len(rest) > 0 {
		at := r.next()
		out.problem(at, "", "a file holds one object; remove what follows it", "not valid JSON: %s after the end of the configuration", quoteStart(rest))
		return value{}, false
	}
	return v, true
}

// next is the place of the token that follows.
func (r *jsonReader) next() Origin {
	i := int(r.dec.InputOffset())
	for i < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[i]) >= 0 {
		i++
	}
	return r.at(i)
}

func (r *jsonReader) at(offset int) Origin { return originAt(r.source, r.data, offset) }

// originAt turns a byte offset into line and column, counting characters.
func originAt(source string, data []byte, offset int) Origin {
	offset = min(max(offset, 0), len(data))
	line := 1 + bytes.Count(data[:offset], []byte("\n"))
	start := bytes.LastIndexByte(data[:offset], '\n') + 1
	return Origin{Source: source, Line: line, Col: 1 + utf8.RuneCount(data[start:offset])}
}

func (r *jsonReader) value(depth int) (value, error) {
	v := value{at: r.next()}
	tok, err := r.dec.Token()
	if err != nil {
		return v, r.broken(err)
	}
	switch t := tok.(type) {
	case json.Delim:
		if depth == maxDepth {
			r.out.problem(v.at, "", "flatten it", "nested more than %d levels deep", maxDepth)
			return v, errBroken
		}
		switch t {
		case '{':
			v.data, err = r.object(depth + 1)
		case '[':
			v.data, err = r.list(depth + 1)
		default:
			err = r.broken(fmt.Errorf("unexpected %q", rune(t)))
		}
	case json.Number:
		v.data = number(t)
	case nil, bool, string:
		v.data = t
	}
	return v, err
}

func (r *jsonReader) object(depth int) (object, error) {
	o := object{}
	for r.dec.More() {
		m := member{keyAt: r.next()}
		tok, err := r.dec.Token()
		if err != nil {
			return nil, r.broken(err)
		}
		m.key, _ = tok.(string)
		if m.value, err = r.value(depth); err != nil {
			return nil, err
		}
		o = append(o, m)
	}
	if _, err := r.dec.Token(); err != nil {
		return nil, r.broken(err)
	}
	return o, nil
}

func (r *jsonReader) list(depth int) ([]value, error) {
	list := []value{}
	for r.dec.More() {
		v, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if _, err := r.dec.Token(); err != nil {
		return nil, r.broken(err)
	}
	return list, nil
}

// broken reports a syntax error with its place and, where the cause is a usual
// one, the way out.
func (r *jsonReader) broken(err error) error {
	at := r.next()
	rest := r.data[min(offsetOf(r.data, at), len(r.data)):]
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		r.out.problem(r.at(len(bytes.TrimRight(r.data, " \t\r\n"))), "", "close every { and [, or restore the rest of the file", "not valid JSON: the file ends in the middle")
	case bytes.HasPrefix(rest, []byte("//")) || bytes.HasPrefix(rest, []byte("#")) || bytes.HasPrefix(rest, []byte("/*")):
		r.out.problem(at, "", "remove it, or write the file as HCL and name it .hcl", "not valid JSON: JSON has no comments")
	case errors.As(err, &syntax) && (bytes.HasPrefix(rest, []byte("}")) || bytes.HasPrefix(rest, []byte("]"))):
		r.out.problem(at, "", "remove the comma before it or add what is missing", "not valid JSON: %s", syntax.Error())
	default:
		r.out.problem(at, "", "correct it; a file in HCL is named .hcl or read with -config-format hcl", "not valid JSON: %s", err.Error())
	}
	return errBroken
}

// offsetOf is the inverse of originAt.
func offsetOf(data []byte, at Origin) int {
	offset := 0
	for range at.Line - 1 {
		offset += bytes.IndexByte(data[offset:], '\n') + 1
	}
	for range at.Col - 1 {
		_, n := utf8.DecodeRune(data[offset:])
		offset += n
	}
	return offset
}

func quoteStart(b []byte) string {
	if len(b) > 20 {
		b = b[:20]
	}
	return fmt.Sprintf("%q", b)
}
