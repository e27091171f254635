package compat

import (
	"encoding/base64"
	"testing"

	"github.com/hashicorp/consul/api"
)

func TestKeyring(t *testing.T) {
	first := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	second := base64.StdEncoding.EncodeToString([]byte("fedcba9876543210"))
	v := shared.dev(t, map[string]any{"encrypt": first})
	op := v.api.Operator()
	list := func(opts *api.QueryOptions) []*api.KeyringResponse {
		t.Helper()
		pools, err := op.KeyringList(opts)
		must(t, err)
		return pools
	}
	pools := list(nil)
	if len(pools) != 2 || !pools[0].WAN || pools[1].WAN || pools[1].Datacenter != "dc1" || pools[1].NumNodes != 1 || pools[1].Keys[first] != 1 || pools[1].PrimaryKeys[first] != 1 {
		t.Fatalf("at first: %+v", pools)
	}
	if pools = list(&api.QueryOptions{LocalOnly: true, RelayFactor: 3}); len(pools) != 1 || pools[0].WAN {
		t.Errorf("local only: %+v", pools)
	}
	mustSay(t, op.KeyringUse(second, nil), "do not have it")
	mustSay(t, op.KeyringInstall("c2hvcnQ=", nil), "key size must be 16, 24 or 32 bytes")
	must(t, op.KeyringInstall(second, &api.WriteOptions{RelayFactor: 1}))
	mustSay(t, op.KeyringRemove(first, nil), "encrypt with it")
	must(t, op.KeyringUse(second, nil))
	must(t, op.KeyringRemove(first, nil))
	for _, p := range list(nil) {
		if len(p.Keys) != 1 || p.Keys[second] != 1 || p.PrimaryKeys[second] != 1 {
			t.Errorf("at last: %+v", p)
		}
	}
	through(t, func(t *testing.T, v *via) {
		_, err := v.api.Operator().KeyringList(nil)
		mustSay(t, err, "Keyring is empty (encryption not enabled)")
	})
}
