// Package jq filters what a command prints as JSON, in the language of the
// program jq.
//
// The language is gojq's, which differs from jq's in small things: the members
// of an object come out in the order of their names, and whole numbers keep all
// their digits. A filter sees only what it is given: there is no environment
// (env and $ENV are empty), no further input, and no module or file to import.
// It may run for ever, as `repeat(1)` does; the context ends it.
package jq

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

// Filter is an expression that was understood. It may be used by any number of
// goroutines.
type Filter struct {
	text string
	code *gojq.Code
}

// New returns the filter that text describes. What is wrong with it is told with
// the column, counted in characters from 1.
func New(text string) (*Filter, error) {
	code, err := compile(text)
	if err == nil {
		return &Filter{text, code}, nil
	}
	at := -1
	if parse, ok := errors.AsType[*gojq.ParseError](err); ok {
		at = parse.Offset - len(parse.Token)
	} else if name := missing(err); name != "" {
		at = find(text, name)
	}
	if at < 0 || at > len(text) {
		return nil, err
	}
	return nil, fmt.Errorf("column %d: %w", 1+utf8.RuneCountInString(text[:at]), err)
}

func compile(text string) (*gojq.Code, error) {
	q, err := gojq.Parse(text)
	if err != nil {
		return nil, err
	}
	// The compiler asks for the environment where the expression does.
	environment := false
	code, err := gojq.Compile(q, gojq.WithEnvironLoader(func() []string {
		environment = true
		return nil
	}))
	if err == nil && environment {
		err = errors.New("env and $ENV are not there: write the value into the expression")
	}
	return code, err
}

// missing returns the name that the compiler does not know; empty where err is
// about something else.
func missing(err error) string {
	if err == nil {
		return ""
	}
	_, name, _ := strings.Cut(err.Error(), " not defined: ")
	name, _, _ = strings.Cut(name, "/")
	return name
}

// find returns where in text the name stands that the compiler does not know; -1
// if it cannot be told. The compiler does not say, so every place is tried: if it
// complains about another name that stands there instead, it was this place.
func find(text, name string) int {
	other := name + "_elsewhere"
	for at := 0; at < len(text); at++ {
		if !strings.HasPrefix(text[at:], name) {
			continue
		}
		if _, err := compile(text[:at] + other + text[at+len(name):]); missing(err) == other {
			return at
		}
	}
	return -1
}

// String returns the expression.
func (f *Filter) String() string { return f.text }

// Error is what an expression fails with while it runs: it does not fit what it
// is given. The text names the value and its type.
type Error struct{ err error }

// Error implements error.
func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns the failure as gojq has it.
func (e *Error) Unwrap() error { return e.err }

// Write writes what f makes of v, which is taken as its JSON: every result on a
// line of its own, or indented if indent is not empty. Text is written as it is,
// without quotes. Results before a failure are written. It fails with an *Error,
// with that of ctx when it ends, or with that of w.
func (f *Filter) Write(ctx context.Context, w io.Writer, v any, indent string) error {
	in, err := plain(v)
	if err != nil {
		return err
	}
	results := f.code.RunWithContext(ctx, in)
	for {
		out, ok := results.Next()
		if !ok {
			return nil
		}
		if err, failed := out.(error); failed {
			return ended(ctx, err)
		}
		if err := writeResult(w, out, indent); err != nil {
			return err
		}
	}
}

// ended is what the end of a filter by err means to its caller.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if halt, ok := errors.AsType[*gojq.HaltError](err); ok {
		switch v := halt.Value().(type) {
		case nil:
			return nil // the expression says that this was all
		case string:
			err = errors.New(v) // and what is to be said
		}
	}
	return &Error{err}
}

// plain turns v into what its JSON says. Numbers keep their digits.
func plain(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode output: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var out any
	if err := dec.Decode(&out); err != nil {
		return nil, fmt.Errorf("encode output: %w", err)
	}
	return out, nil
}

func writeResult(w io.Writer, v any, indent string) error {
	if text, ok := v.(string); ok {
		_, err := io.WriteString(w, text+"\n")
		return err
	}
	b, err := gojq.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	if indent != "" {
		var spread bytes.Buffer
		if err := json.Indent(&spread, b, "", indent); err != nil {
			return fmt.Errorf("encode output: %w", err)
		}
		b = spread.Bytes()
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
