package kvapi

import (
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/ctl-sh/ctl/internal/kv"
)

// Entries are written by hand, because reading keys is the hottest path there
// is and reflection was a fifth of it. The bytes are those of encoding/json; a
// fuzz test compares.

// appendEntries appends entries as a JSON array; nil is [].
func appendEntries(dst []byte, entries []*kv.Entry) []byte {
	dst = append(dst, '[')
	for i, e := range entries {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendEntry(dst, e)
	}
	return append(dst, ']')
}

func appendEntry(dst []byte, e *kv.Entry) []byte {
	dst = append(dst, `{"LockIndex":`...)
	dst = strconv.AppendUint(dst, e.LockIndex, 10)
	dst = append(dst, `,"Key":`...)
	dst = appendString(dst, e.Key)
	dst = append(dst, `,"Flags":`...)
	dst = strconv.AppendUint(dst, e.Flags, 10)
	dst = append(dst, `,"Value":`...)
	if e.Value == nil {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, e.Value)
		dst = append(dst, '"')
	}
	if e.Session != "" {
		dst = append(dst, `,"Session":`...)
		dst = appendString(dst, e.Session)
	}
	dst = append(dst, `,"CreateIndex":`...)
	dst = strconv.AppendUint(dst, e.CreateIndex, 10)
	dst = append(dst, `,"ModifyIndex":`...)
	dst = strconv.AppendUint(dst, e.ModifyIndex, 10)
	return append(dst, '}')
}

// appendStrings appends a JSON array of strings; nil is [].
func appendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s)
	}
	return append(dst, ']')
}

// appendString appends s as a JSON string. Plain ASCII, which keys are made of,
// goes straight through; the rest is left to encoding/json.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			b, err := json.Marshal(s)
			if err != nil {
				panic("kvapi: a string does not encode: " + err.Error()) // it always does
			}
			return append(dst, b...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
