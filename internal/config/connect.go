package config

import (
	"slices"
	"strings"
	"time"
)

// deriveConnect fills in what follows from other settings.
func (c *Config) deriveConnect() {
	s := &c.Connect.CAConfig
	if c.isSet("connect.ca_config.private_key_bits") {
		return
	}
	s.PrivateKeyBits = 256
	if s.PrivateKeyType == "rsa" {
		s.PrivateKeyBits = 2048
	}
}

// connect checks the certificate authority. The same rules hold for changes
// through the API; they are package ca's.
func (v validator) connect() {
	c, s := v.c.Connect, v.c.Connect.CAConfig
	const under = "connect.ca_config."
	switch c.CAProvider {
	case "consul", "":
	case "vault", "aws-pca":
		v.fail([]string{"connect.ca_provider"}, `use "consul", the cluster's own`, "the CA provider %q is not supported", c.CAProvider)
	default:
		v.fail([]string{"connect.ca_provider"}, `use "consul"`, "unknown CA provider: %s", c.CAProvider)
	}
	v.leafTTLs(s)
	switch s.PrivateKeyType {
	case "ec", "rsa":
		sizes := map[string][]int{"ec": {224, 256, 384, 521}, "rsa": {2048, 4096}}[s.PrivateKeyType]
		if !slices.Contains(sizes, s.PrivateKeyBits) {
			v.fail([]string{under + "private_key_bits", under + "private_key_type"}, "use one of them", "a key of type %s has one of %v bits, not %d", s.PrivateKeyType, sizes, s.PrivateKeyBits)
		}
	default:
		v.fail([]string{under + "private_key_type"}, "use ec or rsa", "there is no key type %q", s.PrivateKeyType)
	}
	if s.CSRMaxPerSecond < 0 {
		v.fail([]string{under + "csr_max_per_second"}, "use 0 for any number", "it must be 0 or more")
	}
	if s.CSRMaxConcurrent < 0 {
		v.fail([]string{under + "csr_max_concurrent"}, "use 0 for any number", "it must be 0 or more")
	}
	if (strings.TrimSpace(s.RootCert) == "") != (strings.TrimSpace(s.PrivateKey) == "") {
		key, missing := under+"root_cert", "private_key"
		if s.RootCert == "" {
			key, missing = under+"private_key", "root_cert"
		}
		v.fail([]string{key}, "give both, or neither", "it is given without %s", missing)
	}
}

func (v validator) leafTTLs(s CAConfig) {
	const under = "connect.ca_config."
	if s.LeafCertTTL < time.Hour || s.LeafCertTTL > 8760*time.Hour {
		v.fail([]string{under + "leaf_cert_ttl"}, "use 1h to 8760h", "a leaf certificate cannot hold for %s", s.LeafCertTTL)
		return
	}
	if s.IntermediateCertTTL < 3*s.LeafCertTTL {
		v.fail([]string{under + "intermediate_cert_ttl", under + "leaf_cert_ttl"}, "make it longer, or leaf_cert_ttl shorter",
			"it must be at least three times leaf_cert_ttl (%s), which is %s", s.LeafCertTTL, 3*s.LeafCertTTL)
	}
	if s.RootCertTTL < s.IntermediateCertTTL {
		v.fail([]string{under + "root_cert_ttl", under + "intermediate_cert_ttl"}, "make it longer", "it must be at least intermediate_cert_ttl (%s)", s.IntermediateCertTTL)
	}
}
