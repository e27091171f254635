package store

import "github.com/hashicorp/go-memdb"

// Change is a row that a commit made, changed or removed: Before is nil for a
// new row, After for one that is gone.
type Change = memdb.Change

// Commit is what one transaction did to the state.
type Commit struct {
	// Index is that of the last entry in it, 0 for a restore.
	Index Index
	// Changes are the rows, each once, in no useful order. The index of what
	// moved is among them, as a row of the table of indexes.
	Changes []Change
	// Restored says that the whole state was replaced; Changes is then
	// empty.
	Restored bool
	// Tx is the state after it.
	Tx *Txn
}

// Follow calls f with every commit from now on, in order, and returns the state
// as it is before the first of them. Only one can follow at a time; a second
// one takes the place of the first. f runs on the goroutine that applies the
// log, so it must be quick, must not block and must not call d.
//
// Without a follower a commit pays nothing; with one it pays for noting the
// rows.
func (d *DB) Follow(f func(Commit)) (tx *Txn) {
	d.following.Lock()
	defer d.following.Unlock()
	d.follower = f
	return d.now.Load().mem.Txn(false)
}

// Unfollow ends Follow.
func (d *DB) Unfollow() {
	d.following.Lock()
	defer d.following.Unlock()
	d.follower = nil
}

// Newest returns the highest index of anything in the state that tx sees: how
// far what it shows has come. It may be below the log's, which has entries that
// change nothing.
func Newest(tx *Txn) Index {
	it, err := tx.Get(tableIndexes, IndexID)
	if err != nil {
		panic("store: walk the indexes: " + err.Error()) // the schema is ours: cannot happen
	}
	var newest Index
	for row := it.Next(); row != nil; row = it.Next() {
		newest = max(newest, row.(*IndexRow).Value)
	}
	return newest
}
