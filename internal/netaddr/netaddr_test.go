package netaddr

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeHost is a machine whose templates are looked up in a map.
type fakeHost struct {
	templates map[string]string
	v4, v6    []string
	err       error
}

func (f fakeHost) Expand(t string) (string, error) {
	out, ok := f.templates[t]
	if !ok {
		return "", errors.New("bad template")
	}
	return out, nil
}

func (f fakeHost) PrivateIPv4() ([]netip.Addr, error) { return addrs(f.v4...), f.err }
func (f fakeHost) PublicIPv6() ([]netip.Addr, error)  { return addrs(f.v6...), f.err }

func addrs(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, t := range texts {
		list = append(list, netip.MustParseAddr(t))
	}
	return list
}

func TestOne(t *testing.T) {
	h := fakeHost{templates: map[string]string{
		"{{ one }}":  "10.0.0.1\n",
		"{{ two }}":  "10.0.0.1 10.0.0.2",
		"{{ none }}": "",
	}}
	for _, c := range []struct {
		name, text, want, wantErr string
		is                        error
	}{
		{name: "address", text: "10.1.2.3", want: "10.1.2.3"},
		{name: "address between spaces", text: " 10.1.2.3 ", want: "10.1.2.3"},
		{name: "bracketed IPv6", text: "[::1]", want: "::1"},
		{name: "IPv4 in IPv6 is IPv4", text: "::ffff:10.0.0.9", want: "10.0.0.9"},
		{name: "IPv6 with a zone", text: "fe80::1%eth0", want: "fe80::1%eth0"},
		{name: "template", text: "{{ one }}", want: "10.0.0.1"},
		{name: "template with two results", text: "{{ two }}", wantErr: "multiple addresses found", is: ErrMultiple},
		{name: "template with no result", text: "{{ none }}", wantErr: "names no address", is: ErrNone},
		{name: "template that does not parse", text: "{{ nope }}", wantErr: "bad template"},
		{name: "empty", text: "", wantErr: "names no address", is: ErrNone},
		{name: "two addresses", text: "10.0.0.1 10.0.0.2", wantErr: "multiple addresses found", is: ErrMultiple},
		{name: "host name", text: "localhost", wantErr: `"localhost" is not an IP address`},
		{name: "address with a port", text: "10.0.0.1:8301", wantErr: "is not an IP address"},
		{name: "unix socket", text: "unix:///run/x", wantErr: "is a unix socket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := One(h, c.text)
			checkErr(t, err, c.wantErr, c.is)
			if err == nil && got.String() != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestMany(t *testing.T) {
	h := fakeHost{templates: map[string]string{"{{ two }} 127.0.0.1": "10.0.0.1 10.0.0.2 127.0.0.1", "{{ none }}": " "}}
	ip := func(s string) Endpoint { return Endpoint{IP: netip.MustParseAddr(s)} }
	for _, c := range []struct {
		name, text, wantErr string
		want                []Endpoint
	}{
		{name: "nothing", text: ""},
		{name: "template with no result", text: "{{ none }}"},
		{name: "several in order", text: "127.0.0.1 ::1", want: []Endpoint{ip("127.0.0.1"), ip("::1")}},
		{name: "template beside an address", text: "{{ two }} 127.0.0.1", want: []Endpoint{ip("10.0.0.1"), ip("10.0.0.2"), ip("127.0.0.1")}},
		{name: "duplicates go", text: "127.0.0.1 127.0.0.1", want: []Endpoint{ip("127.0.0.1")}},
		{name: "unix path beside an address", text: "unix:///run/a 127.0.0.1", want: []Endpoint{{Unix: "/run/a"}, ip("127.0.0.1")}},
		{name: "unix path with a space", text: "unix:///run/my agent", want: []Endpoint{{Unix: "/run/my agent"}}},
		{name: "two unix paths", text: "unix:///a unix:///b", want: []Endpoint{{Unix: "/a"}, {Unix: "/b"}}},
		{name: "unix without a path", text: "unix://", wantErr: "names no path"},
		{name: "not an address", text: "127.0.0.1 here", wantErr: `"here" is not an IP address`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Many(h, c.text)
			checkErr(t, err, c.wantErr, nil)
			if d := cmp.Diff(got, c.want, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
				t.Errorf("got - want +:\n%s", d)
			}
		})
	}
}

func TestDetect(t *testing.T) {
	v4, v6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	for _, c := range []struct {
		name, want, wantErr string
		host                fakeHost
		bind                netip.Addr
		is                  error
	}{
		{name: "the only private address", host: fakeHost{v4: []string{"10.0.0.7"}}, bind: v4, want: "10.0.0.7"},
		{name: "no private address", bind: v4, wantErr: "No private IPv4 address found", is: ErrNone},
		{name: "several private addresses", host: fakeHost{v4: []string{"10.0.0.7", "172.17.0.1"}}, bind: v4,
			wantErr: "Multiple private IPv4 addresses found. Please configure one with 'bind' and/or 'advertise'.", is: ErrMultiple},
		{name: "several are named", host: fakeHost{v4: []string{"10.0.0.7", "172.17.0.1"}}, bind: v4, wantErr: "10.0.0.7, 172.17.0.1"},
		{name: "the only public IPv6 address", host: fakeHost{v4: []string{"10.0.0.7"}, v6: []string{"2001:db8::1"}}, bind: v6, want: "2001:db8::1"},
		{name: "no public IPv6 address", host: fakeHost{v4: []string{"10.0.0.7"}}, bind: v6, wantErr: "No public IPv6 address found", is: ErrNone},
		{name: "interfaces unreadable", host: fakeHost{err: errors.New("netlink")}, bind: v4, wantErr: "netlink"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Detect(c.host, c.bind)
			checkErr(t, err, c.wantErr, c.is)
			if err == nil && got.String() != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		want       bool
	}{
		{"same address", "127.0.0.1", "127.0.0.1", true},
		{"different addresses", "127.0.0.1", "127.0.0.2", false},
		{"IPv4 wildcard covers IPv4", "0.0.0.0", "127.0.0.2", true},
		{"wildcard second", "127.0.0.2", "0.0.0.0", true},
		{"IPv4 wildcard leaves IPv6 alone", "0.0.0.0", "::1", false},
		{"IPv6 wildcard covers both", "::", "127.0.0.1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Overlap(netip.MustParseAddr(c.a), netip.MustParseAddr(c.b)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestSystem(t *testing.T) {
	out, err := System{}.Expand(`{{ GetAllInterfaces | include "type" "IPv4" | include "address" "127.0.0.1" | attr "address" }}`)
	if err != nil || (out != "127.0.0.1" && out != "") {
		t.Errorf("loopback template gave %q, %v", out, err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"the interfaces are what a template is given", `{{ eq (len .) (len GetAllInterfaces) }}`, "true"},
		{"fields can be named", `{{ range . }}{{ if ne .Name (attr "name" .) }}{{ .Name }}{{ end }}{{ end }}`, ""},
		{"functions that sort, filter and help", `{{ GetAllInterfaces | exclude "name" ".*" | sort "address" | unique "address" | join "address" "," }}`, ""},
	} {
		if out, err := (System{}).Expand(c.text); err != nil || out != c.want {
			t.Errorf("%s: %s gave %q, %v; want %q", c.name, c.text, out, err, c.want)
		}
	}
	for _, c := range []struct{ name, text, want string }{
		{"an unknown function", `{{ Nonsense }}`, `function "Nonsense" not defined`},
		{"an argument too few", `{{ GetInterfaceIP }}`, "wrong number of args for GetInterfaceIP: want 1 got 0"},
		{"an unknown field", `{{ range . }}{{ .Nonsense }}{{ end }}`, "can't evaluate field Nonsense"},
	} {
		_, err := System{}.Expand(c.text)
		checkErr(t, err, c.want, nil)
	}
	v4, err := System{}.PrivateIPv4()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range v4 {
		if !a.Is4() || a.IsLoopback() {
			t.Errorf("%v is no private IPv4 address", a)
		}
	}
	if _, err := (System{}).PublicIPv6(); err != nil {
		t.Fatal(err)
	}
}

func checkErr(t *testing.T, err error, want string, is error) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Fatalf("unexpected error: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Fatalf("got error %v, want one with %q", err, want)
	case is != nil && !errors.Is(err, is):
		t.Fatalf("error %v is not %v", err, is)
	}
}
