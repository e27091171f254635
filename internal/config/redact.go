package config

import (
	"maps"
	"strings"
	"time"
)

// hidden stands for every secret.
const hidden = "hidden"

// Redacted returns every setting by the name it has in DebugConfig of
// /v1/agent/self. Secrets that are set are "hidden"; durations are texts, lists
// and maps are never nil. The map is the caller's.
func (c *Config) Redacted() map[string]any {
	m := map[string]any{"DevMode": c.DevMode, "ACLsEnabled": false, "PeeringEnabled": false}
	for _, k := range keys().all {
		if k.field != nil && k.Kind != Object {
			place(m, strings.Split(k.debug, "."), c.shown(k))
		}
	}
	return m
}

// Redacted is Config.Redacted with the addresses Resolve found.
func (r *Runtime) Redacted() map[string]any {
	m := r.Config.Redacted()
	m["NodeName"] = r.NodeName
	m["AdvertiseAddrLAN"] = r.SerfLAN.Advertise.Addr().String()
	m["AdvertiseAddrWAN"] = r.TaggedAddresses["wan"]
	m["BindAddr"] = r.SerfLAN.Bind.Addr().String()
	m["SerfBindAddrLAN"] = r.SerfLAN.Bind.String()
	m["SerfAdvertiseAddrLAN"] = r.SerfLAN.Advertise.String()
	if r.RPC.IsValid() {
		m["RPCBindAddr"], m["RPCAdvertiseAddr"] = r.RPC.Bind.String(), r.RPC.Advertise.String()
	}
	if r.SerfWAN.IsValid() {
		m["SerfBindAddrWAN"], m["SerfAdvertiseAddrWAN"] = r.SerfWAN.Bind.String(), r.SerfWAN.Advertise.String()
	}
	m["HTTPAddrs"], m["HTTPSAddrs"], m["DNSAddrs"] = listenerTexts(r.HTTP), listenerTexts(r.HTTPS), listenerTexts(r.DNS)
	m["TaggedAddresses"] = r.TaggedAddresses
	return m
}

func listenerTexts(list []Listener) []string {
	texts := make([]string, len(list))
	for i, l := range list {
		texts[i] = l.Network + "://" + l.Address
	}
	return texts
}

// shown is the value of a key as it may be shown.
func (c *Config) shown(k *Key) any {
	v := c.get(k)
	switch d := v.(type) {
	case time.Duration:
		return d.String()
	case string:
		if k.Secret && d != "" {
			return hidden
		}
	case []string:
		return shownList(d)
	case []Definition:
		return shownDefinitions(d)
	case map[string]string:
		m := make(map[string]string, len(d))
		maps.Copy(m, d)
		return m
	}
	return v
}

// shownList copies a list; entries of cloud auto-join carry credentials.
func shownList(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		if strings.Contains(s, "provider=") {
			s = hidden
		}
		out[i] = s
	}
	return out
}

// place puts a value under a path of names.
func place(m map[string]any, path []string, v any) {
	for _, name := range path[:len(path)-1] {
		sub, ok := m[name].(map[string]any)
		if !ok {
			sub = map[string]any{}
			m[name] = sub
		}
		m = sub
	}
	m[path[len(path)-1]] = v
}
