package source

// Data of a page is JSON for programs too, where a number of ours means nothing:
// it has the words people see.

// MarshalText implements encoding.TextMarshaler.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// String returns the word of a severity.
func (s Severity) String() string {
	return [...]string{"info", "good", "warning", "bad"}[min(s, Bad)]
}

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns the word of a kind of problem.
func (k ProblemKind) String() string {
	return [...]string{"other", "unreachable", "no-leader", "permission-denied", "conflict", "not-found", "refused", "outcome-unknown"}[min(k, Unknown)]
}

// MarshalText implements encoding.TextMarshaler.
func (k ProblemKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
