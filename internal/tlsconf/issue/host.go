package issue

import (
	"fmt"
	"strings"
)

// CheckHost fails for what cannot be a host name in the certificate of a client
// agent: what is no host name, wildcards, and the names by which agents tell a
// server's certificate, server.<datacenter>.<domain>, with or without the name of
// a node in front.
func CheckHost(name string) error {
	labels := strings.Split(strings.ToLower(name), ".")
	if len(name) > 253 {
		return fmt.Errorf("a host name has %d bytes, the limit is 253", len(name))
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return fmt.Errorf("%.300q is no host name; wildcards are not allowed", name)
		}
	}
	if labels[0] == string(Server) || len(labels) > 1 && labels[1] == string(Server) {
		return fmt.Errorf("the name %q is a server's; a client agent cannot have it", name)
	}
	return nil
}
