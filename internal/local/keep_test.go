package local_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctl-sh/ctl/internal/checks"
	"github.com/ctl-sh/ctl/internal/journal"
	"github.com/ctl-sh/ctl/internal/local"
)

// logged loads a State and returns what it logged.
func logged(t *testing.T, dir string) (*local.State, string) {
	t.Helper()
	var log bytes.Buffer
	s := local.New(local.Config{Node: local.Node{Name: "n1"}, Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))}, checks.New(checks.Config{}))
	must(t, s.Load())
	return s, log.String()
}

// names is the ids of the services in a line.
func names(s *local.State) string {
	var list []string
	for id := range s.Services() {
		list = append(list, id)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// oldFile writes a file as versions before the journal did.
func oldFile(t *testing.T, dir, sub, id, content string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(id))
	path := filepath.Join(dir, filepath.FromSlash(sub), hex.EncodeToString(sum[:]))
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// TestFilesAreMoved starts on a data directory of a version that kept a file each.
func TestFilesAreMoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	web := `{"Token":"s","Service":{"ID":"web","Service":"web","Tags":["a"],"Meta":null,"Port":80,"Address":"","TaggedAddresses":null,"Weights":{"Passing":1,"Warning":1},"EnableTagOverride":false},"Source":"remote"}`
	check := `{"Check":{"Node":"n0","CheckID":"service:web","Name":"c","Status":"critical","Notes":"","Output":"","ServiceID":"web","ServiceName":"web","ServiceTags":["a"],"Type":"ttl","Interval":"","Timeout":"","ExposedPort":0},"ChkType":{"TTL":"1h0m0s"},"Token":"s","Source":"remote"}`
	state := fmt.Sprintf(`{"CheckID":"service:web","Output":"fine","Status":"passing","Expires":%d}`, time.Now().Add(time.Hour).Unix())
	oldFile(t, dir, "services", "web", web)
	oldFile(t, dir, "checks", "service:web", check)
	oldFile(t, dir, "checks", "orphan", strings.ReplaceAll(strings.ReplaceAll(check, "service:web", "orphan"), `"ServiceID":"web"`, `"ServiceID":"gone"`))
	oldFile(t, dir, "checks/state", "service:web", state)
	must(t, os.WriteFile(filepath.Join(dir, "services", "x.tmp"), []byte("{"), 0o600))
	broken := oldFile(t, dir, "services", "broken", "{broken")

	for _, time := range []string{"first", "second"} {
		s, log := logged(t, dir)
		if got, want := names(s)+" "+states(s), "web service:web=passing"; got != want {
			t.Errorf("%s start: %s, want %s", time, got, want)
		}
		if items := s.Drift(); len(items) != 1 || items[0].Token != "s" || items[0].Service.Port != 80 || items[0].Checks[0].Output != "fine" {
			t.Errorf("%s start: to tell: %+v", time, items)
		}
		if moved := strings.Contains(log, "moved from files"); moved != (time == "first") || !strings.Contains(log, broken) {
			t.Errorf("%s start logged %s", time, log)
		}
		must(t, s.Close())
		var left []string
		must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if !d.IsDir() {
				left = append(left, path)
			}
			return err
		}))
		if d := cmp.Diff(left, []string{filepath.Join(dir, "registrations"), broken}); d != "" {
			t.Errorf("%s start: files, got - want +:\n%s", time, d)
		}
	}

	// An earlier version ran again in between: what it wrote is newer.
	oldFile(t, dir, "services", "web", strings.ReplaceAll(web, "80", "81"))
	s, _ := logged(t, dir)
	if got := s.Service("web").Port; got != 81 {
		t.Errorf("port %d, want that of the newer file", got)
	}
	must(t, s.Close())
	s, _ = logged(t, dir)
	if got := s.Service("web").Port; got != 81 {
		t.Errorf("port %d after another start", got)
	}
	must(t, s.Close())
}

// TestMovingIsBrokenOff finds a file that was moved before and could not be removed.
func TestMovingIsBrokenOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		oldFile(t, dir, "services", "web", `{"Service":{"ID":"web","Service":"web"}}`)
		s, _ := logged(t, dir)
		if names(s) != "web" {
			t.Errorf("services %q", names(s))
		}
		must(t, s.Close())
	}
	s, _ := logged(t, dir)
	must(t, s.DeregisterService("web", nil))
	must(t, s.Close())
	if s, _ = logged(t, dir); names(s) != "" {
		t.Errorf("%s came back", names(s))
	}
}

// TestCutFile registers, takes something back, and starts with the file cut off
// anywhere: what was registered before that place is there, the rest is not, and
// where it was cut is said.
func TestCutFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "registrations")
	s, _ := logged(t, dir)
	type point struct {
		size int64
		want string
	}
	var points []point
	note := func() {
		info, err := os.Stat(path)
		must(t, err)
		points = append(points, point{info.Size(), names(s) + " " + states(s)})
	}
	note()
	must(t, s.RegisterService(service(t, `{"name":"web","checks":[{"tcp":":1","interval":"1h"},{"tcp":":2","interval":"1h"}]}`), local.FromAPI, false, nil))
	note()
	must(t, s.RegisterCheck(check(t, `{"name":"disk","ttl":"1h","status":"passing"}`), local.FromAPI, nil))
	note()
	must(t, s.UpdateTTL("disk", checks.Warning, "hm"))
	note()
	must(t, s.RegisterService(service(t, `{"name":"web","check":{"checkid":"service:web:2","tcp":":1","interval":"1h"}}`), local.FromAPI, true, nil))
	note()
	must(t, s.DeregisterCheck("disk", nil))
	note()
	must(t, s.DeregisterService("web", nil))
	note()
	whole, err := os.ReadFile(path)
	must(t, err)
	for n := int(points[0].size); n <= len(whole); n += 3 {
		last := points[0]
		for _, p := range points {
			if p.size <= int64(n) {
				last = p
			}
		}
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "registrations"), whole[:n], 0o600))
		s, log := logged(t, dir)
		if got := names(s) + " " + states(s); got != last.want {
			t.Fatalf("cut at %d: %q, want %q", n, got, last.want)
		}
		if said := strings.Contains(log, fmt.Sprintf("offset=%d bytes=%d", last.size, int64(n)-last.size)); said != (int64(n) != last.size) {
			t.Errorf("cut at %d: logged %q", n, log)
		}
		must(t, s.Close())
	}
}

func TestDamagedFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "registrations")
	s, _ := logged(t, dir)
	for _, name := range []string{"a", "b", "c"} {
		must(t, s.RegisterService(service(t, `{"name":"`+name+`"}`), local.FromAPI, false, nil))
	}
	must(t, s.Close())
	b, err := os.ReadFile(path)
	must(t, err)
	b[bytes.Index(b, []byte(`"Service":"b"`))]++
	must(t, os.WriteFile(path, b, 0o600))
	s, log := logged(t, dir)
	if names(s) != "a c" {
		t.Errorf("services %s, want a c", names(s))
	}
	for _, want := range []string{"level=ERROR", path, "at offset ", "register again"} {
		if !strings.Contains(log, want) {
			t.Errorf("logged %q, without %q", log, want)
		}
	}
	must(t, s.Close())
	if s, log = logged(t, dir); names(s) != "a c" || log != "" {
		t.Errorf("the next start has %s and logged %q", names(s), log)
	}
	must(t, s.Close())
}

// TestWhatCannotBeKept is refused and changes nothing.
func TestWhatCannotBeKept(t *testing.T) {
	t.Parallel()
	s, _ := logged(t, t.TempDir())
	must(t, s.RegisterService(service(t, `{"name":"web","check":{"ttl":"1h"}}`), local.FromAPI, false, nil))
	must(t, s.Close())
	before := names(s) + " " + states(s)
	for what, err := range map[string]error{
		"register service": s.RegisterService(service(t, `{"name":"api"}`), local.FromAPI, false, nil), "replace": s.RegisterService(service(t, `{"name":"web","port":1}`), local.FromAPI, true, nil),
		"register check": s.RegisterCheck(check(t, `{"name":"disk","ttl":"1h"}`), local.FromAPI, nil), "maintenance": s.SetNodeMaintenance(true, "", nil),
		"deregister service": s.DeregisterService("web", nil), "deregister check": s.DeregisterCheck("service:web", nil),
	} {
		if !errors.Is(err, journal.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after := names(s) + " " + states(s); after != before || s.Service("web").Port != 0 {
		t.Errorf("now %s, before %s", after, before)
	}
	unloaded := local.New(local.Config{Dir: t.TempDir()}, checks.New(checks.Config{}))
	if err := unloaded.RegisterService(service(t, `{"name":"web"}`), local.FromAPI, false, nil); err == nil {
		t.Error("registered without the data directory taken in")
	}
}

// TestManyAtOnce registers, replaces and removes from many goroutines: afterwards
// the next start finds exactly what this one ends with.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := logged(t, dir)
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := range 60 {
				name := fmt.Sprint("s", (w+i)%5)
				switch i % 6 {
				case 0, 1, 2, 3:
					d, err := local.ParseService(fmt.Appendf(nil, `{"name":"%s","port":%d,"checks":[{"checkid":"%s-%d","ttl":"1h","status":"passing"}]}`, name, w*100+i, name, i%3))
					if err == nil {
						err = d.Validate()
					}
					if err == nil {
						err = s.RegisterService(d, local.FromAPI, i%2 == 0, nil)
					}
					if err != nil {
						t.Error(err)
					}
				case 4:
					_ = s.UpdateTTL(name+"-1", checks.Passing, fmt.Sprint(w, i)) // it may be gone
					_ = s.DeregisterCheck(name+"-2", nil)                        // the same
				case 5:
					_ = s.DeregisterService(name, nil) // it may be gone
					if err := s.SetNodeMaintenance(i%4 == 1, "", nil); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
	services, want := s.Services(), s.Checks()
	must(t, s.Close())
	again, log := logged(t, dir)
	if d := cmp.Diff(again.Services(), services); d != "" || log != "" {
		t.Errorf("services, got - want +:\n%s%s", d, log)
	}
	got := again.Checks()
	for _, list := range []map[string]*local.Check{got, want} {
		for id, c := range list {
			row := *c
			row.Output, row.Status = "", ""
			list[id] = &row
		}
	}
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("checks, got - want +:\n%s", d)
	}
	must(t, again.Close())
}

func BenchmarkRegister(b *testing.B) {
	for _, k := range []struct {
		name    string
		clients int
	}{{"one after the other", 1}, {"16 at once", 16}} {
		b.Run(k.name, func(b *testing.B) {
			s := local.New(local.Config{Node: local.Node{Name: "n1"}, Dir: b.TempDir()}, checks.New(checks.Config{}))
			if err := s.Load(); err != nil {
				b.Fatal(err)
			}
			next := make(chan int)
			var group sync.WaitGroup
			for range k.clients {
				group.Go(func() {
					for i := range next {
						d, err := local.ParseService(fmt.Appendf(nil, `{"Name":"s%04d","Port":%d,"Tags":["bench"],"Check":{"TTL":"1h","Status":"passing"}}`, i%1000, 10000+i))
						if err == nil {
							err = d.Validate()
						}
						if err == nil {
							err = s.RegisterService(d, local.FromAPI, false, nil)
						}
						if err != nil {
							b.Error(err)
						}
					}
				})
			}
			for i := range b.N {
				next <- i
			}
			close(next)
			group.Wait()
		})
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	s := local.New(local.Config{Node: local.Node{Name: "n1"}, Dir: b.TempDir()}, checks.New(checks.Config{}))
	if err := s.Load(); err != nil {
		b.Fatal(err)
	}
	d, err := local.ParseCheck([]byte(`{"Name":"c","TTL":"1h"}`))
	if err == nil {
		err = local.ValidateCheck(d)
	}
	if err == nil {
		err = s.RegisterCheck(d, local.FromAPI, nil)
	}
	for i := 0; err == nil && b.Loop(); i++ {
		err = s.UpdateTTL("c", []string{checks.Passing, checks.Warning}[i%2], "")
	}
	if err != nil {
		b.Fatal(err)
	}
}
