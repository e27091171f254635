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

func sameValue(a, b any) bool {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	if k := va.Kind(); (k == reflect.Slice || k == reflect.Map) && va.Len() == 0 && vb.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a, b)
}
