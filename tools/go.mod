// Versions of the tools that `go generate` runs, kept apart from the product's
// own dependencies. Use: go tool -modfile=tools/go.mod msgp
module github.com/ctl-sh/ctl/tools

go 1.26.7

tool github.com/tinylib/msgp

require (
	github.com/philhofer/fwd v1.2.0 // indirect
	github.com/tinylib/msgp v1.6.5 // indirect
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/tools v0.49.0 // indirect
)
