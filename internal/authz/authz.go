// Package authz answers what a token may do. Every edge asks it before it
// reads or writes.
//
// Until access control lists are there, the only resolver is Open, which
// allows everything; edges ask all the same, so that turning rules on changes
// no edge. A refusal is failure.PermissionDenied with the text clients know.
package authz

import (
	"context"

	"github.com/ctl-sh/ctl/internal/failure"
)

// Resource is a kind of thing that rules are written for.
type Resource string

// The resources. Names are those of the public rule language.
const (
	Agent    Resource = "agent"
	Key      Resource = "key"
	Keyring  Resource = "keyring"
	Node     Resource = "node"
	Operator Resource = "operator"
	Service  Resource = "service"
)

// Access is how much of a resource is asked for.
type Access string

// The accesses, from little to much.
const (
	List  Access = "list"
	Read  Access = "read"
	Write Access = "write"
)

// Authorizer says what one token may do. It is safe for any number of
// goroutines and keeps its answer for as long as it lives.
type Authorizer interface {
	// Allow reports whether the token may access the named thing; name is
	// "" for resources without names.
	Allow(r Resource, name string, a Access) bool
	// AllowPrefix reports whether the token may access everything whose
	// name begins with prefix.
	AllowPrefix(r Resource, prefix string, a Access) bool
}

// Resolver turns the secret of a token into its Authorizer.
type Resolver interface {
	// Resolve looks token up; "" is the anonymous token. It fails with
	// failure.PermissionDenied for an unknown token.
	Resolve(ctx context.Context, token string) (Authorizer, error)
}

// Open resolves every token to an Authorizer that allows everything.
type Open struct{}

// Resolve implements Resolver.
func (Open) Resolve(context.Context, string) (Authorizer, error) { return all{}, nil }

type all struct{}

func (all) Allow(Resource, string, Access) bool       { return true }
func (all) AllowPrefix(Resource, string, Access) bool { return true }

// Require resolves token and fails with failure.PermissionDenied unless it may
// access the named thing.
func Require(ctx context.Context, res Resolver, token string, r Resource, name string, a Access) error {
	auth, err := res.Resolve(ctx, token)
	if err != nil {
		return err
	}
	if !auth.Allow(r, name, a) {
		return failure.Newf(failure.PermissionDenied, "%s: token lacks permission '%s:%s' on %q", failure.TextPermissionDenied, r, a, name)
	}
	return nil
}

// RequirePrefix is Require for everything whose name begins with prefix.
func RequirePrefix(ctx context.Context, res Resolver, token string, r Resource, prefix string, a Access) error {
	auth, err := res.Resolve(ctx, token)
	if err != nil {
		return err
	}
	if !auth.AllowPrefix(r, prefix, a) {
		return failure.Newf(failure.PermissionDenied, "%s: token lacks permission '%s:%s' on everything below %q", failure.TextPermissionDenied, r, a, prefix)
	}
	return nil
}
