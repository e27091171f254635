// Package expr compiles the filter expressions of the HTTP API (?filter=)
// against the type of the rows they select.
//
// Everything that can be wrong with an expression is said when it is compiled:
// syntax, a selector the row does not have, an operator its type does not
// know, a value that does not parse. Matching cannot fail. Selectors are Go
// field names; a field tagged bexpr:"-" cannot be selected. Rules on the way to
// the value: an absent map key or a nil pointer is empty, and equal to,
// contained in and matched by nothing; a list of structs matches if any
// element does.
//
// It knows no row type and no failure kind. It is the only importer of
// go-bexpr, of which it uses the grammar: the library's evaluator reports
// unknown selectors only when it meets a row.
//
// Source: the public documentation of filtering.
package expr

import (
	"fmt"
	"reflect"

	"github.com/hashicorp/go-bexpr/grammar"
)

const (
	// maxLength bounds an expression in bytes, and maxSteps the work of its
	// parser, which is exponential in nested parentheses.
	maxLength = 16 << 10
	maxSteps  = 250_000
)

// Filter selects rows of one type. The nil Filter, and the zero one, select
// every row. It is safe for any number of goroutines.
type Filter[Row any] struct {
	match test
}

// Compile compiles an expression; "" selects every row. The error's text is the
// one clients know.
func Compile[Row any](expression string) (*Filter[Row], error) {
	if expression == "" {
		return nil, nil
	}
	match, err := compile(reflect.TypeFor[Row](), expression)
	if err != nil {
		return nil, fmt.Errorf("Failed to create boolean expression evaluator: %w", err) //nolint:staticcheck // Consul's text
	}
	return &Filter[Row]{match: match}, nil
}

// Match reports whether the row, which must not be nil, is selected.
func (f *Filter[Row]) Match(row *Row) bool {
	return f == nil || f.match == nil || f.match(reflect.ValueOf(row).Elem())
}

// test looks at a value of the type it was compiled for.
type test func(v reflect.Value) bool

func compile(row reflect.Type, expression string) (test, error) {
	if len(expression) > maxLength {
		return nil, fmt.Errorf("expression is %d bytes long, the limit is %d", len(expression), maxLength)
	}
	ast, err := grammar.Parse("", []byte(expression), grammar.MaxExpressions(maxSteps))
	if err != nil {
		return nil, err
	}
	return compileNode(row, ast.(grammar.Expression))
}

func compileNode(row reflect.Type, e grammar.Expression) (test, error) {
	switch e := e.(type) {
	case *grammar.UnaryExpression:
		operand, err := compileNode(row, e.Operand)
		if err != nil {
			return nil, err
		}
		return not(operand), nil
	case *grammar.BinaryExpression:
		left, err := compileNode(row, e.Left)
		if err != nil {
			return nil, err
		}
		right, err := compileNode(row, e.Right)
		if err != nil {
			return nil, err
		}
		if e.Operator == grammar.BinaryOpAnd {
			return func(v reflect.Value) bool { return left(v) && right(v) }, nil
		}
		return func(v reflect.Value) bool { return left(v) || right(v) }, nil
	case *grammar.MatchExpression:
		return compileMatch(row, e)
	default:
		return nil, fmt.Errorf("the quantifiers any and all are not supported")
	}
}

func not(t test) test { return func(v reflect.Value) bool { return !t(v) } }

func compileMatch(row reflect.Type, e *grammar.MatchExpression) (test, error) {
	op, positive, err := operatorOf(e)
	if err != nil {
		return nil, err
	}
	p := path{selector: e.Selector.String(), absent: e.Operator.NotPresentDisposition(), leaf: func(t reflect.Type) (test, error) {
		found, err := op(t)
		if err != nil {
			return nil, fmt.Errorf("selector %q: %w", e.Selector.String(), err)
		}
		if !positive {
			found = not(found)
		}
		return found, nil
	}}
	return p.compile(row, e.Selector.Path)
}

// path is the way from a row to a value and what is asked there.
type path struct {
	selector string
	absent   bool // the answer where the way ends early
	leaf     func(t reflect.Type) (test, error)
}

func (p path) compile(t reflect.Type, rest []string) (test, error) {
	if t.Kind() == reflect.Pointer {
		inner, err := p.compile(t.Elem(), rest)
		if err != nil {
			return nil, err
		}
		return func(v reflect.Value) bool {
			if v.IsNil() {
				return p.absent
			}
			return inner(v.Elem())
		}, nil
	}
	if len(rest) == 0 {
		return p.leaf(t)
	}
	switch t.Kind() {
	case reflect.Struct:
		return p.compileField(t, rest)
	case reflect.Map:
		return p.compileKey(t, rest)
	case reflect.Slice:
		return p.compileElements(t, rest)
	default:
		return nil, p.invalid()
	}
}

func (p path) invalid() error { return fmt.Errorf("Selector %q is not valid", p.selector) } //nolint:staticcheck // Consul's text

func (p path) compileField(t reflect.Type, rest []string) (test, error) {
	f, ok := t.FieldByName(rest[0])
	if !ok || !f.IsExported() || f.Tag.Get("bexpr") == "-" {
		return nil, p.invalid()
	}
	inner, err := p.compile(f.Type, rest[1:])
	if err != nil {
		return nil, err
	}
	return func(v reflect.Value) bool { return inner(v.FieldByIndex(f.Index)) }, nil
}

func (p path) compileKey(t reflect.Type, rest []string) (test, error) {
	if t.Key().Kind() != reflect.String {
		return nil, p.invalid()
	}
	inner, err := p.compile(t.Elem(), rest[1:])
	if err != nil {
		return nil, err
	}
	key := reflect.ValueOf(rest[0]).Convert(t.Key())
	return func(v reflect.Value) bool {
		value := v.MapIndex(key)
		if !value.IsValid() {
			return p.absent
		}
		return inner(value)
	}, nil
}

func (p path) compileElements(t reflect.Type, rest []string) (test, error) {
	inner, err := p.compile(t.Elem(), rest)
	if err != nil {
		return nil, err
	}
	return func(v reflect.Value) bool {
		for i := range v.Len() {
			if inner(v.Index(i)) {
				return true
			}
		}
		return false
	}, nil
}
