// Package program is what all programs that an agent or a command runs have in
// common: each is a process group of its own that ends as a whole, and of what
// it prints a bounded part is kept.
//
// It starts nothing itself and does not decide what may run.
package program
