package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/ctl-sh/ctl/internal/config"
	"github.com/ctl-sh/ctl/internal/disk"
	"github.com/hashicorp/consul/api"
)

// local is this machine, by a configuration of the agent on it.
type local struct {
	paths     []string
	rt        *config.Runtime // nil where the configuration is not valid
	findings  []finding
	unchecked []string
}

// readLocal reads the configuration as the agent does.
func readLocal(paths []string) *local {
	l := &local{paths: paths}
	sources, warnings, err := config.ReadSources(config.OSFiles{}, paths, "")
	l.note(warnings)
	if err != nil {
		l.invalid(err)
		return l
	}
	conf, warnings, err := config.Load(config.Input{Sources: sources})
	l.note(warnings)
	if err != nil {
		l.invalid(err)
		return l
	}
	rt, warnings, err := conf.Resolve(config.ThisMachine())
	l.note(warnings)
	if err != nil {
		l.invalid(err)
		return l
	}
	l.rt = rt
	return l
}

func (l *local) where() string { return strings.Join(l.paths, ", ") }

// note passes on what the agent would warn of at its start.
func (l *local) note(warnings []config.Warning) {
	for _, w := range warnings {
		l.findings = append(l.findings, finding{
			note, "config", w.Key, upperFirst(w.Text), []string{(config.Problem{Where: w.Where, Key: w.Key, What: "the agent warns of it when it starts"}).String()},
			"Nothing has to be done where this is meant.",
		})
	}
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// invalid makes a finding of every problem.
func (l *local) invalid(err error) {
	var problems config.Problems
	if !errors.As(err, &problems) {
		problems = config.Problems{{What: err.Error()}}
	}
	for _, p := range problems {
		f := finding{
			critical, "config", p.Key, "The configuration is not valid: the agent does not start with it.",
			[]string{config.Problem{Where: p.Where, Key: p.Key, What: p.What}.String()},
			"Correct it, and see that `ctl validate " + strings.Join(l.paths, " ") + "` accepts it.",
		}
		if p.Do != "" {
			f.Fix = upperFirst(p.Do) + "."
		}
		l.findings = append(l.findings, f)
	}
	l.unchecked = append(l.unchecked, "ports and data directory of this machine: the configuration in "+l.where()+" is not valid")
}

// api are the addresses at which this machine reaches the agent's HTTP API.
func (l *local) api() []string {
	if l.rt == nil {
		return nil
	}
	for _, kind := range []struct {
		scheme    string
		listeners []config.Listener
	}{{"http://", l.rt.HTTP}, {"https://", l.rt.HTTPS}} {
		if len(kind.listeners) == 0 {
			continue
		}
		at := kind.listeners[0]
		if at.Network == "unix" {
			return []string{"unix://" + at.Address}
		}
		return []string{kind.scheme + reachable(at.Address)}
	}
	return nil
}

// reachable turns the address of all interfaces into that of one.
func reachable(address string) string {
	at, err := netip.ParseAddrPort(address)
	switch {
	case err != nil || !at.Addr().IsUnspecified():
		return address
	case at.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()).String()
	default:
		return netip.AddrPortFrom(netip.IPv6Loopback(), at.Port()).String()
	}
}

// check looks at ports and disk. c is what agents said, the local one perhaps
// among them.
func (l *local) check(c *cluster) {
	if l.rt == nil {
		return
	}
	own := l.agent(c)
	l.checkPorts(own, c)
	if own == nil || own.diagnosis == nil {
		l.checkDataDir()
	}
}

// agent is the view of the agent of this configuration, nil if it was not asked
// or does not answer.
func (l *local) agent(c *cluster) *view {
	for _, v := range c.ok() {
		if v.node() == l.rt.NodeName && v.settings.serfAddr == l.rt.SerfLAN.Bind.String() {
			return v
		}
	}
	return nil
}

// port is one address an agent listens on.
type port struct {
	key     string // the setting that moves it
	network string // tcp, udp or unix
	address string
}

// ports are all the configuration wants.
func (l *local) ports() []port {
	rt := l.rt
	var list []port
	both := func(key, address string) {
		list = append(list, port{key, "tcp", address}, port{key, "udp", address})
	}
	if rt.Server {
		list = append(list, port{"ports.server", "tcp", rt.RPC.Bind.String()})
	}
	both("ports.serf_lan", rt.SerfLAN.Bind.String())
	if rt.SerfWAN.IsValid() {
		both("ports.serf_wan", rt.SerfWAN.Bind.String())
	}
	for _, kind := range []struct {
		key       string
		listeners []config.Listener
	}{{"ports.http", rt.HTTP}, {"ports.https", rt.HTTPS}} {
		for _, at := range kind.listeners {
			list = append(list, port{kind.key, at.Network, at.Address})
		}
	}
	for _, at := range rt.DNS {
		both("ports.dns", at.Address)
	}
	return list
}

// checkPorts opens every port and closes it again. One that is in use is the
// agent's own, if it answers; where something answers that would not say what it
// is, nobody can tell.
func (l *local) checkPorts(own *view, c *cluster) {
	refused := slices.ContainsFunc(c.views, func(v *view) bool {
		var status api.StatusError
		return errors.As(v.err, &status) && slices.Contains(l.api(), v.address)
	})
	for _, p := range l.ports() {
		err := p.try()
		at := fmt.Sprintf("%s %s (%s)", p.network, p.address, p.key)
		f := finding{Severity: critical, Check: "port", Subject: p.address + "/" + p.network}
		switch {
		case err == nil, errors.Is(err, syscall.EADDRINUSE) && own != nil:
			continue
		case errors.Is(err, syscall.EADDRINUSE) && refused:
			l.unchecked = append(l.unchecked, at+" is in use, perhaps by this agent: it refuses to say who it is")
			continue
		case errors.Is(err, syscall.EADDRINUSE):
			f.Summary = fmt.Sprintf("The port %s is in use by another program.", at)
			f.Fix = fmt.Sprintf("Find it (`ss -lnp -A %s` as root names it) and stop it, or change %s.", p.network, p.key)
			f.Evidence = []string{err.Error(), l.nobody()}
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			f.Summary = fmt.Sprintf("The address %s is not one of this machine.", at)
			f.Fix = fmt.Sprintf("Change bind_addr, client_addr or %s: `ip address` lists those of this machine.", p.key)
			f.Evidence = []string{err.Error()}
		default: // most often no right to open it, which the agent's user may have
			l.unchecked = append(l.unchecked, at+": "+err.Error())
			continue
		}
		l.findings = append(l.findings, f)
	}
}

func (l *local) nobody() string {
	if at := l.api(); len(at) > 0 {
		return fmt.Sprintf("no agent named %s answers at %s", l.rt.NodeName, at[0])
	}
	return "the agent of this configuration was not asked"
}

// try opens the port and closes it again.
func (p port) try() error {
	switch p.network {
	case "udp":
		c, err := net.ListenPacket("udp", p.address)
		if err != nil {
			return err
		}
		return c.Close()
	case "unix":
		c, err := net.Dial("unix", p.address) // one left behind is no trouble
		if err != nil {
			return nil
		}
		return errors.Join(c.Close(), &net.OpError{Op: "listen", Net: "unix", Err: syscall.EADDRINUSE})
	default:
		c, err := net.Listen("tcp", p.address)
		if err != nil {
			return err
		}
		return c.Close()
	}
}

// checkDataDir measures the disk here, because the agent does not say.
func (l *local) checkDataDir() {
	dir := l.rt.DataDir
	if _, err := os.Stat(dir); l.rt.DevMode || dir == "" || errors.Is(err, fs.ErrNotExist) {
		return // the agent makes it
	}
	d := &dataDir{Path: dir}
	usage, err := disk.UsageOf(dir)
	if err == nil {
		d.FreeBytes, d.TotalBytes = usage.Free, usage.Total
	}
	took, err := disk.Fsync(dir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		l.unchecked = append(l.unchecked, fmt.Sprintf("data directory: this user may not write to %s; run doctor as the agent's user, or as root", dir))
		return
	case err != nil:
		d.Error = err.Error()
	default:
		seconds := took.Seconds()
		d.FsyncSeconds = &seconds
	}
	l.findings = append(l.findings, diskFindings(l.rt.NodeName, "this machine", l.rt.Server, d)...)
}
