package expr

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/go-bexpr/grammar"
)

// operator makes the positive test of a match for values of a type, or says
// why there is none.
type operator func(t reflect.Type) (test, error)

// operatorOf returns the operator of a match, and whether the match wants it to
// hold or not to hold.
func operatorOf(e *grammar.MatchExpression) (op operator, positive bool, err error) {
	raw := ""
	if e.Value != nil {
		raw = e.Value.Raw
	}
	switch e.Operator {
	case grammar.MatchEqual, grammar.MatchNotEqual:
		return equal(raw), e.Operator == grammar.MatchEqual, nil
	case grammar.MatchIn, grammar.MatchNotIn:
		return contain(raw), e.Operator == grammar.MatchIn, nil
	case grammar.MatchContains, grammar.MatchNotContains:
		return contain(raw), e.Operator == grammar.MatchContains, nil
	case grammar.MatchIsEmpty, grammar.MatchIsNotEmpty:
		return empty, e.Operator == grammar.MatchIsEmpty, nil
	case grammar.MatchMatches, grammar.MatchNotMatches:
		op, err = matching(raw)
		return op, e.Operator == grammar.MatchMatches, err
	default:
		return nil, false, fmt.Errorf("operator %q is not supported", e.Operator)
	}
}

// equal compares with raw, read as a value of the type.
func equal(raw string) operator {
	return func(t reflect.Type) (test, error) {
		switch {
		case t.Kind() == reflect.String:
			return func(v reflect.Value) bool { return v.String() == raw }, nil
		case t.Kind() == reflect.Bool:
			want, err := strconv.ParseBool(raw)
			return func(v reflect.Value) bool { return v.Bool() == want }, err
		case reflect.Zero(t).CanInt():
			want, err := strconv.ParseInt(raw, 0, t.Bits())
			return func(v reflect.Value) bool { return v.Int() == want }, err
		case reflect.Zero(t).CanUint():
			want, err := strconv.ParseUint(raw, 0, t.Bits())
			return func(v reflect.Value) bool { return v.Uint() == want }, err
		case reflect.Zero(t).CanFloat():
			want, err := strconv.ParseFloat(raw, t.Bits())
			return func(v reflect.Value) bool { return v.Float() == want }, err
		default:
			return nil, fmt.Errorf("a %s cannot be compared", t.Kind())
		}
	}
}

// contain looks for raw among the elements of a list, the keys of a map or the
// substrings of a string.
func contain(raw string) operator {
	return func(t reflect.Type) (test, error) {
		switch {
		case t.Kind() == reflect.String:
			return func(v reflect.Value) bool { return strings.Contains(v.String(), raw) }, nil
		case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
			key := reflect.ValueOf(raw).Convert(t.Key())
			return func(v reflect.Value) bool { return v.MapIndex(key).IsValid() }, nil
		case t.Kind() == reflect.Slice:
			same, err := equal(raw)(t.Elem())
			if err != nil {
				return nil, err
			}
			return func(v reflect.Value) bool {
				for i := range v.Len() {
					if same(v.Index(i)) {
						return true
					}
				}
				return false
			}, nil
		default:
			return nil, fmt.Errorf("a %s contains nothing", t.Kind())
		}
	}
}

func empty(t reflect.Type) (test, error) {
	switch t.Kind() {
	case reflect.String, reflect.Map, reflect.Slice:
		return func(v reflect.Value) bool { return v.Len() == 0 }, nil
	default:
		return nil, fmt.Errorf("a %s is never empty", t.Kind())
	}
}

func matching(raw string) (operator, error) {
	re, err := regexp.Compile(raw)
	if err != nil {
		return nil, err
	}
	return func(t reflect.Type) (test, error) {
		if t.Kind() != reflect.String {
			return nil, fmt.Errorf("a %s does not match a regular expression", t.Kind())
		}
		return func(v reflect.Value) bool { return re.MatchString(v.String()) }, nil
	}, nil
}
