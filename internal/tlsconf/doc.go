// Package tlsconf turns the agent's certificate files into TLS configurations,
// says who the other side of a connection is, and follows the files when they
// change.
//
// It is not for making certificates (package issue) nor for the identities of
// services. Rules that keep it right:
//
//   - What is in force is one value that is replaced as a whole. A file that
//     cannot be used changes nothing, and connections that stand are never
//     touched.
//   - Every complaint names the setting and the file, what is wrong with it and
//     what to do; one about a peer says what is wrong with its certificate.
//   - A private key is never part of a text.
//   - Who a peer may be is decided in one place, [Store.identify], for both
//     directions. A certificate of the cluster's own authority makes its holder
//     a client agent at most, whatever names it carries: names are asked for by
//     the agent itself.
//
// Source: Consul's agent configuration reference, "tls"; RFC 5280, RFC 8446.
package tlsconf
