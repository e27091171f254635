package ca_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ctl-sh/ctl/internal/ca"
	"github.com/ctl-sh/ctl/internal/codec"
	"github.com/ctl-sh/ctl/internal/failure"
	"github.com/ctl-sh/ctl/internal/store"
	"github.com/ctl-sh/ctl/internal/store/storetest"
)

func settings(change func(*ca.Settings)) ca.Settings {
	s := ca.DefaultSettings()
	if change != nil {
		change(&s)
	}
	return s
}

func install(id, replaces string, at int64) *ca.Install {
	return &ca.Install{
		Root: ca.Root{ID: id, Cert: "cert " + id, KeyType: "ec", SigningKeyID: "key " + id}, Key: "secret " + id,
		Settings: settings(nil), ClusterID: "cluster", Replaces: replaces, At: at,
	}
}

func roots(t *testing.T, db *store.DB) (list []*ca.Root, index uint64) {
	t.Helper()
	tx, _ := db.Read()
	list, res, err := ca.Roots(nil, tx)
	if err != nil {
		t.Fatal(err)
	}
	return list, res.Index
}

func TestRotation(t *testing.T) {
	db := storetest.Open(t, ca.Module())
	tx, _ := db.Read()
	if a, res, err := ca.Get(nil, tx); a != nil || res.Found || err != nil {
		t.Errorf("an authority before its time: %+v, %v", a, err)
	}
	storetest.Apply(t, db, 5, ca.TypeInstall, install("a", "", 100))
	storetest.Apply(t, db, 6, ca.TypeInstall, install("b", "a", 200))
	list, index := roots(t, db)
	if len(list) != 2 || index != 6 || list[0].ID != "b" || !list[0].Active || list[0].RotatedOut != 0 || list[0].CreateIndex != 6 ||
		list[1].Active || list[1].RotatedOut != 200 || list[1].CreateIndex != 5 || list[1].ModifyIndex != 6 {
		t.Errorf("roots %+v %+v at %d", list[0], list[1], index)
	}
	tx, _ = db.Read()
	if k, err := ca.SigningKey(tx); err != nil || k.RootID != "b" || k.PEM != "secret b" {
		t.Errorf("the signing key is that of %+v, %v", k, err)
	}
	if strings.Contains(string(storetest.Dump(t, db)), "secret a") {
		t.Error("the key of the root that was replaced is kept")
	}
	if a, _, err := ca.Get(nil, tx); err != nil || a.ClusterID != "cluster" || a.CreateIndex != 5 || a.ModifyIndex != 6 {
		t.Errorf("authority %+v, %v", a, err)
	}
}

func TestDecisionsOfThePastAreRefused(t *testing.T) {
	db := storetest.Open(t, ca.Module())
	storetest.Apply(t, db, 5, ca.TypeInstall, install("a", "", 0))
	storetest.Apply(t, db, 6, ca.TypeInstall, install("b", "a", 0))
	before := string(storetest.Dump(t, db))
	for _, c := range []struct {
		name string
		typ  uint8
		body codec.Message
		kind failure.Kind
	}{
		{"a second first root", ca.TypeInstall, install("c", "", 0), failure.Conflict},
		{"a rotation from a root that is not active", ca.TypeInstall, install("c", "a", 0), failure.Conflict},
		{"a rotation to the same root", ca.TypeInstall, install("b", "b", 0), failure.Invalid},
		{"settings for a root that is not active", ca.TypeChange, &ca.Change{Settings: settings(nil), Root: "a"}, failure.Conflict},
		{"a serial number for a root that is not active", ca.TypeTake, &ca.Take{Root: "a"}, failure.Conflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := storetest.TryApply(t, db, 9, c.typ, c.body); !failure.Is(err, c.kind) {
				t.Errorf("error %v, want kind %v", err, c.kind)
			}
			if string(storetest.Dump(t, db)) != before {
				t.Error("something changed")
			}
		})
	}
}

func TestSerialNumbersAreOneAnothersSuccessors(t *testing.T) {
	db := storetest.Open(t, ca.Module())
	for i, root := range []string{"", "a", "a", ""} {
		if i == 1 {
			storetest.Apply(t, db, 10, ca.TypeInstall, install("a", "", 0))
		}
		got := storetest.Apply(t, db, uint64(20+i), ca.TypeTake, &ca.Take{Root: root})
		if want := (ca.Taken{Serial: uint64(i + 1), Index: uint64(20 + i)}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if _, index := roots(t, db); index != 10 {
		t.Errorf("taking numbers moved the index of the roots to %d", index)
	}
}

func TestRootsGoWhenNobodyCanNeedThem(t *testing.T) {
	db := storetest.Open(t, ca.Module())
	storetest.Apply(t, db, 5, ca.TypeInstall, install("a", "", 0))
	longer := settings(func(s *ca.Settings) { s.LeafTTL = 100 * time.Hour })
	storetest.Apply(t, db, 6, ca.TypeChange, &ca.Change{Settings: longer, Root: "a"})
	storetest.Apply(t, db, 7, ca.TypeChange, &ca.Change{Settings: settings(nil), Root: "a"})
	storetest.Apply(t, db, 8, ca.TypeInstall, install("b", "a", 1000))
	list, _ := roots(t, db)
	end := int64(1000 + 200*3600) // twice the longest life there was
	if got := ca.Doomed(list, end); len(got) > 0 {
		t.Errorf("%v go too early", got)
	}
	if got := ca.Doomed(list, end+1); len(got) != 1 || got[0] != "a" {
		t.Errorf("%v go, want a", got)
	}
	if got := storetest.Apply(t, db, 9, ca.TypePrune, &ca.Prune{IDs: []string{"b", "x"}}); got != 0 {
		t.Errorf("%v roots went", got)
	}
	if got := storetest.Apply(t, db, 10, ca.TypePrune, &ca.Prune{IDs: []string{"a"}}); got != 1 {
		t.Errorf("%v roots went, want 1", got)
	}
	if list, index := roots(t, db); len(list) != 1 || list[0].ID != "b" || index != 10 {
		t.Errorf("roots %+v at %d", list, index)
	}
}

func TestSettingsThatAreTheSameMoveNothing(t *testing.T) {
	db := storetest.Open(t, ca.Module())
	storetest.Apply(t, db, 5, ca.TypeInstall, install("a", "", 0))
	before := string(storetest.Dump(t, db))
	storetest.Apply(t, db, 6, ca.TypeChange, &ca.Change{Settings: settings(nil), Root: "a"})
	if string(storetest.Dump(t, db)) != before {
		t.Error("something changed")
	}
}

func entry(t *testing.T, index uint64, typ uint8, body codec.Message) store.Entry {
	t.Helper()
	b, err := codec.Encode(body)
	if err != nil {
		t.Fatal(err)
	}
	return store.Entry{Index: index, Type: typ, Body: b}
}

func TestModule(t *testing.T) {
	storetest.Module(t, []store.Entry{
		entry(t, 1, ca.TypeTake, &ca.Take{}),
		entry(t, 2, ca.TypeInstall, install("a", "", 1)),
		entry(t, 3, ca.TypeTake, &ca.Take{Root: "a"}),
		entry(t, 4, ca.TypeTake, &ca.Take{Root: "z"}),
		entry(t, 5, ca.TypeChange, &ca.Change{Root: "a", Settings: settings(func(s *ca.Settings) { s.LeafTTL = 99 * time.Hour })}),
		entry(t, 6, ca.TypeInstall, install("b", "a", 2)),
		entry(t, 7, ca.TypeInstall, install("c", "a", 3)),
		entry(t, 8, ca.TypeInstall, install("c", "b", 4)),
		entry(t, 9, ca.TypePrune, &ca.Prune{IDs: []string{"a", "c"}}),
		{Index: 10, Type: ca.TypePrune, Body: []byte{0xc1}},
	}, ca.Module())
}

func TestParseConfig(t *testing.T) {
	for _, c := range []struct {
		name    string
		members map[string]any
		want    func(*ca.Settings)
		err     string
	}{
		{name: "nothing", want: func(*ca.Settings) {}},
		{name: "both spellings", members: map[string]any{"LeafCertTTL": "2h", "csr_max_per_second": 7.5}, want: func(s *ca.Settings) { s.LeafTTL, s.RequestsPerSecond = 2*time.Hour, 7.5 }},
		{name: "nanoseconds, and numbers as texts", members: map[string]any{"LeafCertTTL": float64(2 * time.Hour), "CSRMaxConcurrent": "3"}, want: func(s *ca.Settings) { s.LeafTTL, s.RequestsAtOnce = 2*time.Hour, 3 }},
		{name: "RSA takes its own size", members: map[string]any{"PrivateKeyType": "rsa"}, want: func(s *ca.Settings) { s.KeyType, s.KeyBits = "rsa", 2048 }},
		{name: "a long leaf takes intermediates along", members: map[string]any{"LeafCertTTL": "8000h"}, want: func(s *ca.Settings) { s.LeafTTL, s.IntermediateTTL = 8000*time.Hour, 24000*time.Hour }},
		{name: "the rotation period of old", members: map[string]any{"RotationPeriod": "2160h"}, want: func(*ca.Settings) {}},
		{name: "a leaf too short", members: map[string]any{"LeafCertTTL": "59m"}, err: "leaf cert TTL must be greater or equal than 1h"},
		{name: "a leaf too long", members: map[string]any{"LeafCertTTL": "8761h"}, err: "leaf cert TTL must be less"},
		{name: "an intermediate too short", members: map[string]any{"LeafCertTTL": "72h", "IntermediateCertTTL": "215h"}, err: "(>=216h)"},
		{name: "a root too short", members: map[string]any{"RootCertTTL": "8759h"}, err: "Root Cert TTL"},
		{name: "no duration", members: map[string]any{"LeafCertTTL": "3 days"}, err: `LeafCertTTL: invalid duration "3 days"`},
		{name: "a duration of no type", members: map[string]any{"LeafCertTTL": true}, err: "LeafCertTTL: must be a duration"},
		{name: "no key type", members: map[string]any{"PrivateKeyType": "dsa"}, err: "'ec' or 'rsa'"},
		{name: "no key size", members: map[string]any{"PrivateKeyBits": 255}, err: "EC private key bits"},
		{name: "half a bit", members: map[string]any{"PrivateKeyBits": 256.5}, err: "whole number"},
		{name: "a negative rate", members: map[string]any{"CSRMaxPerSecond": -1}, err: "CSRMaxPerSecond must be 0"},
		{name: "a misspelt name", members: map[string]any{"LeafTTL": "72h"}, err: "LeafTTL: unknown; known are"},
		{name: "a key alone", members: map[string]any{"PrivateKey": "s3cret"}, err: "without RootCert"},
		{name: "a key that is no text", members: map[string]any{"PrivateKey": []any{"s3cret"}}, err: "PrivateKey: must be a text, not a list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ca.ParseConfig(c.members)
			switch {
			case c.err == "" && err != nil:
				t.Fatal(err)
			case c.err != "" && (!failure.Is(err, failure.Invalid) || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "s3cret")):
				t.Fatalf("error %v, want %q", err, c.err)
			case c.err != "":
				return
			}
			if want := settings(c.want); got.Settings != want {
				t.Errorf("got %+v, want %+v", got.Settings, want)
			}
			back, err := ca.ParseConfig(got.Settings.Config())
			if err != nil || back.Settings != got.Settings {
				t.Errorf("what is shown reads as %+v, %v", back.Settings, err)
			}
		})
	}
}

func TestShownSettings(t *testing.T) {
	got := ca.DefaultSettings().Config()
	for name, want := range map[string]any{"LeafCertTTL": "72h", "IntermediateCertTTL": "8760h", "RootCertTTL": "87600h", "PrivateKeyType": "ec", "PrivateKeyBits": 256} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

func TestProviders(t *testing.T) {
	for name, want := range map[string]string{
		"consul": "", "": "", "x": `could not initialize provider: unknown CA provider "x"`, "vault": "is not supported",
	} {
		err := ca.CheckProvider(name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", name, err, want)
		}
	}
}
