package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ctl-sh/ctl/internal/dirlock"
	"github.com/ctl-sh/ctl/internal/failure"
)

// Files in the data directory.
const (
	fileNodeID   = "node-id"
	fileMetadata = "server_metadata.json"
)

// openDataDir makes the data directory this agent's own until the lock is
// released.
func openDataDir(dir string) (*dirlock.Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data_dir %s cannot be made: %w; make it, or let data_dir name a directory this user may write", dir, err)
	}
	lock, err := dirlock.Acquire(dir)
	switch {
	case failure.Is(err, failure.Conflict):
		return nil, fmt.Errorf("data_dir: %w", err)
	case err != nil:
		return nil, fmt.Errorf("data_dir %s cannot be used: %w; let it be a directory this user may write", dir, err)
	}
	return lock, nil
}

// nodeID returns the configured id, the one kept in dir, or a new random one,
// and keeps it in dir. An empty dir keeps nothing.
func nodeID(dir, configured string) (string, error) {
	if dir == "" {
		if configured != "" {
			return strings.ToLower(configured), nil
		}
		return uuid.NewString(), nil
	}
	path := filepath.Join(dir, fileNodeID)
	kept, err := os.ReadFile(path)
	switch {
	case err == nil && configured == "":
		id := strings.ToLower(strings.TrimSpace(string(kept)))
		if _, err := uuid.Parse(id); err != nil {
			return "", fmt.Errorf("%s does not hold a node id (a UUID): %w; restore it, or remove the file to become a new node", path, err)
		}
		return id, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("read node id: %w", err)
	}
	id := strings.ToLower(configured)
	if id == "" {
		id = uuid.NewString()
	}
	return id, writeFile(path, []byte(id))
}

// writeFile replaces a file as a whole, readable by the owner only.
func writeFile(path string, data []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return os.Rename(tmp, path)
}

// metadata says when a server was last there.
type metadata struct {
	LastSeenUnix int64 `json:"last_seen_unix"`
}

// checkAge refuses to start a server that was away so long that the cluster has
// forgotten it: its log may be of a cluster that moved on without it.
func checkAge(dir string, limit time.Duration, now time.Time) error {
	path := filepath.Join(dir, fileMetadata)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read server metadata: %w", err)
	}
	var m metadata
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("%s is damaged: %w; remove the file if this server was stopped less than %v ago", path, err, limit)
	}
	if away := now.Sub(time.Unix(m.LastSeenUnix, 0)); away > limit {
		return fmt.Errorf("this server was last seen %v ago, longer than server_rejoin_age_max (%v): the cluster may have replaced it; "+
			"move data_dir away to join as a new server, or remove %s if it is still the same cluster", away.Round(time.Minute), limit, path)
	}
	return nil
}

// markSeen notes that this server is there.
func markSeen(dir string, now time.Time) error {
	b, err := json.Marshal(metadata{LastSeenUnix: now.Unix()})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, fileMetadata), b)
}
