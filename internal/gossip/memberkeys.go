package gossip

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/serf/serf"
	"github.com/tinylib/msgp/msgp"

	"github.com/ctl-sh/ctl/internal/failure"
)

// MemberKeys is what one member says about its keyring.
type MemberKeys struct {
	Name   string
	Status Status
	// Keys are all keys it can read with, Primary is the one it writes with.
	Keys    []string
	Primary string
	// Problem says why the keys are not known, "" where they are.
	Problem string
}

// Problems of members.
const (
	problemSilent = "it did not answer"
	problemFailed = "it is failed"
)

// keyAttempts is how often members that did not answer are asked: questions and
// answers travel by UDP, and any of them may be lost.
const keyAttempts = 2

// MemberKeys asks every alive member for its keys and returns what is known of
// all members that did not leave, failed ones among them, in the order of the
// names. It waits until all alive members have answered or a few seconds have
// passed, twice, or until ctx ends. It fails where the pool does not run, has no
// keys, or cannot ask.
func (p *Pool) MemberKeys(ctx context.Context, relayFactor uint8) ([]MemberKeys, error) {
	s, err := p.running()
	if err != nil {
		return nil, err
	}
	if !s.EncryptionEnabled() {
		return nil, failure.New(failure.Invalid, textNoKeyring)
	}
	answers := map[string]MemberKeys{}
	for range keyAttempts {
		if err := p.askKeys(ctx, s, relayFactor, answers); err != nil {
			return nil, err
		}
		if len(p.silent(answers)) == 0 {
			break
		}
	}
	var all []MemberKeys
	for _, m := range p.Members() {
		if m.Status == StatusLeft {
			continue
		}
		k, ok := answers[m.Name]
		switch {
		case !ok && m.Status == StatusFailed:
			k.Problem = problemFailed
		case !ok:
			k.Problem = problemSilent
		}
		k.Name, k.Status = m.Name, m.Status
		all = append(all, k)
	}
	return all, nil
}

// silent returns the alive members without an answer.
func (p *Pool) silent(answers map[string]MemberKeys) []string {
	var names []string
	for _, m := range p.Members() {
		if _, ok := answers[m.Name]; !ok && m.Status == StatusAlive {
			names = append(names, m.Name)
		}
	}
	return names
}

// maxFilter is how many names a query has room for.
const maxFilter = 8

// askKeys asks the members that have not answered and adds their answers.
func (p *Pool) askKeys(ctx context.Context, s *serf.Serf, relayFactor uint8, answers map[string]MemberKeys) error {
	params := s.DefaultQueryParams()
	params.RelayFactor = relayFactor
	if silent := p.silent(answers); len(answers) > 0 && len(silent) <= maxFilter {
		params.FilterNodes = silent
	}
	resp, err := s.Query(serf.InternalQueryPrefix+"list-keys", keyRequest, params)
	if err != nil {
		return fmt.Errorf("ask members for their keys: %w", err)
	}
	defer resp.Close()
	over := time.NewTimer(params.Timeout)
	defer over.Stop()
	for {
		select {
		case r, ok := <-resp.ResponseCh():
			if !ok {
				return nil
			}
			k, err := parseKeyAnswer(r.Payload)
			if err != nil {
				k.Problem = fmt.Sprintf("its answer cannot be read: %v", err)
			}
			answers[r.From] = k
			if len(p.silent(answers)) == 0 {
				return nil
			}
		case <-over.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// The types of serf's messages about keys.
const (
	keyRequestType = 7
	keyAnswerType  = 8
)

// keyRequest is serf's request for a list: a message of its type without a key.
var keyRequest = msgp.AppendNil(msgp.AppendString(msgp.AppendMapHeader([]byte{keyRequestType}, 1), "Key"))

// parseKeyAnswer reads serf's answer to a request about keys: a map of Result,
// Message, Keys and PrimaryKey.
func parseKeyAnswer(b []byte) (k MemberKeys, err error) {
	if len(b) == 0 || b[0] != keyAnswerType {
		return k, errors.New("it is no answer about keys")
	}
	n, b, err := msgp.ReadMapHeaderBytes(b[1:])
	if err != nil {
		return k, err
	}
	done, message := false, ""
	for range n {
		var field string
		if field, b, err = msgp.ReadStringBytes(b); err != nil {
			return k, err
		}
		if msgp.IsNil(b) {
			if b, err = msgp.ReadNilBytes(b); err != nil {
				return k, err
			}
			continue
		}
		switch field {
		case "Result":
			done, b, err = msgp.ReadBoolBytes(b)
		case "Message":
			message, b, err = msgp.ReadStringBytes(b)
		case "PrimaryKey":
			k.Primary, b, err = msgp.ReadStringBytes(b)
		case "Keys":
			k.Keys, b, err = readStrings(b)
		default: // of a newer version
			b, err = msgp.Skip(b)
		}
		if err != nil {
			return k, err
		}
	}
	if !done {
		k.Problem = "it refused: " + message
	}
	return k, nil
}

// readStrings reads a list. It does not trust its length.
func readStrings(b []byte) (list []string, rest []byte, err error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil {
		return nil, b, err
	}
	for range n {
		var s string
		if s, b, err = msgp.ReadStringBytes(b); err != nil {
			return nil, b, err
		}
		list = append(list, s)
	}
	return list, b, nil
}
