# The only two commands a fresh machine with Rust needs are `make demo` and `make test`.
# Each first looks for what the build needs and installs it with the system's package manager.

CARGO ?= cargo

.PHONY: all demo test torture build pgo deps lint docs bench compare budgets fuzz-smoke package deb deb-test clean

all: build

## demo: build and tell the story of a small laptop farm
demo: build
	@target/release/longhaul demo

## test: every test that this machine can run; what it cannot is counted as skipped, with reasons
test: deps
	@deploy/python-tools.sh
	@deploy/browser-tools.sh
	@.ci/test

## torture: floods, forgeries, faults, kills and new seeds that take long; bounded, outside CI
torture: deps
	LONGHAUL_TORTURE=1 $(CARGO) test --release --locked --test torture --test resume -- --nocapture
	.ci/seeds

build: deps
	$(CARGO) build --release --locked --features parquet

## pgo: the release build once more, arranged by a profile of its own work (needs llvm-profdata); CAPTURES=FILES adds yours
pgo: deps
	deploy/pgo.sh $(CAPTURES)

deps:
	@deploy/install-deps.sh

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --features kafka,nats,parquet -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --features kafka,nats,parquet

bench: deps
	$(CARGO) bench --locked

## compare: CPU and memory beside tcpdump, ndpiReader and nfpcapd, in one run
compare: build
	benches/compare.sh

## budgets: instructions of three small captures, by stage, against stored figures; 2 % more fail (needs valgrind, zstd)
budgets: deps
	benches/budgets.sh

## package: manual pages and completions, as packages want them, in target/package
package: build
	@rm -rf target/package
	@target/release/longhaul man target/package/man
	@target/release/longhaul completions bash > target/package/longhaul.bash
	@target/release/longhaul completions zsh > target/package/_longhaul
	@target/release/longhaul completions fish > target/package/longhaul.fish

## deb: a package for Debian and its relatives (needs cargo-deb: cargo install --locked cargo-deb)
deb: package
	@command -v cargo-deb >/dev/null || { echo "cargo-deb is missing: cargo install --locked cargo-deb" >&2; exit 1; }
	$(CARGO) deb --no-build --locked

## deb-test: install, run and remove the package in a clean root (needs root, debootstrap, ip; outside CI)
deb-test: deb
	deploy/debian-test.sh target/debian/longhaul_*.deb

clean:
	$(CARGO) clean

## fuzz-smoke: each fuzz target for ten seconds (needs cargo-fuzz: cargo install cargo-fuzz)
fuzz-smoke: deps
	@command -v cargo-fuzz >/dev/null || { echo "skipped: cargo-fuzz is not installed" >&2; exit 0; }
	@for target in $(notdir $(wildcard fuzz/corpus/*)); do \
	    RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target -- -max_total_time=10 || exit 1; \
	done
