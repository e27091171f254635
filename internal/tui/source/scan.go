package source

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// scan reads the JSON of the stream's most frequent lines. It understands what
// agents write and nothing more: at anything else it gives up, and encoding/json
// decides what the line means, or what is wrong with it. That costs eight times
// as much, which matters for who waits for 5,000 rows.
type scan struct {
	b  []byte
	i  int
	no bool // gave up
}

func (s *scan) give() { s.no = true }

// eat takes the byte c, and gives up where another one stands.
func (s *scan) eat(c byte) {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return
	}
	s.give()
}

// at reports whether c comes next, and takes it if so.
func (s *scan) at(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// text takes a string without escapes. The bytes are those of the line.
func (s *scan) text() []byte {
	s.eat('"')
	from := s.i
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.b[from : s.i-1]
		case c == '\\', c < ' ', c >= utf8.RuneSelf:
			s.give()
			return nil
		}
	}
	s.give()
	return nil
}

// number takes a whole number that is not negative.
func (s *scan) number() uint64 {
	from := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	n, err := strconv.ParseUint(string(s.b[from:s.i]), 10, 64)
	if err != nil || s.b[from] == '0' && s.i > from+1 {
		s.give()
	}
	return n
}

// count is a number that is no more than an int of any machine holds.
func (s *scan) count() int {
	n := s.number()
	if n > math.MaxInt32 {
		s.give()
	}
	return int(n & math.MaxInt32)
}

// object takes an object; field takes the value of each of its fields.
func (s *scan) object(field func(name []byte)) {
	s.eat('{')
	if s.at('}') {
		return
	}
	for !s.no {
		name := s.text()
		s.eat(':')
		if s.no {
			return
		}
		field(name)
		if s.at('}') {
			return
		}
		s.eat(',')
	}
}

// raw takes an object whole. What is in it is looked at later.
func (s *scan) raw() []byte {
	from, depth, quoted := s.i, 0, false
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case quoted && c == '\\':
			s.i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				s.i++
				return s.b[from:s.i]
			}
		}
		if depth == 0 {
			break
		}
	}
	s.give()
	return nil
}

// end reports whether the line was understood to its end.
func (s *scan) end() bool {
	s.at('\n')
	return !s.no && s.i == len(s.b)
}

// frequent are strings that come again and again in frames, so that they are made
// once.
var frequent = map[string]string{"put": "put", "del": "del", "at": "at", "services": "services", "nodes": "nodes", "checks:failing": "checks:failing", "raft": "raft", "members": "members"}

func word(b []byte) string {
	if s, ok := frequent[string(b)]; ok {
		return s
	}
	return string(b)
}

// scanFrame reads a frame, or reports false. Row is part of the line.
func scanFrame(line []byte) (f jsonFrame, ok bool) {
	s := scan{b: line}
	s.object(func(field []byte) {
		switch string(field) {
		case "type":
			f.Type = word(s.text())
		case "topic":
			f.Topic = word(s.text())
		case "key":
			f.Key = string(s.text())
		case "index":
			f.Index = s.number()
		case "row":
			f.Row = s.raw()
		case "position":
			f.Position = string(s.text())
		default:
			s.give()
		}
	})
	return f, s.end()
}

// scanSummary reads a row of the topic services, or reports false.
func scanSummary(b []byte) (j jsonSummary, ok bool) {
	s := scan{b: b}
	s.object(func(field []byte) {
		switch string(field) {
		case "Name":
			j.Name = string(s.text())
		case "Kind":
			j.Kind = string(s.text())
		case "Tags":
			j.Tags = s.texts()
		case "Instances":
			j.Instances = s.count()
		case "Passing":
			j.Passing = s.count()
		case "Warning":
			j.Warning = s.count()
		case "Critical":
			j.Critical = s.count()
		default:
			s.give()
		}
	})
	return j, s.end()
}

// texts takes a list of strings, or null.
func (s *scan) texts() []string {
	if s.i+4 <= len(s.b) && string(s.b[s.i:s.i+4]) == "null" {
		s.i += 4
		return nil
	}
	s.eat('[')
	out := []string{}
	if s.at(']') {
		return out
	}
	for !s.no {
		out = append(out, string(s.text()))
		if s.at(']') {
			return out
		}
		s.eat(',')
	}
	return nil
}
