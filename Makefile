# Everything that a person or CI runs. `make demo` and `make test` need nothing by hand on a Debian
# machine with Rust, Node, Python and root: `setup` installs what is missing.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-apt setup-tools demo test loom check fmt clippy doc deny fuzz fuzz-build fuzz-smoke crash power mutants setup-bench bench bench-verify bench-explain docs rejected-examples fuzz-seeds clean

VENV := .venv
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# program:the Debian package that brings it
APT := php-fpm8.2:php8.2-fpm nginx:nginx-light openssl:openssl strace:strace faketime:faketime curl:curl python3:python3-venv patch:patch
# What the measurements stand beside, and the extensions of PHP that its scripts use.
BENCH_APT := mariadbd:mariadb-server redis-server:redis-server redis-cli:redis-tools webhook:webhook
BENCH_PHP := pdo_mysql:php8.2-mysql redis:php8.2-redis
# Static checks that come from crates; built once, without optimisation.
CARGO_TOOLS := cargo-deny cargo-machete
ARGS ?=
# Where cargo puts what it builds without optimisation.
BUILT := $(or $(CARGO_TARGET_DIR),target)/debug

# Installs $$missing, where there is any.
INSTALL = if [ -n "$$missing" ]; then echo "installing Debian packages:$$missing"; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: setup-apt $(VENV)/.done ## install what is missing

setup-apt:
	@missing=""; for pair in $(APT); do \
	  command -v "$${pair%%:*}" >/dev/null 2>&1 || [ -x "/usr/sbin/$${pair%%:*}" ] || missing="$$missing $${pair##*:}"; done; \
	$(INSTALL)

setup-bench: setup-apt
	@missing=""; for pair in $(BENCH_APT); do \
	  command -v "$${pair%%:*}" >/dev/null 2>&1 || [ -x "/usr/sbin/$${pair%%:*}" ] || missing="$$missing $${pair##*:}"; done; \
	loaded="$$(/usr/sbin/php-fpm8.2 -m)"; for pair in $(BENCH_PHP); do \
	  grep -qx "$${pair%%:*}" <<<"$$loaded" || missing="$$missing $${pair##*:}"; done; \
	$(INSTALL)

$(VENV)/.done: tests/oracles/requirements.txt tests/oracles/requirements-alone.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check -r $<
	$(VENV)/bin/pip install -q --disable-pip-version-check --no-deps -r tests/oracles/requirements-alone.txt
	@touch $@

setup-tools:
	@for tool in $(CARGO_TOOLS); do command -v "$$tool" >/dev/null 2>&1 || cargo install --quiet --locked --debug "$$tool"; done

demo: setup ## build, and run a gateway with a small PHP shop; ARGS=--once ends by itself
	cargo build --release --quiet
	@target/release/tollbell demo $(ARGS)

# Half of the time tests wait for servers and for the time to go by: two at once for each processor.
test: setup loom ## every test, against real servers
	@if command -v cargo-nextest >/dev/null 2>&1; then \
	  cargo nextest run --workspace --all-features --test-threads $$((2 * $$(nproc))) && \
	  cargo test --workspace --all-features --doc --quiet; \
	else cargo test --workspace --all-features; fi
	@cargo test -p tollbell-channels --lib --quiet own_key # what a build without features says

# With another `cfg` every crate is built afresh: a folder of its own keeps the other builds.
loom: ## every interleaving of the queue before the inbox's writer
	RUSTFLAGS="--cfg loom" cargo test -p tollbell-group-commit --test loom --profile loom --quiet --target-dir target/loom

crash: setup ## kill -9 at any moment, with an oracle outside; ARGS="--kills 1000" or "--seed N"
	@cargo build --quiet --package tollbell --package tollbell-proof
	@$(BUILT)/proof crash --program $(BUILT)/tollbell $(ARGS)

power: setup ## what a power cut leaves, at hundreds of moments; ARGS="--points 5000" or "--seed N"
	@cargo build --quiet --package tollbell --package tollbell-proof
	@$(BUILT)/proof power --program $(BUILT)/tollbell $(ARGS)

mutants: setup ## put known faults into copies of the program: each has to be caught
	@cargo build --quiet --package tollbell --package tollbell-proof
	@$(BUILT)/proof mutants --program $(BUILT)/tollbell $(ARGS)

bench: setup-bench ## measure beside what merchants run today; ARGS=--quick for a first look, ARGS=--help for more
	cargo build --release --quiet -p tollbell -p tollbell-bench
	@out="$${CARGO_TARGET_DIR:-target}"; "$$out/release/tollbell-bench" --program "$$out/release/tollbell" --folder "$$out/bench" $(ARGS)

bench-verify: ## what verification costs beside bare cryptography, and what hostile bodies cost
	@cargo run --release --quiet --package tollbell-channels --features measure,simulate --example bench_verify

bench-explain: ## how long the dearest explanations take: hostile requests of every platform beside 30 other channels
	@TOLLBELL_TIMES=1 cargo test --release --quiet --package tollbell-channels --features simulate --test explain what_is_tried -- --nocapture --test-threads 1

docs: ## write the pages about platforms and findings anew from what these say of themselves
	@cargo build --quiet
	@$(BUILT)/tollbell --lang en channels --markdown >docs/platforms.md
	@$(BUILT)/tollbell --lang zh channels --markdown >docs/platforms.zh-CN.md
	@$(BUILT)/tollbell --lang en explain --markdown --examples examples/rejected >docs/explain.md
	@$(BUILT)/tollbell --lang zh explain --markdown --examples examples/rejected >docs/explain.zh-CN.md

rejected-examples: ## write examples/rejected anew: a refused request and its configuration for each finding
	@TOLLBELL_REWRITE=examples cargo test --quiet --package tollbell-channels --all-features --test explain the_examples

check: setup-tools fmt clippy doc deny ## everything that needs no server

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets --all-features --quiet -- -D warnings
	cargo clippy -p tollbell-channels --all-targets --quiet -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps --document-private-items --quiet

deny:
	cargo deny --log-level error check bans licenses sources
	cargo machete

# The engine runs on the stable toolchain: coverage comes from an LLVM pass that it has, and no sanitizer is asked
# for, since nothing of ours is unsafe. Its own folder, because every crate is built once more with that pass;
# little optimisation, because building takes longer than the smoke run.
FUZZ_DIR := $(or $(CARGO_TARGET_DIR),target)/fuzz
FUZZ_BUILD := CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
  CARGO_PROFILE_RELEASE_OPT_LEVEL=1 cargo fuzz build --sanitizer none --target-dir $(FUZZ_DIR)
# One input may take this long and this much; the parsers take microseconds and a few KiB.
FUZZ_LIMITS := -timeout=10 -rss_limit_mb=512
FUZZ_SECONDS ?= 5
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))

fuzz-build:
	@command -v cargo-fuzz >/dev/null 2>&1 || cargo install --quiet --locked --debug cargo-fuzz
	@$(FUZZ_BUILD)

fuzz-smoke fuzz: fuzz-build ## every fuzz target for FUZZ_SECONDS from the committed corpus; FUZZ_TARGETS="form xml" for some
	@host=$$(rustc -vV | sed -n 's/^host: //p'); \
	for target in $(FUZZ_TARGETS); do \
	  mkdir -p $(FUZZ_DIR)/finds/$$target $(FUZZ_DIR)/broken/$$target; log=$(FUZZ_DIR)/broken/$$target/log; \
	  words=fuzz/$$target.dict; \
	  $(FUZZ_DIR)/$$host/release/$$target $(FUZZ_DIR)/finds/$$target fuzz/corpus/$$target $(FUZZ_LIMITS) \
	    $$(test ! -f $$words || echo -dict=$$words) \
	    -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(FUZZ_DIR)/broken/$$target/ >$$log 2>&1 \
	  || { tail -n 40 $$log; echo "$$target breaks a rule: see $(FUZZ_DIR)/broken/$$target"; exit 1; }; \
	  echo "$$target: $$(sed -nE 's/^#([0-9]+)\tDONE +cov: ([0-9]+).*/\1 inputs, coverage \2/p' $$log)"; \
	done

fuzz-seeds: ## write the inputs with which the target `platforms` begins
	@rm -f fuzz/corpus/platforms/*-sent fuzz/corpus/platforms/*-told fuzz/corpus/platforms/*-edited-*
	@cargo run --quiet --package tollbell-fuzz --example seeds fuzz/corpus/platforms

clean: ## forget what was built
	cargo clean
	rm -rf $(VENV)
