package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTLSBlocksTakeFromDefaults(t *testing.T) {
	of := func(set func(*TLS)) TLS {
		want := TLS{Defaults: TLSDefaults{MinVersion: "TLSv1_2"}, InternalRPC: TLSInternalRPC{MinVersion: "TLSv1_2"}, HTTPS: TLSHTTPS{MinVersion: "TLSv1_2"}}
		set(&want)
		return want
	}
	for _, c := range []struct {
		name  string
		texts []string
		want  TLS
	}{
		{"nothing is set", nil, of(func(*TLS) {})},
		{"every block takes from defaults", []string{`{"tls":{"defaults":{"ca_file":"a","verify_outgoing":true,"verify_server_hostname":true,"tls_min_version":"TLSv1_3"}}}`}, of(func(t *TLS) {
			t.Defaults.CAFile, t.InternalRPC.CAFile, t.HTTPS.CAFile = "a", "a", "a"
			t.Defaults.VerifyOutgoing, t.InternalRPC.VerifyOutgoing, t.HTTPS.VerifyOutgoing = true, true, true
			t.Defaults.VerifyServerHostname, t.InternalRPC.VerifyServerHostname = true, true
			t.Defaults.MinVersion, t.InternalRPC.MinVersion, t.HTTPS.MinVersion = "TLSv1_3", "TLSv1_3", "TLSv1_3"
		})},
		{"a block's own setting wins, even off", []string{`{"tls":{"defaults":{"verify_incoming":true},"https":{"verify_incoming":false,"cert_file":"h"}}}`}, of(func(t *TLS) {
			t.Defaults.VerifyIncoming, t.InternalRPC.VerifyIncoming = true, true
			t.HTTPS.CertFile = "h"
		})},
		{"old names", []string{`{"ca_file":"a","cert_file":"c","key_file":"k","verify_incoming_rpc":true,"verify_server_hostname":true,"tls_min_version":"tls13"}`}, of(func(t *TLS) {
			t.Defaults.CAFile, t.InternalRPC.CAFile, t.HTTPS.CAFile = "a", "a", "a"
			t.Defaults.CertFile, t.InternalRPC.CertFile, t.HTTPS.CertFile = "c", "c", "c"
			t.Defaults.KeyFile, t.InternalRPC.KeyFile, t.HTTPS.KeyFile = "k", "k", "k"
			t.InternalRPC.VerifyIncoming, t.InternalRPC.VerifyServerHostname = true, true
			t.Defaults.MinVersion, t.InternalRPC.MinVersion, t.HTTPS.MinVersion = "TLSv1_3", "TLSv1_3", "TLSv1_3"
		})},
		{"a new name wins over an old one, in any order", []string{`{"tls":{"defaults":{"ca_file":"new"}}}`, `{"ca_file":"old","verify_incoming":true,"verify_incoming_https":false}`}, of(func(t *TLS) {
			t.Defaults.CAFile, t.InternalRPC.CAFile, t.HTTPS.CAFile = "new", "new", "new"
			t.Defaults.VerifyIncoming, t.InternalRPC.VerifyIncoming = true, true
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := load(t, Input{}, c.texts...)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got.TLS); d != "" {
				t.Errorf("want - got +:\n%s", d)
			}
		})
	}
}
