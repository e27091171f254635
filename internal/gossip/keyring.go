package gossip

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/logging"
)

// textNoKeyring is what a pool without encryption answers; clients show it.
const textNoKeyring = "Keyring is empty (encryption not enabled)"

// decodeKey checks a gossip key. The text for a wrong size is Consul's.
func decodeKey(key string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return nil, errors.New("the gossip key is not base64 (make one with `ctl keygen`)")
	}
	if err := memberlist.ValidateKey(raw); err != nil {
		return nil, fmt.Errorf("Invalid key: %w", err) //nolint:staticcheck // text of the wire format
	}
	return raw, nil
}

// keyring returns the keys of the pool, or nil for no encryption, and the file
// in which serf is to keep changes, or "".
//
// The file wins over the configured key, so that a rotated key survives a
// restart with an old configuration; it is created from the key when absent.
func (p *Pool) keyring() (ring *memberlist.Keyring, file string, err error) {
	if p.cfg.Dir != "" && !p.cfg.DisableKeyringFile {
		file = p.cfg.file("keyring")
		keys, err := readKeyring(file)
		switch {
		case err == nil:
			if p.cfg.EncryptKey != "" && !slices.Contains(keys, p.cfg.EncryptKey) {
				p.log.Warn("the key in `encrypt` is not used: the keyring file has other keys and wins",
					logging.KeyFile, file, "advice", "rotate with the keyring API, or remove the file to start over")
			}
			ring, err = newKeyring(keys)
			return ring, file, err
		case !errors.Is(err, fs.ErrNotExist):
			return nil, "", err
		}
	}
	if p.cfg.EncryptKey == "" {
		return nil, "", nil
	}
	if file != "" {
		if err := writeKeyring(file, []string{p.cfg.EncryptKey}); err != nil {
			return nil, "", err
		}
	}
	ring, err = newKeyring([]string{p.cfg.EncryptKey})
	return ring, file, err
}

func readKeyring(file string) ([]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read keyring: %w", err)
	}
	var keys []string
	if err := json.Unmarshal(b, &keys); err != nil {
		return nil, fmt.Errorf("keyring %s is damaged (%w): restore it, or remove it to use the key in `encrypt`", file, err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("keyring %s holds no key: restore it, or remove it to use the key in `encrypt`", file)
	}
	for i, k := range keys {
		if _, err := decodeKey(k); err != nil {
			return nil, fmt.Errorf("keyring %s: key %d: %w", file, i+1, err)
		}
	}
	return keys, nil
}

// writeKeyring creates the file, flushed, under its name only when complete.
func writeKeyring(file string, keys []string) error {
	b, err := json.MarshalIndent(keys, "", "  ")
	if err != nil {
		return fmt.Errorf("encode keyring: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("create keyring directory: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".keyring-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("create keyring: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone after the rename
	_, err = tmp.Write(append(b, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write keyring: %w", err)
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		return fmt.Errorf("install keyring: %w", err)
	}
	return nil
}

// newKeyring makes a ring of which the first key is the primary one.
func newKeyring(keys []string) (*memberlist.Keyring, error) {
	raw := make([][]byte, len(keys))
	for i, k := range keys {
		var err error
		if raw[i], err = decodeKey(k); err != nil {
			return nil, err
		}
	}
	return memberlist.NewKeyring(raw, raw[0])
}

// CheckKey returns a gossip key in the form in which keyrings list it, or why it
// is none: not base64, or not 16, 24 or 32 bytes.
func CheckKey(key string) (string, error) {
	raw, err := decodeKey(key)
	if err != nil {
		return "", failure.Wrap(failure.Invalid, err)
	}
	return base64.StdEncoding.EncodeToString(raw), nil
}

// KeyReport is the answer of a pool's members to a keyring request. Keys and
// PrimaryKeys count the members that have a key (base64).
type KeyReport struct {
	NumNodes    int               // members asked
	NumResp     int               // members that answered
	NumErr      int               // of those, members that could not do it
	Messages    map[string]string // what a member had to say, by name
	Keys        map[string]int
	PrimaryKeys map[string]int
}

// ListKeys asks every member for its keys. Like the other keyring calls it
// waits for all alive members or a few seconds, and it fails, with what is
// known in the report, if any of them did not answer or could not comply.
func (p *Pool) ListKeys(relayFactor uint8) (KeyReport, error) {
	return p.keyOp(func(m *serf.KeyManager, o *serf.KeyRequestOptions) (*serf.KeyResponse, error) {
		return m.ListKeysWithOptions(o)
	}, relayFactor)
}

// InstallKey gives every member a further key to read with.
func (p *Pool) InstallKey(key string, relayFactor uint8) (KeyReport, error) {
	if _, err := decodeKey(key); err != nil {
		return KeyReport{}, failure.Wrap(failure.Invalid, err)
	}
	return p.keyOp(func(m *serf.KeyManager, o *serf.KeyRequestOptions) (*serf.KeyResponse, error) {
		return m.InstallKeyWithOptions(key, o)
	}, relayFactor)
}

// UseKey makes every member encrypt with an installed key.
func (p *Pool) UseKey(key string, relayFactor uint8) (KeyReport, error) {
	return p.keyOp(func(m *serf.KeyManager, o *serf.KeyRequestOptions) (*serf.KeyResponse, error) {
		return m.UseKeyWithOptions(key, o)
	}, relayFactor)
}

// RemoveKey makes every member forget a key. Members refuse it for the key they
// encrypt with.
func (p *Pool) RemoveKey(key string, relayFactor uint8) (KeyReport, error) {
	return p.keyOp(func(m *serf.KeyManager, o *serf.KeyRequestOptions) (*serf.KeyResponse, error) {
		return m.RemoveKeyWithOptions(key, o)
	}, relayFactor)
}

func (p *Pool) keyOp(op func(*serf.KeyManager, *serf.KeyRequestOptions) (*serf.KeyResponse, error), relay uint8) (KeyReport, error) {
	s, err := p.running()
	if err != nil {
		return KeyReport{}, err
	}
	if !s.EncryptionEnabled() {
		return KeyReport{}, failure.New(failure.Invalid, textNoKeyring)
	}
	r, err := op(s.KeyManager(), &serf.KeyRequestOptions{RelayFactor: relay})
	if r == nil {
		return KeyReport{}, err
	}
	return KeyReport{
		NumNodes: r.NumNodes, NumResp: r.NumResp, NumErr: r.NumErr,
		Messages: r.Messages, Keys: r.Keys, PrimaryKeys: r.PrimaryKeys,
	}, err
}
