package doctor

import (
	"fmt"
	"time"
)

// Clocks: an answer's date is cut to seconds, so less than a second is unseen.
const (
	skewWarning = 2 * time.Second
	skewProven  = time.Second
)

func checkClocks(c *cluster) []finding {
	var off []*view
	known := 0
	for _, v := range c.ok() {
		if !v.skew.known {
			continue
		}
		known++
		if size := v.skew.ahead.Abs(); size >= skewWarning && size-v.skew.margin >= skewProven {
			off = append(off, v)
		}
	}
	evidence := func(v *view) string {
		word := "ahead of"
		if v.skew.ahead < 0 {
			word = "behind"
		}
		return fmt.Sprintf("the clock of %s is %v %s this machine's, give or take %v", v.where(),
			v.skew.ahead.Abs().Round(100*time.Millisecond), word, v.skew.margin.Round(100*time.Millisecond))
	}
	const fix = "Run a time service (chrony, systemd-timesyncd) there and let it step the clock; certificates, TTLs and logs rely on it."
	agree := known > 1 && len(off) == known
	for _, v := range off {
		agree = agree && (v.skew.ahead-off[0].skew.ahead).Abs() < skewWarning
	}
	var list []finding
	for i, v := range off {
		f := finding{warning, "clock", v.node(), fmt.Sprintf("The clock of %s differs from this machine's.", v.node()), []string{evidence(v)}, fix}
		if agree {
			if i > 0 {
				list[0].Evidence = append(list[0].Evidence, evidence(v))
				continue
			}
			f.Subject, f.Summary = "this machine", "The clock of this machine differs from that of all agents asked, which agree."
		}
		list = append(list, f)
	}
	return list
}

const day = 24 * time.Hour

// Before a certificate ends: one that is a file, or a root, somebody has to
// replace; one of auto_encrypt the agent renews by itself, long before its end.
const (
	expirySoon     = 30 * day
	expiryUrgent   = 2 * day
	expiryRenewing = 6 * time.Hour
)

func checkCertificates(c *cluster) []finding {
	var list []finding
	for _, v := range c.ok() {
		if v.expiry == nil {
			continue
		}
		left, soon, urgent := *v.expiry, expirySoon, expiryUrgent
		fix := "Replace the file before, and reload: docs/how-to/rotate-certificates.md."
		if v.settings.autoEncrypt {
			soon, urgent = expiryRenewing, 0
			fix = "The agent renews it itself, and could not: see that it reaches the servers, and that they have a leader; `ctl monitor` says what fails."
		}
		if left < soon {
			list = append(list, expiring(left, urgent, v.node(), "The TLS certificate of "+v.node(), v.where()+" reports it as agent.tls.cert.expiry", fix))
		}
	}
	if c.roots == nil {
		return list
	}
	for _, root := range c.roots.Roots {
		if left := root.NotAfter.Sub(c.now); root.Active && !root.NotAfter.IsZero() && left < expirySoon {
			list = append(list, expiring(left, expiryUrgent, "root", "The active root certificate of Connect", fmt.Sprintf("%q ends at %s", root.Name, root.NotAfter.UTC().Format(time.RFC3339)),
				"Rotate it: `ctl connect ca rotate`, docs/how-to/rotate-the-root.md."))
		}
	}
	return list
}

func expiring(left, urgent time.Duration, subject, what, evidence, fix string) finding {
	f := finding{warning, "certificate", subject, fmt.Sprintf("%s ends in %s.", what, roughly(left)), []string{evidence}, fix}
	if left < urgent || left <= 0 {
		f.Severity = critical
	}
	if left <= 0 {
		f.Summary = fmt.Sprintf("%s ended %s ago.", what, roughly(-left))
	}
	return f
}

func roughly(d time.Duration) string {
	if d >= 2*day {
		return fmt.Sprintf("%d days", d/day)
	}
	return fmt.Sprintf("%d hours", d/time.Hour)
}

// Limits of a data directory's disk.
const (
	leastFree      = 1 << 30
	leastFreeShare = 0.05
	slowFsync      = 0.1
)

func checkDisks(c *cluster) []finding {
	var list []finding
	for _, v := range c.ok() {
		if v.diagnosis == nil || v.diagnosis.DataDir == nil {
			continue // it keeps nothing on disk, or cannot tell
		}
		found := diskFindings(v.node(), v.where(), v.self.Config.Server, v.diagnosis.DataDir)
		if v.stuck() {
			found[0].Evidence = append(found[0].Evidence, c.stuckEvidence(v)...)
		}
		list = append(list, found...)
	}
	return list
}

// stuck reports whether the agent is a server that cannot write: that it then
// knows no leader, or lags behind, is no finding of its own.
func (v *view) stuck() bool {
	return v.self.Config.Server && v.diagnosis != nil && v.diagnosis.DataDir != nil && v.diagnosis.DataDir.Error != ""
}

// stuckEvidence is what follows for a server from that it cannot write.
func (c *cluster) stuckEvidence(v *view) []string {
	var list []string
	if v.leader == "" {
		list = append(list, v.where()+" knows no leader")
	}
	if c.autopilot != nil {
		for _, s := range c.autopilot.Servers {
			if s.Name == v.node() && !s.Healthy {
				list = append(list, "autopilot calls it unhealthy; status "+string(s.Status))
			}
		}
	}
	return list
}

// diskFindings looks at the disk of a node's data directory, as who saw it.
func diskFindings(node, who string, server bool, d *dataDir) []finding {
	var list []finding
	room := fmt.Sprintf("%s has %s of %s free at %s", who, size(d.FreeBytes), size(d.TotalBytes), d.Path)
	loss := ""
	if server {
		loss = " A server that cannot write its log acknowledges nothing; one that leads steps down, and ends."
	}
	switch {
	case d.Error != "":
		f := finding{
			critical, "disk", node, fmt.Sprintf("The data directory of %s cannot be written.", node),
			[]string{who + ": " + d.Error},
			"Give the agent's user the right to write there; see that the disk is not mounted read-only, and is whole.",
		}
		if d.TotalBytes > 0 {
			f.Evidence = append(f.Evidence, room)
		}
		if d.TotalBytes > 0 && d.FreeBytes < 1<<20 {
			f.Summary = fmt.Sprintf("The disk of %s is full: its data directory cannot be written.", node)
			f.Fix = "Make room there, or move data_dir to a larger disk." + loss
		}
		list = append(list, f)
	case d.TotalBytes > 0 && (d.FreeBytes < leastFree || float64(d.FreeBytes) < leastFreeShare*float64(d.TotalBytes)):
		list = append(list, finding{
			critical, "disk", node, fmt.Sprintf("The disk of %s is nearly full.", node), []string{room},
			"Make room there, or move data_dir to a larger disk, before it is full." + loss,
		})
	}
	if d.FsyncSeconds != nil && *d.FsyncSeconds > slowFsync {
		list = append(list, finding{
			warning, "disk", node, fmt.Sprintf("The disk of %s is slow.", node),
			[]string{fmt.Sprintf("%s took %.0f ms to have 4 KiB on disk at %s", who, 1000**d.FsyncSeconds, d.Path)},
			"Every write to the cluster waits for the servers' disks. Put data_dir on a disk of its own, an SSD; look for what else writes there.",
		})
	}
	return list
}

func size(n uint64) string {
	if n < 100<<20 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
