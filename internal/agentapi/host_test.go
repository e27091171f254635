package agentapi

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDescribeHost(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	root := fstest.MapFS{
		"proc/meminfo":              file("MemTotal:        1000 kB\nMemFree:          300 kB\nMemAvailable:     600 kB\nBuffers:          100 kB\nCached:           200 kB\nHugePages_Total:       0\n"),
		"proc/cpuinfo":              file("processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\ncpu MHz\t\t: 2000.5\ncache size\t: 512 KB\nflags\t\t: fpu vme\n\nprocessor\t: 1\nmodel name\t: Xeon\n\n"),
		"proc/uptime":               file("100.5 3000.0\n"),
		"proc/sys/kernel/osrelease": file("6.1.0\n"),
		"proc/1/stat":               file(""),
		"proc/42/stat":              file(""),
		"etc/machine-id":            file("abc\n"),
		"etc/os-release":            file("PRETTY_NAME=\"Some Linux\"\nID=ubuntu\nID_LIKE=\"debian x\"\nVERSION_ID=\"24.04\"\n"),
	}
	h := describeHost(root, time.Unix(1000, 0))
	if len(h.Errors) > 0 {
		t.Errorf("errors %q", h.Errors)
	}
	if diff := cmp.Diff(h.Memory, &memoryInfo{Total: 1000 << 10, Available: 600 << 10, Used: 400 << 10, UsedPercent: 40, Free: 300 << 10, Buffers: 100 << 10, Cached: 200 << 10}); diff != "" {
		t.Errorf("memory (-got +want):\n%s", diff)
	}
	wantCPU := []cpuInfo{
		{CPU: 0, VendorID: "GenuineIntel", ModelName: "Xeon", MHz: 2000.5, CacheSize: 512, Flags: []string{"fpu", "vme"}},
		{CPU: 1, ModelName: "Xeon", Flags: []string{}},
	}
	if diff := cmp.Diff(h.CPU, wantCPU); diff != "" {
		t.Errorf("cpu (-got +want):\n%s", diff)
	}
	got := *h.Host
	got.Hostname, got.OS, got.KernelArch = "", "", ""
	want := systemInfo{Uptime: 100, BootTime: 899, Procs: 2, Platform: "ubuntu", PlatformFamily: "debian", PlatformVersion: "24.04", KernelVersion: "6.1.0", HostID: "abc"}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("host (-got +want):\n%s", diff)
	}
}

func TestDescribeHostWithoutLinux(t *testing.T) {
	h := describeHost(fstest.MapFS{}, time.Unix(1000, 0))
	if h.Memory != nil || len(h.CPU) == 0 || h.Host.OS == "" || h.CollectionTime != 1e12 {
		t.Errorf("got %+v", h)
	}
	for i, what := range []string{"memory: ", "cpu: ", "uptime: "} {
		if len(h.Errors) != 3 || !strings.HasPrefix(h.Errors[i], what) {
			t.Fatalf("errors %q", h.Errors)
		}
	}
}

func TestDiskUsage(t *testing.T) {
	d, err := diskUsage(t.TempDir())
	if err != nil || d.Total == 0 || d.Free > d.Total || d.UsedPercent < 0 || d.UsedPercent > 100 {
		t.Errorf("got %+v, %v", d, err)
	}
	if _, err := diskUsage("/no/such/directory"); err == nil {
		t.Error("a missing directory has a disk")
	}
}
