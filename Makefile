# Two commands to remember: `make run` and `make test`. Every target brings what it needs and does nothing twice:
# what was done is recorded by stamp files inside .venv (and by cargo in target/), so removing .venv starts over.
# The Python packages come from requirements/*.txt (exact versions with hashes), the crates from Cargo.lock.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all:
ARGS ?=
SEED ?= 1
MINUTES ?= 20
CYCLES ?= 200

RUST_SOURCES := Cargo.toml Cargo.lock $(shell find core_rs -name '*.rs' -o -name Cargo.toml) $(wildcard migrations/*.sql)
EXTENSION := pyapp/ordergate/_core.abi3.so
BUILT := $(VENV)/.built
ifeq ($(wildcard $(EXTENSION)),)
.PHONY: $(BUILT)
endif
LOADGEN := target/release/ordergate-loadgen

export CARGO_TARGET_DIR := $(CURDIR)/target
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help
help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: $(BUILT) ## virtual environment, release build of the extension, .venv/bin/ordergate

.PHONY: run
run: $(BUILT) ## start everything (ARGS="--data-dir DIR --prices replay:DIR"); one Ctrl-C stops it
	@exec $(BIN)/ordergate up $(ARGS)

.PHONY: run-live-demo
run-live-demo: $(BUILT) ## LIVE against a local exchange, once: key, order, fill; stops by itself and leaves nothing
	@exec $(BIN)/ordergate live-demo

.PHONY: test
test: $(BUILT) $(VENV)/.dev ## Rust and Python tests, the acceptance runs included (ARGS="-k smoke")
	cargo test --quiet --locked --workspace --exclude ordergate-bindings
	$(MAKE) exhaustive
	$(BIN)/python -m pytest $(ARGS)

.PHONY: exhaustive
exhaustive: ## the journal: damage at every byte and bit, and 200,000 losses of power (release build, two minutes)
	cargo test --release --quiet --locked -p ordergate-journal --test exhaustive --test power_loss -- --nocapture

.PHONY: bench
bench: $(BUILT) $(VENV)/.dev $(LOADGEN) ## submit (with every limit too), durable placement against hello, Postgres catching up, restart, the last hop
	$(BIN)/python -m pytest bench --benchmark-enable --benchmark-columns=min,median,mean,ops,rounds -q
	cargo bench --quiet --locked -p ordergate-core --bench submit
	$(BIN)/python bench/http_placement.py $(ARGS)
	$(BIN)/python bench/write_behind.py
	$(BIN)/python bench/restart.py
	$(BIN)/python bench/exchange_hop.py

.PHONY: loadtest
loadtest: $(BUILT) $(VENV)/.dev ## locust, 100 users, then one row for every order sent
	$(BIN)/python loadtest/run.py $(ARGS)

.PHONY: torture
torture: $(BUILT) ## faults on a system that trades, checked every 20 cycles (MINUTES=20 SEED=1 ARGS="--faults kill-gateway")
	@$(call need,strace,strace (or leave those faults out with ARGS))
	$(BIN)/python -m tests.torture --minutes $(MINUTES) --seed $(SEED) $(ARGS)

.PHONY: torture-live
torture-live: $(BUILT) ## the same on LIVE: a local exchange that dies, lies and loses answers (MINUTES=20 SEED=1 ARGS="--faults late-accept")
	$(BIN)/python -m tests.torture --live --minutes $(MINUTES) --seed $(SEED) $(ARGS)

.PHONY: outages-live
outages-live: $(BUILT) ## LIVE through five minutes of 5xx, then through ten minutes of a stream that is cut every 5 s
	$(BIN)/python -m tests.acceptance.exchange_errors
	$(BIN)/python -m tests.acceptance.stream_cuts

.PHONY: fuzz
fuzz: ## fuzz every decoder for MINUTES=20 each, guided by coverage (needs nightly Rust and cargo-fuzz)
	@command -v cargo-fuzz >/dev/null || { echo 'make: please run: cargo install cargo-fuzz --locked' >&2; exit 1; }
	for target in journal order reports; do mkdir -p target/corpus/$$target && CARGO_TARGET_DIR=$(CURDIR)/target/fuzz \
		cargo +nightly fuzz run --features libfuzzer $$target target/corpus/$$target fuzz/corpus/$$target -- \
		-max_total_time=$$(( $(MINUTES) * 60 )) -max_len=65536; done

.PHONY: powerloss
powerloss: $(BUILT) ## losses of power of the real gateway: what it had not flushed is partly taken back (CYCLES=200 SEED=1)
	@$(call need,cc,a C compiler: build-essential or gcc)
	$(BIN)/python -m tests.torture.powerloss --cycles $(CYCLES) --seed $(SEED) $(ARGS)

.PHONY: mutants
mutants: $(BUILT) $(VENV)/.dev ## plant known bugs in a copy, one by one; each must be found (ARGS="--only B1,B4")
	$(BIN)/python -m tests.torture.mutants $(ARGS)

.PHONY: cargo-mutants
cargo-mutants: ## put bugs into risk, requests, life cycle and journal, and see the tests find them (ARGS="-f FILE"; hours)
	@command -v cargo-mutants >/dev/null || { echo 'make: please run: cargo install cargo-mutants --locked' >&2; exit 1; }
	cargo mutants --output target $(ARGS)

.PHONY: lint
lint: $(BUILT) $(VENV)/.dev ## ruff, mypy --strict, import-linter, rustfmt, clippy; warnings are errors
	@$(call need,cargo-fmt,rustfmt: rustup component add rustfmt)
	@$(call need,cargo-clippy,clippy: rustup component add clippy)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cargo fmt --all --check
	cargo clippy --quiet --locked --workspace --all-targets -- -D warnings

.PHONY: fmt
fmt: $(VENV)/.dev ## format Python and Rust
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	cargo fmt --all

.PHONY: lock
lock: ## compile requirements/*.txt anew from pyproject.toml (needs uv)
	@$(call need,uv,uv)
	@compile() { uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 --custom-compile-command 'make lock' pyproject.toml "$$@"; }; \
	compile -o requirements/runtime.txt; \
	compile -c requirements/runtime.txt --extra build -o requirements/build.txt; \
	compile -c requirements/build.txt --extra dev -o requirements/dev.txt

.PHONY: clean
clean: ## remove everything that was built (not .ordergate, where the data are)
	rm -rf $(VENV) target build dist $(EXTENSION) pyapp/ordergate/migrations .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks

# --- stamps ---------------------------------------------------------------------------------------------------------

need = command -v $(1) >/dev/null || { echo 'make: $(1) is missing: please install $(2)' >&2; exit 1; }

# A package without a wheel for this machine fails here with its name; nothing is compiled behind your back.
$(VENV)/.packages: requirements/build.txt
	@test -n '$(PYTHON)' || { echo 'make: no Python 3.11 or newer found: please install python3 (or set PYTHON=...)' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'make: $(PYTHON) has no venv module: please install python3-venv' >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements/build.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.packages
	$(PIP) -r requirements/dev.txt
	@touch $@

$(BUILT): $(VENV)/.packages pyproject.toml $(RUST_SOURCES)
	@$(call need,cargo,Rust 1.88 or newer: https://rustup.rs)
	@cargo --version | awk '{ split($$2, v, "."); exit !(v[1] > 1 || v[2] >= 88) }' || \
		{ echo "make: $$(cargo --version) is too old: please install Rust 1.88 or newer: https://rustup.rs" >&2; exit 1; }
	@$(call need,cc,a C compiler: build-essential or gcc)
	@echo 'building the extension (release; about a minute the first time)'
	@PIP_QUIET=1 VIRTUAL_ENV=$(CURDIR)/$(VENV) PATH=$(CURDIR)/$(BIN):$$PATH flock $(VENV)/.lock $(BIN)/maturin develop --release --locked --quiet
	@touch $@

$(LOADGEN): Cargo.toml Cargo.lock $(wildcard bench/loadgen/src/*.rs bench/loadgen/Cargo.toml)
	cargo build --quiet --release --locked -p ordergate-loadgen
	@touch $@
