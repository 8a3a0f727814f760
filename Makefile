# revstream. `make` alone lists what there is.
#
# What is needed: Go, npm (for the embedded ClickHouse, 180 MB, once), and
# nothing else; for test-kafka also Java and Maven. No target needs a network once
# its tools are there.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GOLANGCI_LINT_VERSION := v2.15.0

# The engine is loaded without cgo; so is everything else built.
export CGO_ENABLED := 0

# Those whose tests take longest come first, for what begins last ends last.
PACKAGES     ?= ./ingest/sink ./analytics ./cmd/revstream ./...
TEST_TIMEOUT ?= 15m
TEST_FLAGS   ?=
BENCH        ?= .
BENCH_TIME   ?= 1s
FUZZ_TIME    ?= 30s
SEEDS        ?= 50
FIRST_SEED   ?= 0
MUTANTS      ?=
ROUNDS       ?= 200
SEED         ?=
KAFKA_ROUNDS ?= 16
SHARD_ROUNDS ?= 12
KAFKA_EVENTS ?= 4000

CACHE  := $(CURDIR)/.cache
LINTER := $(CACHE)/bin/golangci-lint-$(GOLANGCI_LINT_VERSION)
ENGINE := clickhouse/embedded/node_modules/.package-lock.json
KAFKA  := $(CACHE)/apache-kafka
HARNESS := ingest/stream/apachekafka

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

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
		| awk '!/^ *(=== |--- PASS)|^PASS$$|^(Routing to|Request:|Response:) / { print; fflush() }'
	@if grep -E '^ *--- SKIP' $(CACHE)/test.log; then echo 'These tests were skipped, and no test may be.' >&2; exit 1; fi
	@grep -qE '^ *--- PASS' $(CACHE)/test.log || { echo 'No test has run.' >&2; exit 1; }
	@$(MAKE) --no-print-directory sim

.PHONY: sim
sim: ## Simulate the sink with faults in virtual time (SEEDS=n, FIRST_SEED=n)
	go test -tags synctests -run '^(TestSimulation|TestHoursWithoutTheStore)$$' -timeout 60m ./ingest/sink -v -seeds $(SEEDS) -first-seed $(FIRST_SEED) \
		| awk '!/^ *(=== |--- PASS)|^PASS$$/ { print; fflush() }'

.PHONY: mutants
mutants: $(ENGINE) ## Break one rule at a time and require a test to notice (MUTANTS=pattern)
	go run ./cmd/mutants -run '$(MUTANTS)'

.PHONY: chaos
chaos: build ## Break real processes under traffic and compare to the cent (ROUNDS=n, SEED=n)
	go run ./cmd/chaos -binary bin/revstream -rounds $(ROUNDS) $(if $(SEED),-seed $(SEED)) -report $(CACHE)/chaos.txt

.PHONY: test-kafka
test-kafka: $(ENGINE) $(KAFKA)/verified ## Run what talks to Kafka on Apache Kafka, and break its brokers (KAFKA_ROUNDS=n, KAFKA_EVENTS=n)
	@export APACHE_KAFKA_JARS=$(KAFKA); \
	{ go run ./cmd/apachekafka -- go test -v -count=1 -timeout 10m ./ingest ./ingest/control ./ingest/sink ./ingest/stream && \
	  go run ./cmd/apachekafka -- go test -v -count=1 -timeout 20m -tags kafka ./cmd/revstream \
		-failover-rounds $(KAFKA_ROUNDS) -failover-events $(KAFKA_EVENTS); \
	} 2>&1 | tee $(CACHE)/test-kafka.log | awk '!/^ *(=== |--- PASS)|^PASS$$|: on the Kafka at / { print; fflush() }'
	@if grep -E '^ *--- SKIP' $(CACHE)/test-kafka.log; then echo 'These tests were skipped, and no test may be.' >&2; exit 1; fi
	@echo "$$(grep -c ': on the Kafka at ' $(CACHE)/test-kafka.log) tests had topics on Apache Kafka"

.PHONY: test-cluster
test-cluster: $(ENGINE) ## Run what concerns shards of ClickHouse, and break shards and sinks under traffic (SHARD_ROUNDS=n)
	@mkdir -p $(CACHE)
	{ go test -v -count=1 -timeout 10m -run 'Shard' ./clickhouse/... ./ingest/sink ./analytics && \
	  go test -v -count=1 -timeout 30m -tags cluster -run 'Shard' ./cmd/revstream -shard-rounds $(SHARD_ROUNDS); } 2>&1 \
		| tee $(CACHE)/test-cluster.log | awk '/^ *--- |_test.go:|^ok|^FAIL|^panic/ { print; fflush() }'
	@if grep -E '^ *--- SKIP' $(CACHE)/test-cluster.log; then echo 'These tests were skipped, and no test may be.' >&2; exit 1; fi

.PHONY: race
race: $(ENGINE) ## Run all tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -timeout 30m $(TEST_FLAGS) $(PACKAGES)

.PHONY: lint
lint: $(LINTER) ## Check the rules of the house (.golangci.yml)
	$(LINTER) run $(PACKAGES)

.PHONY: bench
bench: $(ENGINE) ## Run the benchmarks (BENCH=pattern, PACKAGES=packages)
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

# Maven resolves and fetches, from Maven Central or where its settings say; the list
# says what must have come of it.
$(KAFKA)/verified: $(HARNESS)/pom.xml $(HARNESS)/jars.sha256
	@for tool in java mvn; do command -v $$tool > /dev/null || \
		{ echo "make test-kafka needs Java 17 or newer and Maven, and there is no $$tool on the PATH." >&2; exit 1; }; done
	rm -rf $(KAFKA) && mkdir -p $(KAFKA)
	mvn --batch-mode --quiet --file $(HARNESS)/pom.xml dependency:copy-dependencies -DoutputDirectory=$(KAFKA)
	cd $(KAFKA) && sha256sum --check --strict --quiet $(CURDIR)/$(HARNESS)/jars.sha256
	@diff <(cd $(KAFKA) && ls *.jar) <(awk '{ print $$2 }' $(HARNESS)/jars.sha256) || { echo 'jars.sha256 is not the list of what Maven fetched.' >&2; exit 1; }
	@touch $@

.PHONY: kafka-lock
kafka-lock: ## Write the checksums of Apache Kafka anew, after a change of its version
	rm -rf $(KAFKA) && mvn --batch-mode --quiet --file $(HARNESS)/pom.xml dependency:copy-dependencies -DoutputDirectory=$(KAFKA)
	cd $(KAFKA) && sha256sum *.jar > $(CURDIR)/$(HARNESS)/jars.sha256

$(LINTER):
	@mkdir -p $(CACHE)/bin
	GOBIN=$(CACHE)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(CACHE)/bin/golangci-lint $@
