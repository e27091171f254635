package gossip_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/gossip"
)

var (
	redKey  = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	blueKey = base64.StdEncoding.EncodeToString([]byte("fedcba9876543210"))
)

func TestGossipKeys(t *testing.T) {
	for _, c := range []struct {
		name           string
		one, two       string // gossip keys
		lax            bool   // the first agent takes plain gossip too
		joins          bool
		joiner, joined string // what the error and the other agent's log say
	}{
		{"the same key", redKey, redKey, false, true, "", ""},
		{"no key", "", "", false, true, "", ""},
		{"another key", redKey, blueKey, false, false, "its gossip key is another one: compare `encrypt`",
			"encrypted with a key this agent does not have"},
		{"a key missing here", redKey, "", false, false, "it has a gossip key and this agent has none: set `encrypt` here",
			"it is not encrypted, but this agent has a gossip key"},
		{"a key missing there", "", redKey, false, false, "this agent has a gossip key and that one has none: set `encrypt` there",
			"it is encrypted, but this agent has no gossip key"},
		{"rolling it out", redKey, "", true, true, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				one, two := l.config(1), l.config(2)
				one.EncryptKey, two.EncryptKey = c.one, c.two
				one.VerifyIncoming, one.VerifyOutgoing = !c.lax, !c.lax
				a, b := l.start(one), l.start(two)
				if a.Encrypted() != (c.one != "") || b.Encrypted() != (c.two != "") {
					t.Errorf("encrypted: %v, %v", a.Encrypted(), b.Encrypted())
				}
				_, err := b.Join(t.Context(), []string{"127.0.0.1"})
				time.Sleep(time.Second)
				if c.joins {
					if err != nil {
						t.Fatal(err)
					}
					await(t, 5*time.Second, "node-1=alive node-2=alive", a, b)
					return
				}
				if err == nil || !strings.Contains(err.Error(), c.joiner) {
					t.Errorf("the join says %v", err)
				}
				if !a.log.has(c.joined) {
					t.Errorf("the other agent says:\n%s", a.log)
				}
				for _, key := range []string{redKey, blueKey} {
					if a.log.has(key) || b.log.has(key) || strings.Contains(errText(err), key) {
						t.Error("a gossip key was told")
					}
				}
			})
		})
	}
}

func TestKeyringFile(t *testing.T) {
	for _, c := range []struct {
		name      string
		file      string // content before; empty is no file
		key       string
		disabled  bool
		encrypted bool
		after     []string // keys in the file; nil is no file
		log, fail string
	}{
		{"made from the key", "", redKey, false, true, []string{redKey}, "", ""},
		{"wins over the key", `["` + blueKey + `"]`, redKey, false, true, []string{blueKey}, "the keyring file has other keys", ""},
		{"holds the key", `["` + blueKey + `","` + redKey + `"]`, redKey, false, true, []string{blueKey, redKey}, "", ""},
		{"is enough", `["` + blueKey + `"]`, "", false, true, []string{blueKey}, "", ""},
		{"disabled", "", redKey, true, true, nil, "", ""},
		{"disabled and ignored", `["` + blueKey + `"]`, "", true, false, []string{blueKey}, "", ""},
		{"none", "", "", false, false, nil, "", ""},
		{"damaged", `["`, redKey, false, false, nil, "", "is damaged"},
		{"empty", `[]`, redKey, false, false, nil, "", "holds no key"},
		{"a key of a wrong size", `["YWJj"]`, redKey, false, false, nil, "", "key 1: Invalid key: key size must be 16, 24 or 32 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "serf", "local.keyring")
			if c.file != "" {
				write(t, file, c.file)
			}
			inLab(t, func(t *testing.T, l *lab) {
				conf := l.config(1)
				conf.Dir, conf.EncryptKey, conf.DisableKeyringFile = dir, c.key, c.disabled
				if c.fail != "" {
					p, err := gossip.New(conf)
					if err != nil {
						t.Fatal(err)
					}
					err = p.Run(t.Context(), func() { t.Error("ready") })
					if err == nil || !strings.Contains(err.Error(), c.fail) || strings.Contains(err.Error(), "YWJj") {
						t.Errorf("got %v", err)
					}
					return
				}
				a := l.start(conf)
				if a.Encrypted() != c.encrypted {
					t.Errorf("encrypted is %v", a.Encrypted())
				}
				if !a.log.has(c.log) {
					t.Errorf("no %q in the log:\n%s", c.log, a.log)
				}
				if diff := cmp.Diff(c.after, keysIn(t, file)); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestKeyRotation(t *testing.T) {
	dir := t.TempDir()
	inLab(t, func(t *testing.T, l *lab) {
		one, two := l.config(1), l.config(2)
		one.EncryptKey, two.EncryptKey = redKey, redKey
		one.Dir = dir
		a, b := l.start(one), l.start(two)
		b.join(a)
		await(t, 5*time.Second, "node-1=alive node-2=alive", a, b)
		if _, err := b.InstallKey(blueKey, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := b.UseKey(blueKey, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := b.RemoveKey(blueKey, 0); err == nil {
			t.Error("the key in use was removed")
		}
		if _, err := b.RemoveKey(redKey, 0); err != nil {
			t.Fatal(err)
		}
		r, err := b.ListKeys(0)
		if err != nil {
			t.Fatal(err)
		}
		want := gossip.KeyReport{
			NumNodes: 2, NumResp: 2, Messages: map[string]string{},
			Keys: map[string]int{blueKey: 2}, PrimaryKeys: map[string]int{blueKey: 2},
		}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{blueKey}, keysIn(t, filepath.Join(dir, "serf", "local.keyring"))); diff != "" {
			t.Error(diff)
		}
		if _, err := b.InstallKey("YWJj", 0); !failure.Is(err, failure.Invalid) {
			t.Errorf("a key of a wrong size: %v", err)
		}
		_, err = l.start(l.config(3)).ListKeys(0)
		if errText(err) != "Keyring is empty (encryption not enabled)" {
			t.Errorf("got %v", err)
		}
	})
}

func TestRestartFindsTheOthersInTheSnapshot(t *testing.T) {
	for _, c := range []struct {
		name          string
		leave, rejoin bool
		want          bool
	}{
		{"after a stop", false, false, true},
		{"after leaving", true, false, false},
		{"after leaving, with rejoin_after_leave", true, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			inLab(t, func(t *testing.T, l *lab) {
				conf := l.config(2)
				conf.Dir, conf.RejoinAfterLeave = dir, c.rejoin
				a, b := l.start(l.config(1)), l.start(conf)
				b.join(a)
				await(t, 5*time.Second, "node-1=alive node-2=alive", a, b)
				time.Sleep(time.Second) // serf writes its snapshot behind events
				if c.leave {
					if err := b.Leave(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				b.kill()
				time.Sleep(time.Minute)
				b = l.start(conf)
				if got := len(b.Previous()) == 1; got != c.want {
					t.Errorf("previous members are %v", b.Previous())
				}
				time.Sleep(5 * time.Second)
				if got := a.addrOf("node-2") != ""; got != c.want {
					t.Errorf("node-1 sees %s", a.view())
				}
				if runtime.GOOS == "windows" {
					return
				}
				for path, want := range map[string]os.FileMode{"serf": 0o700, "serf/local.snapshot": 0o600} {
					if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm() != want {
						t.Errorf("%s: %v, %v", path, info.Mode(), err)
					}
				}
			})
		})
	}
}

// Serf tries the members of its snapshot once and then gives up, so that
// servers which start together after a power cut would never meet again.
func TestAllStartAgainFromTheirSnapshots(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	inLab(t, func(t *testing.T, l *lab) {
		start := func(n int) *agent {
			conf := l.config(n)
			conf.Dir = dirs[n-1]
			return l.start(conf)
		}
		agents := []*agent{start(1), start(2), start(3)}
		agents[1].join(agents[0])
		agents[2].join(agents[0])
		await(t, 5*time.Second, "node-1=alive node-2=alive node-3=alive", agents...)
		time.Sleep(time.Second)
		for _, a := range agents {
			a.kill()
		}
		time.Sleep(time.Hour)
		for i := range agents {
			agents[i] = start(i + 1)
			agents[i].retry(t, gossip.RetryJoinConfig{})
			time.Sleep(20 * time.Second)
		}
		await(t, 40*time.Second, "node-1=alive node-2=alive node-3=alive", agents...)
	})
}

func TestADamagedSnapshotCostsNoMoreThanAHint(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "serf", "local.snapshot"),
		"alive: node-1 127.0.0.1:8301\nclock: x\nali\x00\xffve: \nalive: \nalive: node-9\nleave \nnot-alive: node-7\nalive: no de 127.0.0.4:8301")
	inLab(t, func(t *testing.T, l *lab) {
		a := l.start(l.config(1))
		conf := l.config(2)
		conf.Dir = dir
		b := l.start(conf)
		if diff := cmp.Diff([]string{"127.0.0.1:8301", "127.0.0.4:8301"}, b.Previous()); diff != "" {
			t.Error(diff)
		}
		await(t, 10*time.Second, "node-1=alive node-2=alive", a, b)
	})
}

func TestDirectoryThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	conf := gossip.DefaultConfig(gossip.LAN)
	conf.NodeName, conf.Identity.Datacenter, conf.Dir = "a", "dc1", file
	p, err := gossip.New(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context(), func() {}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
	if err := p.Run(t.Context(), func() {}); err == nil || !strings.Contains(err.Error(), "already run") {
		t.Errorf("a second run: %v", err)
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func keysIn(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	var keys []string
	if err == nil {
		err = json.Unmarshal(b, &keys)
	}
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestRealSockets joins two pools over loopback TCP and UDP.
func TestRealSockets(t *testing.T) {
	if testing.Short() {
		t.Skip("opens sockets")
	}
	run := func(name, addr string) *gossip.Pool {
		conf := gossip.DefaultConfig(gossip.LAN)
		conf.NodeName, conf.Identity.Datacenter, conf.Identity.ID = name, "dc1", name
		conf.BindAddr, conf.BindPort = addr, 0
		conf.EncryptKey = redKey
		p, err := gossip.New(conf)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ready, done := make(chan struct{}), make(chan error, 1)
		go func() { done <- p.Run(ctx, func() { close(ready) }) }()
		select {
		case <-ready:
		case err := <-done:
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		return p
	}
	a, b := run("a", "127.0.0.1"), run("b", "127.0.0.1")
	self := a.LocalMember()
	addr := func(m gossip.Member) string { return m.Addr + ":" + port(m) }
	if n, err := a.Join(t.Context(), []string{addr(self)}); n != 0 || err == nil {
		t.Errorf("joined itself: %d, %v", n, err)
	}
	n, err := b.Join(t.Context(), []string{addr(self), "127.0.0.1:1"})
	if n != 1 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	for {
		_, changed := a.Changes().Watch()
		if len(a.Members()) == 2 {
			break
		}
		<-changed
	}
	conf := gossip.DefaultConfig(gossip.LAN)
	conf.NodeName, conf.Identity.Datacenter = "c", "dc1"
	conf.BindAddr, conf.BindPort = "127.0.0.1", int(self.Port)
	c, err := gossip.New(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context(), func() {}); err == nil || !strings.Contains(err.Error(), "is in use") {
		t.Errorf("a port in use: %v", err)
	}
}

func port(m gossip.Member) string {
	b, _ := json.Marshal(m.Port) // a number cannot fail
	return string(b)
}

func TestMemberKeys(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		var pools []*agent
		for n := 1; n <= 3; n++ {
			c := l.config(n)
			c.EncryptKey = redKey
			pools = append(pools, l.start(c))
		}
		a, b, c := pools[0], pools[1], pools[2]
		b.join(a)
		c.join(a)
		await(t, 5*time.Second, "node-1=alive node-2=alive node-3=alive", a, b, c)
		if _, err := a.InstallKey(blueKey, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := a.UseKey(blueKey, 0); err != nil {
			t.Fatal(err)
		}
		both := func(n int, problem string) gossip.MemberKeys {
			k := gossip.MemberKeys{Name: fmt.Sprint("node-", n), Problem: problem}
			if problem == "" {
				k.Keys, k.Primary = []string{blueKey, redKey}, blueKey
			}
			return k
		}
		expect := func(when string, want ...gossip.MemberKeys) {
			t.Helper()
			got, err := b.MemberKeys(t.Context(), 0)
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(gossip.MemberKeys{}, "Status")); err != nil || diff != "" {
				t.Errorf("%s: %v\n%s", when, err, diff)
			}
		}
		expect("all alive", both(1, ""), both(2, ""), both(3, ""))
		l.net.Cut("127.0.0.3", "127.0.0.2")
		expect("one is heard through others only", both(1, ""), both(2, ""), both(3, "it did not answer"))
		c.kill()
		await(t, 30*time.Second, "node-1=alive node-2=alive node-3=failed", a, b)
		expect("one is dead", both(1, ""), both(2, ""), both(3, "it is failed"))
		if err := a.ForceLeave(t.Context(), "node-3", false); err != nil {
			t.Fatal(err)
		}
		await(t, 30*time.Second, "node-1=alive node-2=alive node-3=left", a, b)
		expect("one left", both(1, ""), both(2, ""))

		gone, cancel := context.WithCancelCause(t.Context())
		stopped := errors.New("the caller went away")
		cancel(stopped)
		if _, err := b.MemberKeys(gone, 0); !errors.Is(err, stopped) && err != nil {
			t.Errorf("a caller that went away got %v", err)
		}
		if _, err := l.start(l.config(4)).MemberKeys(t.Context(), 0); errText(err) != "Keyring is empty (encryption not enabled)" {
			t.Errorf("without encryption: %v", err)
		}
	})
}

func TestCheckKey(t *testing.T) {
	for _, c := range []struct{ key, want string }{
		{redKey, ""},
		{"YWJj", "Invalid key: key size must be 16, 24 or 32 bytes"},
		{"", "Invalid key: key size must be 16, 24 or 32 bytes"},
		{"not base64!", "the gossip key is not base64 (make one with `ctl keygen`)"},
	} {
		got, err := gossip.CheckKey(c.key)
		if errText(err) != c.want || c.want == "" && got != c.key || err != nil && !failure.Is(err, failure.Invalid) {
			t.Errorf("%q: %q, %v", c.key, got, err)
		}
	}
}
