package tlsconf

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// Settings are the files and rules of one protocol: a block of the configuration
// with what it takes from tls.defaults filled in.
type Settings struct {
	CAFile, CAPath    string
	CertFile, KeyFile string
	// MinVersion is one of Versions; empty means TLSv1_2.
	MinVersion string
	// CipherSuites are names separated by commas; empty leaves the choice to
	// Go. They count for TLS 1.2 and older only.
	CipherSuites string
	// VerifyIncoming demands a certificate of whoever connects.
	VerifyIncoming bool
	// VerifyOutgoing makes connections to others TLS, and checks that their
	// certificate leads to the authorities.
	VerifyOutgoing bool
	// VerifyServerHostname also checks that it is a server's, in both
	// directions: see [Store.ServerName].
	VerifyServerHostname bool
}

// Versions lists the texts MinVersion may have, the default first.
func Versions() []string { return []string{"TLSv1_2", "TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_3"} }

// ParseVersion returns the TLS version a text stands for. It fails for texts that
// are not among Versions; empty is the default.
func ParseVersion(text string) (uint16, error) {
	switch text {
	case "", "TLS_AUTO", "TLSv1_2":
		return tls.VersionTLS12, nil
	case "TLSv1_0":
		return tls.VersionTLS10, nil
	case "TLSv1_1":
		return tls.VersionTLS11, nil
	case "TLSv1_3":
		return tls.VersionTLS13, nil
	}
	return 0, fmt.Errorf("there is no TLS version %q; use one of %s", text, strings.Join(Versions(), ", "))
}

// ParseCipherSuites returns the suites that a list names. Suites of TLS 1.3 are
// refused, because nobody can choose those; so are suites this program does not
// have.
func ParseCipherSuites(list string) ([]uint16, error) {
	var ids []uint16
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		all := slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites())
		i := slices.IndexFunc(all, func(s *tls.CipherSuite) bool { return s.Name == name })
		switch {
		case i < 0:
			return nil, fmt.Errorf("there is no cipher suite %q; this program has %s", name, strings.Join(suiteNames(), ", "))
		case slices.Equal(all[i].SupportedVersions, []uint16{tls.VersionTLS13}):
			return nil, fmt.Errorf("the cipher suite %q is one of TLS 1.3, which cannot be chosen: leave it out", name)
		}
		ids = append(ids, all[i].ID)
	}
	return ids, nil
}

// suiteNames are the suites worth choosing.
func suiteNames() []string {
	var names []string
	for _, s := range tls.CipherSuites() {
		if s.SupportedVersions[0] != tls.VersionTLS13 {
			names = append(names, s.Name)
		}
	}
	return names
}

// rules are the settings that do not change while an agent runs.
type rules struct {
	min    uint16
	suites []uint16
}

func (s Settings) rules(name string) (r rules, err error) {
	if r.min, err = ParseVersion(s.MinVersion); err != nil {
		return r, fmt.Errorf("%s.tls_min_version: %w", name, err)
	}
	if r.suites, err = ParseCipherSuites(s.CipherSuites); err != nil {
		return r, fmt.Errorf("%s.tls_cipher_suites: %w", name, err)
	}
	return r, nil
}

// HasCertificate reports whether files of a certificate are named.
func (s Settings) HasCertificate() bool { return s.CertFile != "" || s.KeyFile != "" }

// hasCA reports whether authorities are named.
func (s Settings) hasCA() bool { return s.CAFile != "" || s.CAPath != "" }
