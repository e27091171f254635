package agentapi

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/ctl-sh/ctl/internal/authz"
	"github.com/ctl-sh/ctl/internal/disk"
	"github.com/ctl-sh/ctl/internal/httpapi"
)

// hostInfo is the machine the agent runs on. What cannot be told here is null,
// with a reason in Errors. Names are those of the public API, which are in
// another style than everywhere else.
type hostInfo struct {
	Memory         *memoryInfo
	CPU            []cpuInfo
	Host           *systemInfo
	Disk           *diskInfo
	CollectionTime int64 // nanoseconds since 1970
	Errors         []string
}

type memoryInfo struct {
	Total       uint64  `json:"total"`
	Available   uint64  `json:"available"`
	Used        uint64  `json:"used"`
	UsedPercent float64 `json:"usedPercent"`
	Free        uint64  `json:"free"`
	Buffers     uint64  `json:"buffers"`
	Cached      uint64  `json:"cached"`
	SwapTotal   uint64  `json:"swapTotal"`
	SwapFree    uint64  `json:"swapFree"`
}

type cpuInfo struct {
	CPU        int      `json:"cpu"`
	VendorID   string   `json:"vendorId"`
	Family     string   `json:"family"`
	Model      string   `json:"model"`
	Stepping   int      `json:"stepping"`
	PhysicalID string   `json:"physicalId"`
	CoreID     string   `json:"coreId"`
	Cores      int      `json:"cores"`
	ModelName  string   `json:"modelName"`
	MHz        float64  `json:"mhz"`
	CacheSize  int      `json:"cacheSize"`
	Flags      []string `json:"flags"`
	Microcode  string   `json:"microcode"`
}

type systemInfo struct {
	Hostname        string `json:"hostname"`
	Uptime          uint64 `json:"uptime"`
	BootTime        uint64 `json:"bootTime"`
	Procs           uint64 `json:"procs"`
	OS              string `json:"os"`
	Platform        string `json:"platform"`
	PlatformFamily  string `json:"platformFamily"`
	PlatformVersion string `json:"platformVersion"`
	KernelVersion   string `json:"kernelVersion"`
	KernelArch      string `json:"kernelArch"`
	HostID          string `json:"hostId"`
}

type diskInfo struct {
	Path              string  `json:"path"`
	Total             uint64  `json:"total"`
	Free              uint64  `json:"free"`
	Used              uint64  `json:"used"`
	UsedPercent       float64 `json:"usedPercent"`
	InodesTotal       uint64  `json:"inodesTotal"`
	InodesUsed        uint64  `json:"inodesUsed"`
	InodesFree        uint64  `json:"inodesFree"`
	InodesUsedPercent float64 `json:"inodesUsedPercent"`
}

// diskUsage describes the file system that holds path.
func diskUsage(path string) (*diskInfo, error) {
	u, err := disk.UsageOf(path)
	if err != nil {
		return nil, err
	}
	d := &diskInfo{
		Path: path, Total: u.Total, Free: u.Free, Used: u.Used,
		InodesTotal: u.InodesTotal, InodesFree: u.InodesFree, InodesUsed: u.InodesTotal - min(u.InodesTotal, u.InodesFree),
	}
	d.UsedPercent = percent(d.Used, d.Used+d.Free)
	d.InodesUsedPercent = percent(d.InodesUsed, d.InodesTotal)
	return d, nil
}

func percent(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

func (a *API) host(ctx context.Context, r *httpapi.Request) (*httpapi.Response, error) {
	if err := authz.Require(ctx, a.Authz, r.Options.Token, authz.Operator, "", authz.Read); err != nil {
		return nil, err
	}
	h := describeHost(os.DirFS("/"), time.Now())
	var err error
	if h.Disk, err = diskUsage(cmp.Or(a.DataDir, os.TempDir())); err != nil {
		h.Errors = append(h.Errors, "disk: "+err.Error())
	}
	return &httpapi.Response{Body: h}, nil
}

// describeHost reads what Linux tells in files below root; on other systems
// there are none.
func describeHost(root fs.FS, now time.Time) *hostInfo {
	h := &hostInfo{CollectionTime: now.UnixNano(), Host: system(root)}
	note := func(what string, err error) {
		if err != nil {
			h.Errors = append(h.Errors, fmt.Sprintf("%s: not known on %s: %v", what, runtime.GOOS, err))
		}
	}
	var err error
	h.Memory, err = memory(root)
	note("memory", err)
	h.CPU, err = cpus(root)
	note("cpu", err)
	var up float64
	err = scanFile(root, "proc/uptime", "%f", &up)
	note("uptime", err)
	if err == nil {
		h.Host.Uptime = uint64(up)
		h.Host.BootTime = uint64(now.Add(-time.Duration(up * float64(time.Second))).Unix())
	}
	return h
}

func scanFile(root fs.FS, name, format string, into ...any) error {
	b, err := fs.ReadFile(root, name)
	if err == nil {
		_, err = fmt.Sscanf(string(b), format, into...)
	}
	return err
}

// pairs calls fn for each line of a file of names and values.
func pairs(root fs.FS, name, separator string, fn func(key, value string)) error {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		key, value, _ := strings.Cut(line, separator)
		fn(strings.TrimSpace(key), strings.TrimSpace(value))
	}
	return nil
}

func memory(root fs.FS) (*memoryInfo, error) {
	var m memoryInfo
	fields := map[string]*uint64{
		"MemTotal": &m.Total, "MemAvailable": &m.Available, "MemFree": &m.Free,
		"Buffers": &m.Buffers, "Cached": &m.Cached, "SwapTotal": &m.SwapTotal, "SwapFree": &m.SwapFree,
	}
	err := pairs(root, "proc/meminfo", ":", func(key, value string) {
		if f := fields[key]; f != nil {
			kib, _ := strconv.ParseUint(strings.TrimSuffix(value, " kB"), 10, 64) // the kernel writes numbers
			*f = kib << 10
		}
	})
	if err != nil {
		return nil, err
	}
	m.Used = m.Total - min(m.Total, m.Free+m.Buffers+m.Cached)
	m.UsedPercent = percent(m.Used, m.Total)
	return &m, nil
}

// cpus returns one entry for each logical processor. Where nothing is known of
// them, they are at least counted.
func cpus(root fs.FS) ([]cpuInfo, error) {
	var list []cpuInfo
	err := pairs(root, "proc/cpuinfo", ":", func(key, value string) {
		number, _ := strconv.ParseFloat(strings.TrimSuffix(value, " KB"), 64) // 0 for what is none
		if key == "processor" {
			list = append(list, cpuInfo{CPU: int(number), Flags: []string{}})
		}
		if len(list) > 0 {
			list[len(list)-1].set(key, value, number)
		}
	})
	if err == nil {
		return list, nil
	}
	for i := range runtime.NumCPU() {
		list = append(list, cpuInfo{CPU: i, Flags: []string{}})
	}
	return list, err
}

// set takes a line of /proc/cpuinfo, as x86 and ARM kernels write them.
func (c *cpuInfo) set(key, value string, number float64) {
	switch key {
	case "vendor_id", "CPU implementer":
		c.VendorID = value
	case "cpu family", "CPU architecture":
		c.Family = value
	case "model", "CPU part":
		c.Model = value
	case "stepping", "CPU revision":
		c.Stepping = int(number)
	case "physical id":
		c.PhysicalID = value
	case "core id":
		c.CoreID = value
	case "cpu cores":
		c.Cores = int(number)
	case "model name":
		c.ModelName = value
	case "cpu MHz":
		c.MHz = number
	case "cache size":
		c.CacheSize = int(number)
	case "flags", "Features":
		c.Flags = strings.Fields(value)
	case "microcode":
		c.Microcode = value
	}
}

// system returns what is known; the rest stays empty.
func system(root fs.FS) *systemInfo {
	s := &systemInfo{OS: runtime.GOOS, Platform: runtime.GOOS, KernelArch: machine()}
	s.Hostname, _ = os.Hostname() // a machine without a name has none to show
	line := func(name string) string {
		b, err := fs.ReadFile(root, name)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(b))
	}
	s.KernelVersion = line("proc/sys/kernel/osrelease")
	s.HostID = line("etc/machine-id")
	_ = pairs(root, "etc/os-release", "=", func(key, value string) {
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			s.Platform, s.PlatformFamily = value, cmp.Or(s.PlatformFamily, value)
		case "ID_LIKE":
			s.PlatformFamily, _, _ = strings.Cut(value, " ")
		case "VERSION_ID":
			s.PlatformVersion = value
		}
	})
	entries, _ := fs.ReadDir(root, "proc")
	for _, e := range entries {
		if digits, _ := path.Match("[0-9]*", e.Name()); digits {
			s.Procs++
		}
	}
	return s
}

// machine returns the architecture by the name kernels give it.
func machine() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	default:
		return runtime.GOARCH
	}
}
