package store_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

func TestFollow(t *testing.T) {
	db := storetest.Open(t, things())
	apply := func(entries ...store.Entry) {
		t.Helper()
		db.Apply(entries)
	}
	entry := func(index store.Index, typ uint8, body string) store.Entry {
		return store.Entry{Index: index, Type: typ, Body: []byte(body)}
	}
	apply(entry(1, 1, "before"))
	var got []string
	tx := db.Follow(func(c store.Commit) {
		what := fmt.Sprintf("%d", c.Index)
		if c.Restored {
			what += " restored"
		}
		var rows []string
		for _, change := range c.Changes {
			if change.Table != table {
				continue
			}
			name := func(row any) string {
				if row == nil {
					return "-"
				}
				return row.(*thing).Name
			}
			rows = append(rows, name(change.Before)+">"+name(change.After))
		}
		slices.Sort(rows)
		what += " " + strings.Join(rows, " ")
		it, err := c.Tx.Get(table, store.IndexID)
		if err != nil {
			t.Error(err)
		}
		got = append(got, fmt.Sprintf("%s, then %d", what, len(store.Collect[thing](it))))
	})
	it, err := tx.Get(table, store.IndexID)
	if err != nil {
		t.Fatal(err)
	}
	if n, newest := len(store.Collect[thing](it)), store.Newest(tx); n != 1 || newest != 1 {
		t.Errorf("begins with %d rows at %d", n, newest)
	}
	var snapshot bytes.Buffer
	if err := db.Persist(tx, &snapshot); err != nil {
		t.Fatal(err)
	}
	apply(entry(2, 1, "a"))
	apply(entry(3, 1, "b"), entry(4, 4, "a"))            // one transaction
	apply(entry(5, 3, ""))                               // changes nothing
	apply(entry(6, 1, "c"), entry(7, 2, "half-written")) // one each, the second undone
	if err := db.Load(&snapshot); err != nil {
		t.Fatal(err)
	}
	db.Unfollow()
	apply(entry(8, 1, "d"))
	want := []string{"2 ->a, then 2", "4 ->b a>-, then 2", "5 , then 2", "6 ->c, then 3", "0 restored , then 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
