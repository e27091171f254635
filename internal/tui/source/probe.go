package source

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// probeTime bounds one question.
const probeTime = 3 * time.Second

// Probe implements Feed. It asks over UDP, and over TCP where the answer is
// truncated.
func (s *Source) Probe(ctx context.Context, q Question) (Answer, error) {
	st := s.Current()
	q.Server = cmp.Or(q.Server, st.Connection.Agent.DNS)
	if q.Server == "" {
		return Answer{Question: q}, &Problem{Kind: Refused, Text: "the agent does not say where it answers DNS", Hint: "name a server, host:port", At: s.now()}
	}
	if _, _, err := net.SplitHostPort(q.Server); err != nil {
		q.Server = net.JoinHostPort(q.Server, "53")
	}
	if _, ok := dns.IsDomainName(q.Name); !ok || q.Name == "" {
		return Answer{Question: q}, &Problem{Kind: Refused, Text: fmt.Sprintf("%q is no name that DNS can be asked for", q.Name), At: s.now()}
	}
	types := []uint16{dns.TypeSRV, dns.TypeA, dns.TypeAAAA}
	if q.Type != "" {
		t, ok := dns.StringToType[strings.ToUpper(q.Type)]
		if !ok {
			return Answer{Question: q}, &Problem{Kind: Refused, Text: fmt.Sprintf("%q is no type of record", q.Type), Hint: "such as A, AAAA, SRV, TXT or ANY", At: s.now()}
		}
		types = []uint16{t}
	}
	var a Answer
	for _, t := range types {
		var err error
		if a, err = s.ask(ctx, q, t, st); err != nil || len(a.Answers) > 0 {
			return a, err
		}
	}
	return a, nil
}

func (s *Source) ask(ctx context.Context, q Question, t uint16, st *State) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	q.Type = dns.TypeToString[t]
	m := new(dns.Msg).SetQuestion(dns.Fqdn(q.Name), t)
	m.SetEdns0(4096, false)
	a := Answer{Question: q, Server: q.Server}
	began := s.now()
	in, _, err := (&dns.Client{Net: "udp", Timeout: probeTime}).ExchangeContext(ctx, m, q.Server)
	if err == nil && in.Truncated {
		a.Truncated = true
		in, _, err = (&dns.Client{Net: "tcp", Timeout: probeTime}).ExchangeContext(ctx, m, q.Server)
	}
	a.Took = s.now().Sub(began)
	if err != nil {
		return a, &Problem{Kind: Unreachable, Text: fmt.Sprintf("the name server at %s does not answer: %v", q.Server, err), Hint: "is ports.dns on, and UDP let through?", At: s.now()}
	}
	a.Code, a.Size = dns.RcodeToString[in.Rcode], in.Len()
	a.Answers, a.Extra, a.Authority = records(in.Answer, st), records(in.Extra, st), records(in.Ns, st)
	return a, nil
}

func records(all []dns.RR, st *State) []Record {
	var out []Record
	for _, rr := range all {
		h := rr.Header()
		if h.Rrtype == dns.TypeOPT {
			continue
		}
		r := Record{
			Name: h.Name, Type: dns.TypeToString[h.Rrtype], TTL: time.Duration(h.Ttl) * time.Second,
			Data: strings.TrimPrefix(rr.String(), h.String()),
		}
		r.Instance = instanceOf(rr, st)
		out = append(out, r)
	}
	return out
}

// instanceOf finds the instance in sight that a record speaks of.
func instanceOf(rr dns.RR, st *State) string {
	var match func(i *Instance) bool
	switch rr := rr.(type) {
	case *dns.A:
		match = func(i *Instance) bool { return i.Address == rr.A.String() }
	case *dns.AAAA:
		match = func(i *Instance) bool { return i.Address == rr.AAAA.String() }
	case *dns.SRV:
		match = func(i *Instance) bool {
			return i.Port == int(rr.Port) && strings.HasPrefix(strings.ToLower(rr.Target), strings.ToLower(i.Node)+".")
		}
	default:
		return ""
	}
	for _, rows := range [][]*Instance{st.Service.Rows, st.Node.Services} {
		if i := slices.IndexFunc(rows, match); i >= 0 {
			return rows[i].Node + "/" + rows[i].ID
		}
	}
	return ""
}
