package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/go-memdb"
)

// The stream of a snapshot: for each table its name and its rows, then an end
// mark with the number of rows in all. Every piece is
//
//	kind (1 byte)  length (uvarint)  bytes
//
// It carries no checksum: the file or connection around it does.
const (
	pieceTable byte = 'T' // the table that the rows after it belong to
	pieceRow   byte = 'R' // one row in its own encoding
	pieceEnd   byte = 'E' // the number of rows, as a uvarint
)

// maxPieceBytes bounds what a reader allocates for one row. A row holds one
// value of the largest configurable size and little else.
const maxPieceBytes = 256 << 20

// Persist writes the state that tx sees. The same state gives the same bytes
// on every server. It may run beside Apply; it blocks on w only.
func (d *DB) Persist(tx *Txn, w io.Writer) error {
	out := bufio.NewWriterSize(w, 256<<10)
	var rows uint64
	var buf []byte
	for _, name := range d.schema.order {
		if err := writePiece(out, pieceTable, []byte(name)); err != nil {
			return fmt.Errorf("write table %s: %w", name, err)
		}
		it, err := tx.Get(name, IndexID)
		if err != nil {
			return fmt.Errorf("walk table %s: %w", name, err)
		}
		for r := it.Next(); r != nil; r = it.Next() {
			buf, err = r.(interface {
				MarshalMsg([]byte) ([]byte, error)
			}).MarshalMsg(buf[:0])
			if err != nil {
				return fmt.Errorf("encode row of %s: %w", name, err)
			}
			if err := writePiece(out, pieceRow, buf); err != nil {
				return fmt.Errorf("write row of %s: %w", name, err)
			}
			rows++
		}
	}
	if err := writePiece(out, pieceEnd, binary.AppendUvarint(nil, rows)); err != nil {
		return fmt.Errorf("write end: %w", err)
	}
	return out.Flush()
}

func writePiece(w *bufio.Writer, kind byte, b []byte) error {
	var head [1 + binary.MaxVarintLen64]byte
	head[0] = kind
	n := binary.PutUvarint(head[1:], uint64(len(b)))
	if _, err := w.Write(head[:1+n]); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// Load replaces the whole state by what Persist wrote. It decodes everything
// first and changes nothing when anything is wrong: a stream that ends early,
// a table no module declares, a row that does not decode, a count that does
// not match. Readers that wait on the old state are woken.
func (d *DB) Load(r io.Reader) error {
	fresh, err := d.empty()
	if err != nil {
		return err
	}
	tx := fresh.mem.Txn(true)
	defer tx.Abort()
	if err := d.load(tx, bufio.NewReaderSize(r, 256<<10)); err != nil {
		return fmt.Errorf("load snapshot: %w", err)
	}
	tx.Commit()
	d.following.Lock()
	defer d.following.Unlock()
	old := d.now.Swap(fresh)
	close(old.abandoned)
	if d.follower != nil {
		d.follower(Commit{Restored: true, Tx: fresh.mem.Txn(false)})
	}
	return nil
}

func (d *DB) load(tx *memdb.Txn, in *bufio.Reader) error {
	var table Table
	var rows uint64
	var buf []byte
	for {
		kind, b, err := readPiece(in, buf)
		if err != nil {
			return err
		}
		buf = b
		switch kind {
		case pieceTable:
			t, ok := d.schema.tables[string(b)]
			if !ok {
				return fmt.Errorf("table %q is unknown: a newer server wrote the snapshot", b)
			}
			table = t
		case pieceRow:
			if table.New == nil {
				return errors.New("a row stands before any table")
			}
			row := table.New()
			if _, err := row.UnmarshalMsg(b); err != nil {
				return fmt.Errorf("row %d, of table %s: %w", rows, table.Schema.Name, err)
			}
			if err := tx.Insert(table.Schema.Name, row); err != nil {
				return fmt.Errorf("row %d, of table %s: %w", rows, table.Schema.Name, err)
			}
			rows++
		case pieceEnd:
			want, n := binary.Uvarint(b)
			if n <= 0 || want != rows {
				return fmt.Errorf("it holds %d rows, its end says %d", rows, want)
			}
			if _, err := in.ReadByte(); err != io.EOF {
				return errors.New("bytes stand behind its end")
			}
			return nil
		default:
			return fmt.Errorf("piece of unknown kind %q", kind)
		}
	}
}

// readPiece reads the next piece, into buf where it fits.
func readPiece(in *bufio.Reader, buf []byte) (byte, []byte, error) {
	kind, err := in.ReadByte()
	if err != nil {
		return 0, nil, cutShort(err)
	}
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return 0, nil, cutShort(err)
	}
	if n > maxPieceBytes {
		return 0, nil, fmt.Errorf("a piece of %d bytes is above the limit of %d", n, maxPieceBytes)
	}
	if uint64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(in, buf); err != nil {
		return 0, nil, cutShort(err)
	}
	return kind, buf, nil
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is cut short")
	}
	return err
}
