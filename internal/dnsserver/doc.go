// Package dnsserver answers DNS questions about nodes and services, over UDP
// and TCP.
//
// It is not for finding out what there is: that is a Lookup's (package view).
// It writes messages itself, straight into one buffer, because this is the
// path that is asked most; the library serves where other DNS servers are
// asked. Rules that keep it right: a question that memory can answer is
// answered by the goroutine that read it and allocates next to nothing; one
// that must wait goes to a bounded number of others, each client within a rate,
// and the rest is refused (SERVFAIL); limits count the bytes of the finished
// message; the own zones are never asked of anybody else; a name is compared
// without case and given back in the case it came in.
//
// Source: RFC 1034, 1035, 2782, 3596, 6891, 7871; the public documentation of
// Consul's DNS interface.
package dnsserver
