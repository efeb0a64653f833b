# Everything that a person or CI runs. `make demo` and `make test` need nothing by hand on a Debian
# machine with Rust, Node, Python and root: `setup` installs what is missing.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-apt setup-tools setup-bench demo test bench check fmt clippy doc deny clean

VENV := .venv
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# program:the Debian package that brings it
APT := php-fpm8.2:php8.2-fpm nginx:nginx-light openssl:openssl strace:strace faketime:faketime curl:curl python3:python3-venv
# What the measurements stand beside, and the extensions of PHP that its scripts use.
BENCH_APT := mariadbd:mariadb-server redis-server:redis-server redis-cli:redis-tools webhook:webhook
BENCH_PHP := pdo_mysql:php8.2-mysql redis:php8.2-redis
# Static checks that come from crates; built once, without optimisation.
CARGO_TOOLS := cargo-deny cargo-machete
ARGS ?=

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

$(VENV)/.done: tests/oracles/requirements.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check -r $<
	@touch $@

setup-tools:
	@for tool in $(CARGO_TOOLS); do command -v "$$tool" >/dev/null 2>&1 || cargo install --quiet --locked --debug "$$tool"; done

demo: setup ## build, and run a gateway with a small PHP shop; ARGS=--once ends by itself
	cargo build --release --quiet
	@target/release/tollbell demo $(ARGS)

test: setup ## every test, against real servers
	@if command -v cargo-nextest >/dev/null 2>&1; then \
	  cargo nextest run --workspace --all-features && cargo test --workspace --all-features --doc --quiet; \
	else cargo test --workspace --all-features; fi

bench: setup-bench ## measure beside what merchants run today; ARGS=--quick for a first look, ARGS=--help for more
	cargo build --release --quiet -p tollbell -p tollbell-bench
	@out="$${CARGO_TARGET_DIR:-target}"; "$$out/release/tollbell-bench" --program "$$out/release/tollbell" --folder "$$out/bench" $(ARGS)

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

clean: ## forget what was built
	cargo clean
	rm -rf $(VENV)
