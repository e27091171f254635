package ca

import "time"

//go:generate go tool -modfile=../../tools/go.mod msgp -file rows.go -o rows_gen.go -io=false -tests=false

// Root is a certificate that leaf certificates are, or were, signed with. Times
// are seconds since 1970. It is never changed after it was stored.
type Root struct {
	// ID is the SHA-1 of the certificate, in hexadecimal with colons.
	ID   string `msg:"id"`
	Name string `msg:"n"`
	// Serial is the certificate's serial number.
	Serial uint64 `msg:"s"`
	// SigningKeyID is the subject key id, in hexadecimal with colons.
	SigningKeyID string `msg:"k"`
	NotBefore    int64  `msg:"nb"`
	NotAfter     int64  `msg:"na"`
	// Cert is the certificate as PEM. Intermediates are the certificates, as
	// PEM, by which who only trusts an earlier root can verify this one; they
	// are sent behind every leaf.
	Cert          string   `msg:"p"`
	Intermediates []string `msg:"i,omitempty"`
	// Active is true for the one root that signs.
	Active  bool   `msg:"a,omitempty"`
	KeyType string `msg:"kt"`
	KeyBits int    `msg:"kb"`
	// RotatedOut is when another root took its place; zero for the active one.
	RotatedOut int64 `msg:"ro,omitempty"`
	// LeafTTL is the longest life of a leaf that was in force while it signed.
	LeafTTL     time.Duration `msg:"lt"`
	CreateIndex uint64        `msg:"c"`
	ModifyIndex uint64        `msg:"m"`
}

// Settings say what the authority makes and how much.
type Settings struct {
	LeafTTL         time.Duration `msg:"lt"`
	IntermediateTTL time.Duration `msg:"it"`
	RootTTL         time.Duration `msg:"rt"`
	// KeyType is KeyEC or KeyRSA, KeyBits its size: that of new roots.
	KeyType string `msg:"kt"`
	KeyBits int    `msg:"kb"`
	// RequestsPerSecond bounds the signing at the leader; 0 does not.
	RequestsPerSecond float64 `msg:"rs"`
	// RequestsAtOnce bounds the signings at a time; 0 does not.
	RequestsAtOnce int `msg:"rc"`
	// RootCert is the root certificate an operator gave, as PEM; "" if the
	// cluster made its own.
	RootCert string `msg:"p,omitempty"`
	// ForceWithoutCrossSigning lets a new root take over that no earlier one
	// vouches for.
	ForceWithoutCrossSigning bool `msg:"f,omitempty"`
}

// Authority is the one row about the authority as a whole.
type Authority struct {
	// ClusterID is a UUID made with the first root; the trust domain is
	// made of it.
	ClusterID   string   `msg:"id"`
	Settings    Settings `msg:"s"`
	CreateIndex uint64   `msg:"c"`
	ModifyIndex uint64   `msg:"m"`
}

// Key is the private key of the active root. There is one row at most.
type Key struct {
	RootID string `msg:"id"`
	PEM    string `msg:"p"`
}

// Counter is the last serial number that was taken.
type Counter struct {
	Serial uint64 `msg:"s"`
}

// Install is the body of the entry that makes a root the active one.
type Install struct {
	Root     Root     `msg:"r"`
	Key      string   `msg:"k"` // the private key as PEM
	Settings Settings `msg:"s"`
	// ClusterID counts only for the first root.
	ClusterID string `msg:"id,omitempty"`
	// Replaces is the id of the root that was active when this was decided,
	// "" for none. The entry is refused if another is now.
	Replaces string `msg:"o,omitempty"`
	// At is when the old root is rotated out, in seconds since 1970.
	At int64 `msg:"t"`
}

// Change is the body of the entry that changes settings and keeps the root.
type Change struct {
	Settings Settings `msg:"s"`
	// Root is the id of the root that was active when this was decided.
	Root string `msg:"r"`
}

// Take is the body of the entry that takes the next serial number.
type Take struct {
	// Root is the id of the root that is to sign; "" asks for a number for
	// a root.
	Root string `msg:"r,omitempty"`
}

// Prune is the body of the entry that drops roots of earlier days.
type Prune struct {
	IDs []string `msg:"i"`
}
