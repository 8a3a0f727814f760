# revstream. `make` alone lists what there is.
#
# What is needed: Go, npm (for the embedded ClickHouse, 180 MB, once), and
# nothing else. No target needs a network once its tools are there.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GOLANGCI_LINT_VERSION := v2.15.0

# The engine is loaded without cgo; so is everything else built.
export CGO_ENABLED := 0

PACKAGES     ?= ./...
TEST_TIMEOUT ?= 15m
TEST_FLAGS   ?=
BENCH        ?= .
BENCH_TIME   ?= 1s
FUZZ_TIME    ?= 30s
SEEDS        ?= 50
FIRST_SEED   ?= 0
ROUNDS       ?= 200
SEED         ?=

CACHE  := $(CURDIR)/.cache
LINTER := $(CACHE)/bin/golangci-lint-$(GOLANGCI_LINT_VERSION)
ENGINE := clickhouse/embedded/node_modules/.package-lock.json

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

.PHONY: run
run: build ## Start everything on this machine, with embedded engines
	bin/revstream run

.PHONY: build
build: $(ENGINE) ## Build bin/revstream
	go build -trimpath -o bin/revstream ./cmd/revstream

.PHONY: test
test: $(ENGINE) ## Run all tests, with the real engines; a skipped test is a failure
	@mkdir -p $(CACHE)
	go test -v -timeout $(TEST_TIMEOUT) $(TEST_FLAGS) $(PACKAGES) 2>&1 \
		| tee $(CACHE)/test.log \
		| awk '!/^ *(=== |--- PASS)|^PASS$$/ { print; fflush() }'
	@if grep -E '^ *--- SKIP' $(CACHE)/test.log; then echo 'These tests were skipped, and no test may be.' >&2; exit 1; fi
	@grep -qE '^ *--- PASS' $(CACHE)/test.log || { echo 'No test has run.' >&2; exit 1; }
	@$(MAKE) --no-print-directory sim

.PHONY: sim
sim: ## Simulate the sink with faults in virtual time (SEEDS=n, FIRST_SEED=n)
	go test -tags synctests -run '^TestSimulation$$' -timeout 60m ./ingest/sink -v -seeds $(SEEDS) -first-seed $(FIRST_SEED) \
		| awk '!/^ *(=== |--- PASS)|^PASS$$/ { print; fflush() }'

.PHONY: chaos
chaos: build ## Break real processes under traffic and compare to the cent (ROUNDS=n, SEED=n)
	go run ./cmd/chaos -binary bin/revstream -rounds $(ROUNDS) $(if $(SEED),-seed $(SEED)) -report $(CACHE)/chaos.txt

.PHONY: race
race: $(ENGINE) ## Run all tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -timeout 30m $(TEST_FLAGS) $(PACKAGES)

.PHONY: lint
lint: $(LINTER) ## Check the rules of the house (.golangci.yml)
	$(LINTER) run $(PACKAGES)

.PHONY: bench
bench: $(ENGINE) ## Run the benchmarks (BENCH=pattern, PACKAGES=./...)
	go test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCH_TIME) -timeout 60m $(PACKAGES)

.PHONY: fuzz
fuzz: $(ENGINE) ## Run each fuzz test for FUZZ_TIME
	@for package in $$(go list $(PACKAGES)); do \
		targets=$$(go test -list '^Fuzz' $$package); \
		for target in $$(grep '^Fuzz' <<< "$$targets" || true); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_TIME) $$package; \
		done; \
	done

.PHONY: clean
clean: ## Remove what was built (not data, not the engine)
	rm -rf bin $(CACHE)

# The lock file pins the version and its hash; where packages come from is
# npm's own configuration.
$(ENGINE): clickhouse/embedded/package.json clickhouse/embedded/package-lock.json
	npm ci --prefix clickhouse/embedded --ignore-scripts --no-audit --no-fund
	@touch $@

$(LINTER):
	@mkdir -p $(CACHE)/bin
	GOBIN=$(CACHE)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(CACHE)/bin/golangci-lint $@
