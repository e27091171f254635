//go:build !linux

// Package ptyterm is a terminal for tests and measurements. It is there on Linux
// only.
package ptyterm
