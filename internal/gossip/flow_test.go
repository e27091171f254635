package gossip

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctl-sh/ctl/internal/gossip/memnet"
)

func TestInboundStreamsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net0 memnet.Network
		listen := func(n int) *memnet.Transport {
			tr, err := net0.Listen(fmt.Sprintf("127.0.0.%d:8301", n))
			if err != nil {
				t.Fatal(err)
			}
			return tr
		}
		var out bytes.Buffer
		f := newInflow(listen(1), newHeard(), slog.New(slog.NewTextHandler(&out, nil)))
		var taken []net.Conn
		dial := func(n, times int) {
			tr := listen(n)
			for range times {
				if _, err := tr.DialContext(t.Context(), "127.0.0.1:8301"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				select {
				case c := <-f.StreamCh():
					taken = append(taken, c)
				default:
				}
			}
		}
		dial(2, maxStreamsPerHost+5)
		if len(taken) != maxStreamsPerHost {
			t.Fatalf("one host has %d streams", len(taken))
		}
		for n := 3; n < 20; n++ {
			dial(n, 5)
		}
		if len(taken) != maxStreams {
			t.Fatalf("%d streams", len(taken))
		}
		if got := strings.Count(out.String(), "too many gossip connections"); got != 1 {
			t.Errorf("logged %d times: %s", got, out.String())
		}
		for _, c := range taken {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			_ = c.Close() // a second Close must not count twice
		}
		taken = nil
		dial(50, 1)
		if len(taken) != 1 || f.open != 1 || len(f.byHost) != 1 {
			t.Errorf("%d streams, %d counted for %d hosts", len(taken), f.open, len(f.byHost))
		}
		if err := f.Shutdown(); err != nil {
			t.Error(err)
		}
	})
}

func TestLibraryLinesAreMadeClear(t *testing.T) {
	wrongKey := "[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message from=10.0.0.%d:%d"
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newLibraryLog(slog.New(slog.NewTextHandler(&out, nil)), newRefusals())
		lines := func() []string {
			defer out.Reset()
			return strings.Split(strings.TrimSpace(out.String()), "\n")
		}
		for port := range 100 {
			l.Printf(wrongKey, 1, 1000+port)
		}
		l.Printf(wrongKey, 2, 1)
		got := lines()
		if len(got) != 2 || !strings.Contains(got[0], "level=ERROR") || !strings.Contains(got[0], "compare `encrypt`") ||
			!strings.Contains(got[0], "from=10.0.0.1:1000") || !strings.Contains(got[1], "from=10.0.0.2:1") {
			t.Errorf("got %q", got)
		}
		time.Sleep(noisePause)
		l.Printf(wrongKey, 1, 1000)
		if got := lines(); len(got) != 1 || got[0] == "" {
			t.Errorf("after a pause: %q", got)
		}
		l.Printf("[INFO] serf: EventMemberJoin: a 10.0.0.1")
		l.Printf("[WARN] serf: Shutdown without a Leave")
		if got := lines(); len(got) != 1 || !strings.Contains(got[0], "EventMemberJoin") {
			t.Errorf("got %q", got)
		}
	})
}

func TestJitterStaysNear(t *testing.T) {
	for range 1000 {
		if d := jitter(time.Second); d < 750*time.Millisecond || d > 1250*time.Millisecond {
			t.Fatalf("got %s", d)
		}
	}
	if d := jitter(1); d > 2 {
		t.Errorf("got %s", d)
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	r := newRefusals()
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 3 * maxRefusals {
		r.count(fmt.Sprintf("10.0.%d.%d:%d", i/256, i%256, i), RefusedOtherKey, begin.Add(time.Duration(i)*time.Second))
		r.count("10.9.9.9:1", RefusedNoKeyThere, begin.Add(time.Duration(i)*time.Second))
	}
	list := (&Pool{refusals: r}).Refusals()
	if len(list) != maxRefusals || list[0].Last.Before(list[1].Last) {
		t.Fatalf("%d refusals, the first two %+v", len(list), list[:2])
	}
	if i := slices.IndexFunc(list, func(r Refusal) bool { return r.Reason == RefusedNoKeyThere }); i < 0 || list[i].Count != 3*maxRefusals {
		t.Errorf("the one that goes on is at %d of %+v", i, list)
	}
}

func TestHeardIsBounded(t *testing.T) {
	h := newHeard()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	host := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	note := func(i int) {
		h.note(net.UDPAddrFromAddrPort(netip.AddrPortFrom(host(i), 8301)), at)
	}
	for i := range maxHeard + 10 {
		note(i)
	}
	if _, ok := h.from(host(maxHeard + 5)); ok || len(h.last) != maxHeard {
		t.Errorf("%d hosts, one too many: %t", len(h.last), ok)
	}
	at = at.Add(2 * heardKept)
	note(0)
	note(maxHeard + 5)
	if got, ok := h.from(host(maxHeard + 5)); !ok || got != at || len(h.last) != 2 {
		t.Errorf("heard %s, %t; %d hosts", got, ok, len(h.last))
	}
}
