# The only two commands a fresh machine with Rust needs are `make demo` and `make test`.
# Each first looks for what the build needs and installs it with the system's package manager.

CARGO ?= cargo

.PHONY: all demo test torture build deps lint docs bench compare fuzz-smoke clean

all: build

## demo: build and tell the story of a small laptop farm
demo: deps
	$(CARGO) run --release --locked --quiet -- demo

## test: every test that this machine can run; the rest is skipped by name
test: deps
	$(CARGO) test --locked --all-targets -- --show-output

## torture: floods, forgeries, faults and kills that take long; bounded, outside CI
torture: deps
	LONGHAUL_TORTURE=1 $(CARGO) test --release --locked --test torture -- --nocapture

build: deps
	$(CARGO) build --release --locked

deps:
	@deploy/install-deps.sh

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

bench: deps
	$(CARGO) bench --locked

## compare: CPU and memory beside tcpdump, ndpiReader and nfpcapd, in one run
compare: build
	benches/compare.sh

clean:
	$(CARGO) clean

## fuzz-smoke: each fuzz target for ten seconds (needs cargo-fuzz: cargo install cargo-fuzz)
fuzz-smoke: deps
	@command -v cargo-fuzz >/dev/null || { echo "skipped: cargo-fuzz is not installed" >&2; exit 0; }
	@for target in $(notdir $(wildcard fuzz/corpus/*)); do \
	    RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target -- -max_total_time=10 || exit 1; \
	done
