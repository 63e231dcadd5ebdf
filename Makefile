# Steward. `make demo` shows it, `make test` checks it; `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
NPM ?= npm
DASHBOARD := agent/dashboard
DIST := $(DASHBOARD)/dist/index.html
DASHBOARD_SOURCES := $(shell find $(DASHBOARD)/src $(DASHBOARD)/public $(DASHBOARD)/index.html \
	$(DASHBOARD)/*.json $(DASHBOARD)/*.ts $(DASHBOARD)/*.js -type f 2>/dev/null)

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: demo
demo: dashboard ## A simulated street, an MQTT broker and the dashboard in one command (ARGS="--for 60s --speed 60")
	$(CARGO) build --release --locked -p steward
	@exec target/release/steward demo $(ARGS)

.PHONY: build
build: dashboard ## The release binary with the dashboard inside: target/release/steward
	$(CARGO) build --release --locked -p steward

.PHONY: dashboard
dashboard: $(DIST) ## The dashboard's built files

$(DASHBOARD)/node_modules/.package-lock.json: $(DASHBOARD)/package-lock.json
	cd $(DASHBOARD) && $(NPM) ci --no-audit --no-fund
	@touch $@

$(DIST): $(DASHBOARD)/node_modules/.package-lock.json $(DASHBOARD_SOURCES)
	cd $(DASHBOARD) && $(NPM) run build
	@touch $@

.PHONY: test
test: needs peers check no-std tests docs dashboard-test e2e-short deny ## Every check there is
	@echo
	@echo "make test: everything passed"

.PHONY: soak
soak: ## Power cuts and kills by the thousand, a million messages, whole years, then cities until MINUTES are over
	STEWARD_POWER_CUTS=5000 $(CARGO) test --release --locked -p steward --lib outbox::tests::power
	$(CARGO) build --release --locked -p steward
	STEWARD_KILLS=5000 $(CARGO) test --release --locked -p system-tests --test system outbox_kills
	$(CARGO) test --release --locked -p system-tests --test system -- --ignored --nocapture --test-threads=1
	$(MAKE) deb-test
	# Seeds that nobody has seen yet, for as long as one likes.
	$(MAKE) city SIZE=small SEED=$$(date +%s) MINUTES=$(or $(MINUTES),1000000)

.PHONY: city
city: ## A simulated city: SEED=n of it, or MINUTES=n of seeds from there (SIZE=small, CALM=1)
	$(CARGO) build --release --locked -p system-tests --bin city
	target/release/city --seed $(or $(SEED),1) --size $(or $(SIZE),district) \
		$(if $(CALM),--calm) $(if $(MINUTES),--minutes $(MINUTES))

.PHONY: fuzz
fuzz: ## Every parser of bytes from outside under libFuzzer (PARSERS="gnss …" for some, MINUTES=60 each; cargo install cargo-fuzz)
	tests/fuzz/run $(or $(MINUTES),60) $(PARSERS)

.PHONY: bench
bench: dashboard ## Figures: counts and ratios in one table, also in target/bench.json (AREAS="engine …" for some)
	$(CARGO) build --release --locked -p steward -p system-tests --bin steward --bin bench
	target/release/bench $(AREAS) --json target/bench.json

# For other architectures with Debian's own compiler: what is needed for it stands in packaging/cross.
.PHONY: deb
deb: build ## Debian packages in target/deb (ARCHS="amd64 arm64 armhf"; by default this machine's)
	for arch in $(or $(ARCHS),$$(dpkg --print-architecture)); do \
		program=target/release/steward; \
		[ $$arch = $$(dpkg --print-architecture) ] || program=$$(packaging/cross $$arch); \
		packaging/deb $$arch $$program target/deb; \
	done

.PHONY: deb-test
deb-test: deb ## The package of this machine in a whole Debian: installed, run, upgraded, removed, purged (root)
	packaging/deb-test $$(ls -t target/deb/steward_*_$$(dpkg --print-architecture).deb | head -n 1)

.PHONY: deb-arm64-test
deb-arm64-test: dashboard ## The arm64 package, and its program under qemu-user: a box and its broker for 20 s
	packaging/deb arm64 $$(packaging/cross arm64) target/deb
	packaging/emulated arm64 $$(ls -t target/deb/steward_*_arm64.deb | head -n 1)

.PHONY: onnx
onnx: target/onnx/installed ## ONNX Runtime, beside which the vision area of make bench measures

target/onnx/installed:
	python3 -m venv target/onnx
	target/onnx/bin/pip install --quiet --disable-pip-version-check onnxruntime numpy
	@touch $@

.PHONY: firmware
firmware: ## The images of the sensor nodes, with their sizes against the budgets
	firmware/build

# The tests run this one.
.PHONY: board-image
board-image: needs
	@firmware/build qemu

.PHONY: needs
needs: ## What the tests need from Debian: installed when it may be, named when not
	@tests/needs mosquitto mosquitto-clients openssl systemd binutils fakeroot minisign gpiod gpsd gpsd-clients python3-gps python3-venv socat chromium
	@tests/needs qemu-system-arm rustc-web cargo-web rust-web-src binutils-arm-none-eabi || \
		echo "Without them the emulated node is left out."

.PHONY: peers
peers: target/peers/installed ## Peers for the tests that come from PyPI: a Modbus device

target/peers/installed: tests/peers/needs.txt
	python3 -m venv target/peers
	target/peers/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

.PHONY: check
check: dashboard ## Formatting and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

.PHONY: tests
tests: dashboard board-image ## Unit, property and system tests
	# The system tests run the program itself, which cargo builds for no test of another package.
	$(CARGO) build --locked -p steward
	$(CARGO) test --workspace --locked

# In a workspace build the host's features would hide a lost no_std, so each package is checked alone.
.PHONY: no-std
no-std: ## The firmware packages build without the standard library
	tests/no-std wire drivers node

.PHONY: docs
docs: ## Reference documentation builds without a warning
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --document-private-items

.PHONY: dashboard-test
dashboard-test: $(DASHBOARD)/node_modules/.package-lock.json ## The dashboard's types and tests
	cd $(DASHBOARD) && $(NPM) run check && $(NPM) test

.PHONY: e2e
e2e: dashboard ## The dashboard in Chromium against a running demo, every view and clause
	$(CARGO) build --locked -p steward
	cd $(DASHBOARD) && $(NPM) run e2e

.PHONY: e2e-short
e2e-short: dashboard
	$(CARGO) build --locked -p steward
	cd $(DASHBOARD) && $(NPM) run e2e:short

.PHONY: screenshots
screenshots: dashboard ## Every view of the dashboard: themes, widths, languages (ARGS="--out DIR --only parking")
	$(CARGO) build --locked -p steward
	cd $(DASHBOARD) && $(NPM) run screenshots -- $(ARGS)

.PHONY: deny
deny: ## Licences, bans and sources of dependencies; advisories where their data can be had
	tests/deny
