package config

import (
	"fmt"
	"slices"
	"strings"
)

// Origin says where a setting stands: a file with line and column (1-based), or
// a flag, whose line is 0. The zero Origin is a default.
type Origin struct {
	Source    string
	Line, Col int
}

// String returns file:line:column, the flag, or nothing.
func (o Origin) String() string {
	if o.Line == 0 {
		return o.Source
	}
	return fmt.Sprintf("%s:%d:%d", o.Source, o.Line, o.Col)
}

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Where Origin // zero if no single place is at fault
	Key   string // dotted path; empty if the whole file is at fault
	What  string // what is wrong, with the offending value
	Do    string // the way out
}

// String is the problem on one line: place, key, what is wrong and what to do.
func (p Problem) String() string {
	var b strings.Builder
	for _, part := range []string{p.Where.String(), p.Key} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(p.What)
	if p.Do != "" {
		b.WriteString("; " + p.Do)
	}
	return b.String()
}

// Problems is the error of this package: all that was found wrong, in the order
// of the sources. It is never empty as an error.
type Problems []Problem

// Error lists the problems, one a line if there are several.
func (p Problems) Error() string {
	if len(p) == 1 {
		return p[0].String()
	}
	lines := make([]string, 0, len(p)+1)
	lines = append(lines, fmt.Sprintf("%d problems in the configuration:", len(p)))
	for _, x := range p {
		lines = append(lines, "  * "+x.String())
	}
	return strings.Join(lines, "\n")
}

// Warning is something an operator should know that does not stop the agent.
type Warning struct {
	Where Origin
	Key   string
	Text  string
}

// String is the warning on one line: place, key, text.
func (w Warning) String() string { return Problem{Where: w.Where, Key: w.Key, What: w.Text}.String() }

// findings collects problems and warnings while a configuration is read.
type findings struct {
	problems Problems
	warnings []Warning
	tainted  []string // keys whose value could not be read, so that later complaints about them mislead
	blind    bool     // a whole source could not be read
}

func (f *findings) problem(where Origin, key, do, what string, args ...any) {
	f.problems = append(f.problems, Problem{Where: where, Key: key, What: fmt.Sprintf(what, args...), Do: do})
	if key == "" {
		f.blind = true
	} else {
		f.tainted = append(f.tainted, key)
	}
}

func (f *findings) warn(where Origin, key, text string, args ...any) {
	f.warnings = append(f.warnings, Warning{Where: where, Key: key, Text: fmt.Sprintf(text, args...)})
}

// unclear reports whether the value of one of the keys is not known because of
// an earlier problem.
func (f *findings) unclear(keys ...string) bool {
	return f.blind || slices.ContainsFunc(keys, func(k string) bool {
		return slices.ContainsFunc(f.tainted, func(t string) bool {
			return t == k || strings.HasPrefix(t, k+".") || strings.HasPrefix(k, t+".")
		})
	})
}

// err returns the problems as an error, or nil.
func (f *findings) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	return f.problems
}
