package ui

import "strings"

// Filter is what an operator typed to see fewer rows: words that must all
// match. A word is a piece of text to be found in any column, in any case;
//
//	!word      not found in any column
//	~word      its letters in that order, with others between
//	col:word   found in the column whose title begins with col
//
// and the three can be put together, as in !status:~pss. The empty filter lets
// everything pass.
type Filter struct {
	text  string
	terms []term
}

type term struct {
	text          string // lower case
	column        string // lower case; empty for any
	invert, fuzzy bool
}

// ParseFilter understands every text; there is no wrong filter. A column that
// no title begins with matches nothing, and Unknown says so.
func ParseFilter(text string) Filter {
	f := Filter{text: text}
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		var t term
		word, t.invert = cutSign(word, "!")
		if col, rest, ok := strings.Cut(word, ":"); ok && col != "" {
			t.column, word = col, rest
		}
		t.text, t.fuzzy = cutSign(word, "~")
		if t.text != "" {
			f.terms = append(f.terms, t)
		}
	}
	return f
}

func cutSign(s, sign string) (rest string, found bool) {
	rest = strings.TrimPrefix(s, sign)
	return rest, len(rest) < len(s)
}

// String returns the text the filter was made from.
func (f Filter) String() string { return f.text }

// Empty reports whether everything passes.
func (f Filter) Empty() bool { return len(f.terms) == 0 }

// Match reports whether a row passes whose n cells are given by cell and named
// by title.
func (f Filter) Match(n int, title, cell func(i int) string) bool {
	for _, t := range f.terms {
		found := false
		for i := 0; i < n && !found; i++ {
			found = t.wants(title(i)) && t.in(cell(i))
		}
		// A word with a colon may also just be part of a text, such as an
		// address; then no column is called so.
		if !found && t.column != "" && !t.anyColumn(n, title) {
			whole := term{text: t.column + ":" + t.text}
			for i := 0; i < n && !found; i++ {
				found = whole.in(cell(i))
			}
		}
		if found == t.invert {
			return false
		}
	}
	return true
}

func (t term) wants(title string) bool {
	return t.column == "" || hasFoldPrefix(title, t.column)
}

func (t term) anyColumn(n int, title func(int) string) bool {
	for i := range n {
		if hasFoldPrefix(title(i), t.column) {
			return true
		}
	}
	return false
}

func (t term) in(text string) bool {
	if t.fuzzy {
		return fuzzy(text, t.text)
	}
	return containsFold(text, t.text)
}

func hasFoldPrefix(s, lower string) bool {
	return len(s) >= len(lower) && strings.EqualFold(s[:len(lower)], lower)
}

// containsFold reports whether lower, which is in lower case, is in s in any
// case. It allocates nothing where s is ASCII.
func containsFold(s, lower string) bool {
	if !ascii(s) {
		return strings.Contains(strings.ToLower(s), lower)
	}
	n := len(lower)
	for i := 0; i+n <= len(s); i++ {
		j := 0
		for j < n && lowerByte(s[i+j]) == lower[j] {
			j++
		}
		if j == n {
			return true
		}
	}
	return false
}

// fuzzy reports whether the bytes of lower stand in s in that order.
func fuzzy(s, lower string) bool {
	j := 0
	for i := 0; i < len(s) && j < len(lower); i++ {
		if lowerByte(s[i]) == lower[j] {
			j++
		}
	}
	return j == len(lower)
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
