package gossip

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// prepareSnapshot makes the snapshot file and its directory readable to this
// user only (serf would create them readable to all) and returns the gossip
// addresses of the members that were alive when the agent stopped, itself left
// out.
func (p *Pool) prepareSnapshot() (previous []string, err error) {
	if p.cfg.Dir == "" {
		return nil, nil
	}
	file := p.cfg.file("snapshot")
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create gossip directory: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("protect gossip directory: %w", err)
	}
	f, err := os.OpenFile(file, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open gossip snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := os.Chmod(file, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("protect gossip snapshot: %w", err)
	}
	alive := readSnapshot(f, p.cfg.RejoinAfterLeave)
	delete(alive, p.cfg.memberName())
	return slices.Sorted(maps.Values(alive)), nil
}

// readSnapshot returns the members alive at the end of a serf snapshot by name.
// Lines it does not know are skipped: a cut or damaged file costs a hint, no
// more.
func readSnapshot(r io.Reader, rejoinAfterLeave bool) map[string]string {
	alive := make(map[string]string)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line := lines.Text()
		if member, ok := strings.CutPrefix(line, "alive: "); ok {
			if i := strings.LastIndexByte(member, ' '); i > 0 {
				alive[member[:i]] = member[i+1:]
			}
		} else if name, ok := strings.CutPrefix(line, "not-alive: "); ok {
			delete(alive, name)
		} else if line == "leave" && !rejoinAfterLeave {
			clear(alive)
		}
	}
	return alive
}
