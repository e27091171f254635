package source

import (
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzFrame holds what is read of a line to what encoding/json reads, wherever
// the quick way understands the line at all.
func FuzzFrame(f *testing.F) {
	for _, line := range []string{
		`{"type":"put","topic":"services","key":"web","index":8,"row":{"Name":"web","Kind":"","Tags":["v1","a b"],"Instances":3,"Passing":2,"Warning":0,"Critical":1}}`,
		`{"type":"put","topic":"services","key":"web","index":8,"row":{"Name":"web","Tags":null}}`,
		`{"type":"put","topic":"services","row":{"Name":"\u00e9","Tags":[]}}`,
		`{"type":"at","position":"32p95pga9v9yz.8"}`, `{"type":"ready","topic":"services"}`, `{}`, `{"index":007}`, `{"index":18446744073709551616}`,
		`{"row":{"a":"}\"]","b":[{}]}}`, `{"row":{`, `{"type":"put",}`, `{"type":"a\nb"}`, `{"row":7}`, `[]`, ``, `{"row":{"Instances":9999999999}}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		got, ok := scanFrame(line)
		if !ok {
			return
		}
		var want jsonFrame
		if err := json.Unmarshal(line, &want); err != nil {
			// What is wrong is inside the row, which is looked at when it
			// is decoded.
			if len(got.Row) == 0 || json.Valid(got.Row) {
				t.Fatalf("%q was understood: %+v, but: %v", line, got, err)
			}
			return
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q\ngot  %+v\nwant %+v", line, got, want)
		}
		if row, ok := scanSummary(got.Row); ok {
			var want jsonSummary
			if err := json.Unmarshal(got.Row, &want); err != nil || !reflect.DeepEqual(row, want) {
				t.Errorf("%q\ngot  %+v\nwant %+v, %v", got.Row, row, want, err)
			}
		}
	})
}

// TestUsualLinesAreReadTheQuickWay: otherwise who starts the dashboard waits.
func TestUsualLinesAreReadTheQuickWay(t *testing.T) {
	line := `{"type":"put","topic":"services","key":"web","index":8,"row":{"Name":"web","Kind":"","Tags":["v1"],"Instances":3,"Passing":2,"Warning":0,"Critical":1}}` + "\n"
	frame, ok := scanFrame([]byte(line))
	if !ok {
		t.Fatal("a frame was not understood")
	}
	row, ok := scanSummary(frame.Row)
	if want := (jsonSummary{Name: "web", Tags: []string{"v1"}, Instances: 3, Passing: 2, Critical: 1}); !ok || !reflect.DeepEqual(row, want) {
		t.Errorf("a row: %+v, understood: %v", row, ok)
	}
}
