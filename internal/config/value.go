package config

import "fmt"

// value is one value of a file with the place it stands at.
type value struct {
	at     Origin
	data   any      // nil, bool, number, string, []value or object
	blocks bool     // a list that HCL blocks of the same name make
	keyAt  []Origin // of the blocks, the places of their names
}

// number is the text of a number, unread.
type number string

// object is the members of an object in file order.
type object []member

type member struct {
	key   string
	keyAt Origin
	value value
}

// describe says what a value is, for error messages. Strings are shown, cut to
// a readable length; nothing of a key that may be secret gets here.
func (v value) describe() string {
	switch d := v.data.(type) {
	case nil:
		return "null"
	case bool:
		return fmt.Sprintf("%v", d)
	case number:
		return "the number " + string(d)
	case string:
		if r := []rune(d); len(r) > 40 {
			d = string(r[:40]) + "…"
		}
		return fmt.Sprintf("the string %q", d)
	case []value:
		return "a list"
	case object:
		return "an object"
	}
	return "something else"
}

// maxDepth bounds the nesting of a file, far above any real one.
const maxDepth = 64
