// Package durable writes small files that are afterwards either whole or known
// to be damaged, and holds the error that says what was damaged where.
//
// It is not for large or often written files: every write is a new file, two
// flushes and a rename. Rules that keep it right: a file appears under its name
// only after its content is on disk, so a checksum that does not match is never
// a write cut short by a crash, always damage; the name, too, is flushed before
// Write returns.
package durable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

// Damage says that stored state is not what was written. Whoever gets it must
// not serve, or vote, from that state.
type Damage struct {
	Path  string // the damaged file or directory
	Index uint64 // the first log index in doubt; 0 where that is unknown
	What  string // what was found, in the operator's words
	Err   error  // the cause; may be nil
}

// Error implements error.
func (d *Damage) Error() string {
	s := "damaged " + d.Path
	if d.Index > 0 {
		s += fmt.Sprintf(" at index %d", d.Index)
	}
	s += ": " + d.What
	if d.Err != nil {
		s += ": " + d.Err.Error()
	}
	return s
}

// Unwrap gives errors.Is and errors.As the cause.
func (d *Damage) Unwrap() error { return d.Err }

// IsDamage reports whether err's chain holds a Damage.
func IsDamage(err error) bool {
	var d *Damage
	return errors.As(err, &d)
}

const (
	magic   = "ctlfile1"
	sumSize = 4
)

// Castagnoli returns the table of CRC-32C, which amd64 and arm64 compute in
// hardware.
func Castagnoli() *crc32.Table { return castagnoli }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Write stores payload under path, readable by the owner alone. When it returns
// nil the content survives a power cut; when it fails, what was there before is
// still there.
func Write(path string, payload []byte) error {
	b := make([]byte, 0, len(magic)+len(payload)+sumSize)
	b = append(append(b, magic...), payload...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	tmp := path + ".tmp"
	if err := writeFlushed(tmp, b); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

func writeFlushed(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Read returns the payload stored under path. It fails with a Damage when the
// content is not what Write stored, and with an error that is fs.ErrNotExist
// when there is no such file.
func Read(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(b) < len(magic)+sumSize || !bytes.HasPrefix(b, []byte(magic)) {
		return nil, &Damage{Path: path, What: "cut short, or not a file of ours"}
	}
	body, sum := b[:len(b)-sumSize], b[len(b)-sumSize:]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(sum) {
		return nil, &Damage{Path: path, What: "checksum does not match"}
	}
	return body[len(magic):], nil
}
