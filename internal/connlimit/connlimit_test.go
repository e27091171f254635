package connlimit

import (
	"net"
	"testing"
)

func tcp(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1234} }

func TestLimitIsPerAddress(t *testing.T) {
	l := New(2)
	var releases []func()
	for i, c := range []struct {
		name string
		addr net.Addr
		want bool
	}{
		{"first", tcp("10.0.0.1"), true},
		{"second", tcp("10.0.0.1"), true},
		{"third is one too many", tcp("10.0.0.1"), false},
		{"the same address as IPv4 in IPv6", tcp("::ffff:10.0.0.1"), false},
		{"another address", tcp("10.0.0.2"), true},
		{"a unix socket is not counted", &net.UnixAddr{Name: "/run/x"}, true},
	} {
		release, ok := l.Acquire(c.addr)
		if ok != c.want {
			t.Errorf("%d %s: got %t, want %t", i, c.name, ok, c.want)
		}
		if ok {
			releases = append(releases, release)
		}
	}
	releases[0]()
	releases[0]() // a second call must not free another place
	if _, ok := l.Acquire(tcp("10.0.0.1")); !ok {
		t.Error("a released place was not given again")
	}
	if _, ok := l.Acquire(tcp("10.0.0.1")); ok {
		t.Error("releasing twice freed two places")
	}
}

func TestLimitChanges(t *testing.T) {
	l := New(0)
	for range 5 {
		if _, ok := l.Acquire(tcp("10.0.0.1")); !ok {
			t.Fatal("refused without a limit")
		}
	}
	l.SetLimit(5)
	if _, ok := l.Acquire(tcp("10.0.0.1")); ok {
		t.Error("connections from before the limit are not counted")
	}
	l.SetLimit(6)
	release, ok := l.Acquire(tcp("10.0.0.1"))
	if !ok {
		t.Fatal("refused below the raised limit")
	}
	release()
	if got := l.Held(); got != 5 {
		t.Errorf("held %d, want 5", got)
	}
}

func TestConnReleasesOnClose(t *testing.T) {
	l := New(1)
	release, _ := l.Acquire(tcp("10.0.0.1"))
	a, b := net.Pipe()
	defer b.Close()
	c := NewConn(a, release)
	c.Close()
	c.Close()
	if got := l.Held(); got != 0 {
		t.Errorf("held %d after close, want 0", got)
	}
}
