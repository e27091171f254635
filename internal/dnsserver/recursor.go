package dnsserver

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/ctl-sh/ctl/internal/view"
)

// maxSameQuestion is how often the same question may be at the recursors at a
// time. More is not chance but a loop: a recursor asks us what we ask it.
const maxSameQuestion = 16

// inFlight counts the questions that are at the recursors.
type inFlight struct {
	mu    sync.Mutex
	count map[string]int
}

func (f *inFlight) enter(question string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count[question] >= maxSameQuestion {
		return false
	}
	f.count[question]++
	return true
}

func (f *inFlight) leave(question string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count[question]--; f.count[question] <= 0 {
		delete(f.count, question)
	}
}

var (
	errLoop     = errors.New("the recursors ask us what we ask them")
	errNoAnswer = errors.New("no recursor answered")
)

// recurse hands a question about another zone to the recursors.
func (x *exchange) recurse() error {
	x.zone = nil
	x.fail(dns.RcodeRefused)
	x.msg.authoritative = false
	if len(x.rules.Recursors) == 0 {
		return nil
	}
	if !x.opts.Wait {
		return view.ErrNotHere
	}
	answer, err := x.askRecursors(x.outgoing(), x.via, x.limit())
	if err != nil {
		x.server.log.Debug("a DNS question could not be handed on", "error", err)
		x.msg.rcode = dns.RcodeServerFailure
		return nil
	}
	binary.BigEndian.PutUint16(answer, x.req.id)
	answer[3] |= 1 << 7 // recursion is available
	x.relay = answer
	return nil
}

// outgoing is the question as recursors get it. Its id is set for each of them.
func (x *exchange) outgoing() []byte {
	q := make([]byte, headerBytes, headerBytes+len(x.req.asked)+64)
	if x.req.rd {
		q[2] = 1
	}
	q[5] = 1
	q = append(q, x.req.asked...)
	if !x.req.edns {
		return q
	}
	q[11] = 1
	m := message{out: q}
	m.opt(&x.req)
	return m.out
}

// askRecursors returns the first answer that says anything: SERVFAIL and
// REFUSED lead on to the next recursor. An answer longer than limit is cut to
// its question, with TC set.
func (x *exchange) askRecursors(query []byte, via transport, limit int) ([]byte, error) {
	folded := bytes.ToLower(query[headerBytes:])
	if !x.server.flights.enter(string(folded)) {
		return nil, errLoop
	}
	defer x.server.flights.leave(string(folded))
	list := x.rules.Recursors
	err := errNoAnswer
	start := 0
	if x.rules.RandomRecursors {
		start = x.random.IntN(len(list))
	}
	for i := range list {
		at := list[(start+i)%len(list)]
		var answer []byte
		if answer, err = x.ask(at, query, via); err != nil {
			continue
		}
		if code := answer[3] & 0xf; code == dns.RcodeServerFailure || code == dns.RcodeRefused {
			err = errNoAnswer
			continue
		}
		if len(answer) > limit {
			end, _ := skipName(answer, headerBytes, false)
			answer = answer[:end+4]
			answer[2] |= 1 << 1
			copy(answer[6:], make([]byte, 6))
		}
		return answer, nil
	}
	return nil, err
}

// ask asks one recursor. The id of every question and the port it comes from
// cannot be guessed: the system chooses the port, from a socket of its own.
func (x *exchange) ask(at string, query []byte, via transport) ([]byte, error) {
	ctx, cancel := context.WithTimeout(x.ctx, x.rules.RecursorTimeout)
	defer cancel()
	network := "udp"
	if via == overTCP {
		network = "tcp"
	}
	conn, err := x.server.dial(ctx, network, at)
	if err != nil {
		return nil, err
	}
	defer conn.Close() // the answer is there, or is not
	// Ends the reading below also when ctx is cancelled before its deadline.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	crand.Read(query[:2]) // cannot fail
	if via == overTCP {
		framed := binary.BigEndian.AppendUint16(nil, uint16(len(query))) //nolint:gosec // a question
		if _, err := conn.Write(append(framed, query...)); err != nil {
			return nil, err
		}
		answer, err := readFramed(conn)
		if err == nil && !answers(answer, query) {
			err = errNoAnswer
		}
		return answer, err
	}
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	buffer := make([]byte, maxTCPBytes)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, err
		}
		if answers(buffer[:n], query) { // anything else may be forged
			return bytes.Clone(buffer[:n]), nil
		}
	}
}

// answers reports whether msg is an answer to query.
func answers(msg, query []byte) bool {
	end, ok := skipName(query, headerBytes, false)
	if !ok || len(msg) < end+4 {
		return false
	}
	return msg[2]&0x80 != 0 && bytes.Equal(msg[:2], query[:2]) && msg[4] == 0 && msg[5] == 1 &&
		bytes.EqualFold(msg[headerBytes:end+4], query[headerBytes:end+4])
}

func readFramed(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, msg)
	return msg, err
}

// maxRecursed is how many records of recursors an answer gets to a client that
// does not say how long answers may be.
const maxRecursed = 5

// resolveElsewhere adds the addresses of a name of another zone, as owner's.
// Recursors that do not answer leave it without.
func (x *exchange) resolveElsewhere(owner nameRef, host string, ttl uint32, to *[]record, of int32) error {
	if len(x.rules.Recursors) == 0 {
		return nil
	}
	if !x.opts.Wait {
		return view.ErrNotHere
	}
	var q dns.Msg
	q.SetQuestion(dns.Fqdn(host), dns.TypeA)
	query, err := q.Pack()
	if err != nil {
		return nil //nolint:nilerr // a name that cannot be asked has no address
	}
	raw, err := x.askRecursors(query, overUDP, maxTCPBytes)
	var answer dns.Msg
	if err != nil || answer.Unpack(raw) != nil {
		return nil //nolint:nilerr // as documented
	}
	m := &x.msg
	owners := map[string]nameRef{dns.CanonicalName(host): owner}
	for i, rr := range answer.Answer {
		if i == maxRecursed && !x.req.edns {
			break
		}
		from, ok := owners[dns.CanonicalName(rr.Header().Name)]
		if !ok {
			continue
		}
		r := record{owner: from, target: root, rtype: rr.Header().Rrtype, ttl: ttl, of: of}
		switch rr := rr.(type) {
		case *dns.A:
			r.ip = ipOf(rr.A)
		case *dns.AAAA:
			r.ip = ipOf(rr.AAAA)
		case *dns.CNAME:
			name := dns.CanonicalName(rr.Target)
			if r.target, ok = owners[name]; !ok {
				if r.target, ok = m.textName(rr.Target, root); !ok {
					continue
				}
				owners[name] = r.target
			}
		default:
			continue
		}
		*to = append(*to, r)
	}
	return nil
}
