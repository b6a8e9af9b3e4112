# Only Go is needed for demo and test. Every target is one command a person could
# type; CI calls the same targets (.ci/run).

GO ?= go
# Where built things go; git ignores it.
BIN := bin

# Arguments of `make demo`, as in make demo WATTMARK_DEMO_ARGS="--duration 30s".
WATTMARK_DEMO_ARGS ?=

# RACE=1 adds the race detector, which needs cgo and a C compiler, but for the packages of
# PURE and ./cmd: in them nothing runs beside another, as a test of ./cmd makes sure.
RACE ?=
# TESTFLAGS are passed on to go test, as in make test TESTFLAGS="-run Outbox -v".
TESTFLAGS ?=
# PKGS narrows test, bench and fuzz, as in make fuzz PKGS=./ledger/...
PKGS ?= ./...
TEST_TIMEOUT ?= 8m
# FUZZTIME is spent on each fuzz target, FUZZ_TOTAL (seconds) on all together.
FUZZTIME ?= 10s
FUZZ_TOTAL ?= 0
BENCHTIME ?= 1s

# What ships, and on what; GOARM=6 is the ARMv6 of the Pi Zero and the first Pi.
BINARIES := ./cmd/wattmark ./cmd/wattmark-gateway ./cmd/wattmark-oracle
TARGETS := linux/amd64 linux/arm64 linux/arm
# Packages that must give the same bytes everywhere, and also build for browsers.
PURE := ./ledger/unit ./ledger/entry ./ledger/block ./ledger/account \
	./ledger/market ./ledger/carbon ./ledger/contract ./ledger/state
WASM := $(PURE) ./ledger/audit/...

# A package comes when there is code for it: keep of a list what exists.
present = $(foreach p,$(1),$(if $(wildcard $(patsubst %/...,%,$(p))/*.go),$(p)))

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: ## a whole street in one process (WATTMARK_DEMO_ARGS="--duration 30s")
	$(GO) run ./cmd/wattmark demo $(WATTMARK_DEMO_ARGS)

.PHONY: build
build: ## the binaries for this machine, into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/ $(call present,$(BINARIES))

.PHONY: test
test: ## all tests (RACE=1 with the race detector, TESTFLAGS, PKGS)
ifeq ($(RACE),1)
	@command -v "$$($(GO) env CC)" >/dev/null || { echo "make test RACE=1 needs a C compiler: install gcc" >&2; exit 1; }
	@all=$$($(GO) list $(PKGS)) && calm=$$($(GO) list ./cmd $(call present,$(PURE))) && \
	racing=$$(printf '%s\n' $$all | grep -vxF "$$calm"); calm=$$(printf '%s\n' $$all | grep -xF "$$calm"); set -x; \
	if [ -n "$$calm" ]; then $(GO) test -timeout $(TEST_TIMEOUT) $(TESTFLAGS) $$calm || exit 1; fi; \
	if [ -n "$$racing" ]; then CGO_ENABLED=1 $(GO) test -race -timeout $(TEST_TIMEOUT) $(TESTFLAGS) $$racing; fi
else
	$(GO) test -timeout $(TEST_TIMEOUT) $(TESTFLAGS) $(PKGS)
endif

.PHONY: test-modules
test-modules: ## the tests of the modules that ./... does not visit: packages and images
	cd deploy/tools && $(GO) test -timeout $(TEST_TIMEOUT) $(TESTFLAGS) ./...
	cd firmware/tools && $(GO) test -timeout $(TEST_TIMEOUT) $(TESTFLAGS) ./...

.PHONY: floorplan
floorplan: ## who imports whom, purity, package comments, linked modules
	$(GO) test -count=1 ./cmd

.PHONY: lint
lint: ## gofmt, go vet and the pinned staticcheck
	@files=$$(gofmt -l .); \
	if [ -n "$$files" ]; then echo "run gofmt -w on:" >&2; echo "$$files" >&2; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@staticcheck=$$($(GO) tool -n staticcheck); set -x; \
		(cd deploy/tools && $(GO) vet ./... && "$$staticcheck" ./...) && \
		(cd firmware/tools && $(GO) vet ./... && "$$staticcheck" ./...)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s), all for at most FUZZ_TOTAL seconds
	@.ci/fuzz "$(FUZZTIME)" "$(FUZZ_TOTAL)" $(PKGS)

.PHONY: bench
bench: ## every benchmark (BENCHTIME, PKGS)
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $(PKGS)

.PHONY: bench-gateway
bench-gateway: ## the gateway's budgets as figures and ratios (BENCH_FOR=10m is how long CPU is measured)
	WATTMARK_BENCH_LOOP=1 $(GO) test -run '^$$' -bench 'Write/batch=10$$' -benchtime 20000x ./gateway/outbox
	WATTMARK_BENCH_GATEWAY=1 $(GO) test -count=1 -timeout 60m -run '^TestBudgets$$' -v ./cmd/wattmark-gateway

.PHONY: cover
cover: ## statement coverage by package, and bin/cover.html
	@mkdir -p $(BIN)
	$(GO) test -timeout $(TEST_TIMEOUT) -coverprofile=$(BIN)/cover.out $(PKGS)
	$(GO) tool cover -html=$(BIN)/cover.out -o $(BIN)/cover.html

.PHONY: deb
deb: ## Debian packages of gateway (arm64, armhf, amd64) and oracle (arm64, amd64), into bin/
	cd deploy/tools && $(GO) run ./deb -source ../.. -out ../../$(BIN)

# Which image make image builds, and the version it is called, which only rises.
IMAGE ?= rpi
VERSION ?= 1

.PHONY: image
image: ## the gateway's images for cards and updates, into bin/ (IMAGE=rpi or lab, VERSION=1; needs mkfs.ext4)
	cd firmware/tools && $(GO) run ./cmd/mkimage -instance $(IMAGE) -version $(VERSION) -source ../.. -out ../../$(BIN)

.PHONY: test-firmware
test-firmware: ## boots the image in QEMU and updates it (Debian: qemu-system-arm, e2fsprogs)
	WATTMARK_QEMU=1 $(GO) test -count=1 -timeout 15m -v ./firmware/qemutest

# SCHEDULES is how many schedules the simulation draws.
SCHEDULES ?= 3000

.PHONY: simulation
simulation: ## oracles through drawn schedules of faults (SCHEDULES=3000); a failing one prints its seed
	$(GO) test -count=1 -timeout 15m -run '^TestSimulation' -v ./oracle -sim.schedules $(SCHEDULES)

.PHONY: cross
cross: ## build for every architecture we ship on, and for the browser
	@set -e; for target in $(TARGETS); do \
		echo "build $$target"; \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} GOARM=6 $(GO) build ./...; \
	done
	@echo "build js/wasm"; GOOS=js GOARCH=wasm $(GO) build $(call present,$(WASM))
	@echo "vet linux/arm64"; CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) vet ./...

# CHECKS is how many cases the properties of ledger/state draw in agree, where the
# processor is emulated and all of them would take five minutes.
CHECKS ?= 40

.PHONY: agree
agree: ## the pure packages' tests as arm64, under qemu-aarch64 (Debian: qemu-user; CHECKS=40)
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) test -exec qemu-aarch64 -timeout $(TEST_TIMEOUT) $(filter-out ./ledger/state,$(call present,$(PURE)))
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) test -exec qemu-aarch64 -timeout $(TEST_TIMEOUT) ./ledger/state -rapid.checks=$(CHECKS)

.PHONY: pkcs11
pkcs11: ## the tests of keys in PKCS #11 tokens, with their build tag (cgo, SoftHSM)
	@command -v "$$($(GO) env CC)" >/dev/null || { echo "make pkcs11 needs a C compiler: install gcc" >&2; exit 1; }
	CGO_ENABLED=1 $(GO) vet -tags pkcs11 ./signer/pkcs11
	CGO_ENABLED=1 $(GO) test -tags pkcs11 -timeout $(TEST_TIMEOUT) $(TESTFLAGS) ./signer/pkcs11
	CGO_ENABLED=1 $(GO) test -tags pkcs11 -timeout $(TEST_TIMEOUT) $(TESTFLAGS) -run Token ./gateway

.PHONY: check
check: lint test floorplan cross ## everything a commit must pass

.PHONY: clean
clean: ## remove what the other targets built
	rm -rf $(BIN)
