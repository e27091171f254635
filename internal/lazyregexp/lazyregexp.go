// Package lazyregexp compiles regular expressions when they are first needed.
//
// Compiling one costs as much as a command has to do besides, and most commands
// need none of those that stand at package level. It is not for expressions that
// come from outside: a wrong one panics, at its first use, so each needs a test.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns a function that returns expr compiled, the same every time. Any
// number of goroutines may call it. It panics if expr is no regular expression.
func New(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
