# ctl: build, test, run. `make help` lists the targets.
#
# Everything works from a fresh clone with Go, git and (on Debian, as root or
# with the packages already there) the few tools test-deps installs.

GO        ?= go
BIN       ?= bin
PKG       := github.com/ctl-sh/ctl
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT    ?= $(shell git rev-parse HEAD 2>/dev/null)
DATE      ?= $(shell git log -1 --format=%cI 2>/dev/null)
LDFLAGS   := -s -w -funcalign 16 -X $(PKG)/internal/buildinfo.Version=$(VERSION) \
             -X $(PKG)/internal/buildinfo.Commit=$(COMMIT) -X $(PKG)/internal/buildinfo.Date=$(DATE)

# Without its tracing pages gRPC needs no templates, and the linker may leave out what nobody calls: a sixth of the program.
TAGS      := grpcnotrace

# Commands and the interpreter of --jq run for moments: without inlining they are 170 kB less each, and quick enough.
GCFLAGS   := -gcflags 'github.com/itchyny/...=-l' -gcflags '$(PKG)/internal/cli/...=-l'

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GORELEASER    := github.com/goreleaser/goreleaser/v2@v2.16.0

# Packages whose tests start real processes run alone, one after the other, and
# always: go does not know that they depend on the program they build. What one of
# them has built the others take over.
# Two cores cannot hold two clusters and a compiler at once.
PROCESS_PKGS := ./internal/e2e/... ./internal/compat/... ./internal/chaos/... ./internal/loadgen/... ./internal/watchbench/...
# Packages whose tests also run under the race detector in `make test`.
RACE_PKGS    := ./internal/changes/... ./internal/tui/... \
                ./internal/gossip ./internal/agentapi ./internal/checks ./internal/cli/doctor \
                ./internal/signal/... ./internal/lifecycle/... ./internal/logging/... ./internal/store/... \
                ./internal/query/... ./internal/fsm/... ./internal/consensus/... ./internal/journal/... ./internal/local/... ./internal/rpc/... ./internal/httpapi/... ./internal/ca/... ./internal/leafcert/... \
                ./internal/tlsconf/... ./internal/view/... ./internal/catalog/... ./internal/coordinate/... ./internal/iostreams ./internal/cli ./internal/cli/debug ./internal/cli/services/... ./internal/cli/wait/...

CYCLES   ?= 200
CHAOS    ?=
BENCH    ?= all
TUI      ?=
FUZZTIME ?= 1m
FUZZ     ?=

.DEFAULT_GOAL := help
.PHONY: help run build test test-deps vet unit race process check-generated lint fmt generate docs check bench bench-tui demo chaos fuzz release-check snapshot clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build bin/ctl
	CGO_ENABLED=0 $(GO) build -trimpath -tags '$(TAGS)' $(GCFLAGS) -ldflags '$(LDFLAGS)' -o $(BIN)/ctl ./cmd/ctl

run: build ## Build and start a development agent (state in memory, HTTP on 127.0.0.1:8500)
	$(BIN)/ctl agent -dev

demo: build ## Start three servers and a client on loopback from configs/cluster
	CTL=$(BIN)/ctl ./scripts/demo.sh

test: test-deps vet check-generated unit race process ## Everything that must pass before a change lands

test-deps: ## Install what the tests need (Debian, as root; elsewhere only checks)
	./scripts/test-deps.sh

# The tests need not be vetted again; and only the planted faults themselves have
# other sources with their tag.
vet: ## go vet, with the planted faults too
	$(GO) vet ./...
	$(GO) vet -tags planted ./internal/plant

unit: ## Tests that start no process; the layer table is one of them
	$(GO) test -vet=off $$($(GO) list ./... | ./scripts/except.sh $(PROCESS_PKGS))

race: ## The concurrent packages under the race detector
	$(GO) test -vet=off -race $(RACE_PKGS)

process: ## Tests that start real agents: scripts, compatibility, a short chaos run
	programs=$$(mktemp -d) && trap 'rm -rf "$$programs"' EXIT INT TERM && export CTL_TEST_PROGRAMS=$$programs && \
	$(GO) test -vet=off -p 1 -count=1 -timeout 15m $$($(GO) list ./... | ./scripts/except.sh -only $(PROCESS_PKGS))

check-generated: ## Fail when a generated file is not what its source generates
	./scripts/check-generated.sh

lint: ## golangci-lint, pinned (slow the first time: it is compiled)
	$(GO) run $(GOLANGCI_LINT) run ./...

fmt: ## gofmt all sources
	gofmt -w $$(git ls-files -co --exclude-standard '*.go')

generate: ## Write all generated files anew
	$(GO) generate ./...

docs: generate ## Write the generated reference pages anew, and the pictures of the dashboard from a real run
	$(GO) test ./internal/e2e -run TestScripts/dashboard -count=1 -pictures

check: lint test release-check ## test, lint and the release configuration

chaos: ## Three servers under faults: make chaos CYCLES=200 CHAOS='-seed 1'
	$(GO) run ./internal/chaos/cmd -cycles $(CYCLES) $(CHAOS)

bench: ## Measure: make bench BENCH='kv health dns register services'
	$(GO) run ./internal/loadgen/cmd $(BENCH)

fuzz: ## Fuzz each target for FUZZTIME: make fuzz FUZZTIME=5m FUZZ='FuzzAnswer FuzzFilter'
	GO=$(GO) FUZZTIME=$(FUZZTIME) ./scripts/fuzz.sh $(FUZZ)
bench-tui: ## Measure the dashboard on a pseudo terminal: make bench-tui TUI='-no-stream'
	$(GO) run ./internal/tui/bench $(TUI)
	$(GO) run ./internal/watchbench/cmd

release-check: ## Check goreleaser.yaml
	$(GO) run $(GORELEASER) check

snapshot: ## Build all release artefacts into dist/, without publishing
	$(GO) run $(GORELEASER) release --snapshot --clean

clean: ## Remove what building left
	rm -rf $(BIN) dist coverage.out
