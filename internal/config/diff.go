package config

import "reflect"

// Diff compares the configuration that runs with a newly read one. It returns
// the keys that changed and take effect by a reload, and those that changed but
// wait for a restart, both in the order of the reference. An empty list and no
// list are the same.
func Diff(running, read *Config) (reloaded, ignored []string) {
	for _, k := range keys().all {
		if k.field == nil || k.Kind == Object || sameValue(running.get(k), read.get(k)) {
			continue
		}
		if k.Reload {
			reloaded = append(reloaded, k.Path)
		} else {
			ignored = append(ignored, k.Path)
		}
	}
	return reloaded, ignored
}

// Reloaded returns rt with the values of read that take effect by a reload. What
// waits for a restart stays as it is in rt, which is not changed.
func (rt *Runtime) Reloaded(read *Runtime) *Runtime {
	c := *rt.Config
	for _, k := range keys().all {
		if k.field != nil && k.Reload {
			reflect.ValueOf(&c).Elem().FieldByIndex(k.field).Set(reflect.ValueOf(read.get(k)))
		}
	}
	next := *rt
	next.Config = &c
	return &next
}

func sameValue(a, b any) bool {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	if k := va.Kind(); (k == reflect.Slice || k == reflect.Map) && va.Len() == 0 && vb.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a, b)
}
