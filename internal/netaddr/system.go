package netaddr

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/DataDog/datadog-agent/pkg/template/text"
	"github.com/hashicorp/go-sockaddr"
	functions "github.com/hashicorp/go-sockaddr/template"
)

// System is the machine this process runs on. Its zero value is ready to use,
// by any number of goroutines; every call looks at the interfaces anew.
type System struct{}

// Expand implements Host: go-sockaddr's functions, over all interfaces. Fields
// can be named in a template but no methods: the standard library's templates
// find those by name at run time, so the linker would have to keep every method
// of the program.
func (System) Expand(text string) (string, error) {
	interfaces, err := sockaddr.GetAllInterfaces()
	if err != nil {
		return "", fmt.Errorf("list the interfaces of this machine: %w", err)
	}
	t, err := template.New("address").Option("missingkey=error").
		Funcs(functions.SourceFuncs).Funcs(functions.SortFuncs).
		Funcs(functions.FilterFuncs).Funcs(functions.HelperFuncs).
		Parse(text)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	if err := t.Execute(&out, interfaces); err != nil {
		return "", err
	}
	return out.String(), nil
}

// PrivateIPv4 implements Host.
func (System) PrivateIPv4() ([]netip.Addr, error) {
	return interfaceAddrs(func(a netip.Addr) bool {
		return a.Is4() && (a.IsPrivate() || sharedSpace().Contains(a))
	})
}

// PublicIPv6 implements Host.
func (System) PublicIPv6() ([]netip.Addr, error) {
	return interfaceAddrs(func(a netip.Addr) bool {
		return a.Is6() && a.IsGlobalUnicast() && !a.IsPrivate()
	})
}

// sharedSpace is the carrier-grade NAT range of RFC 6598, which go-sockaddr
// and Consul count as private.
func sharedSpace() netip.Prefix { return netip.MustParsePrefix("100.64.0.0/10") }

func interfaceAddrs(keep func(netip.Addr) bool) ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var list []netip.Addr
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		if ip = ip.Unmap(); ok && keep(ip) && !slices.Contains(list, ip) {
			list = append(list, ip)
		}
	}
	return list, nil
}
