#!/usr/bin/env bash
# Builds target/release/longhaul a second time, arranged by a profile of its own work (profile-guided optimisation):
# rarely used branches go out of the way, and what is called most is inlined.
#
#   deploy/pgo.sh                counts what it does with the demonstration and a flood of connections
#   deploy/pgo.sh FILE.pcap ...  also on these captures: those of the place where it will run are best
#
# Only this package is counted and rebuilt; its libraries are those of the ordinary build. Needs llvm-profdata of the
# version of LLVM in `rustc -vV`, from rustup (`rustup component add llvm-tools`) or the system (Debian: llvm-22).
set -euo pipefail
cd "$(dirname "$0")/.."

for capture in "$@"; do
    [ -r "$capture" ] || { echo "error: $capture: cannot be read" >&2; exit 1; }
done

llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
profdata=""
for candidate in "$(rustc --print sysroot)"/lib/rustlib/*/bin/llvm-profdata "llvm-profdata-$llvm" llvm-profdata; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    "$candidate" show --version 2>/dev/null | grep -q "version $llvm\." && { profdata=$candidate; break; }
done
if [ -z "$profdata" ]; then
    echo "error: llvm-profdata $llvm: not found; rustup component add llvm-tools, or your system's llvm-$llvm" >&2
    exit 1
fi

root=$PWD
work=$root/target/pgo
rm -rf "$work"
mkdir -p "$work/raw"

# Cargo calls this script in place of rustc, for this package only. The names of functions depend on its path, and counts
# are found by those names: so both builds have one path, and cargo is made to forget the first.
wrapper=$work/rustc
build() { # flag of rustc
    printf '#!/bin/sh\nrustc=$1\nshift\nexec "$rustc" "$@" "%s"\n' "$1" >"$wrapper"
    chmod +x "$wrapper"
    cargo clean --quiet --release --locked --package longhaul
    RUSTC_WORKSPACE_WRAPPER=$wrapper cargo build --release --locked --features parquet
}

echo "longhaul: building a program that counts what it does" >&2
build "-Cprofile-generate=$work/raw"
cp target/release/longhaul "$work/longhaul"

echo "longhaul: counting" >&2
rustc --edition 2021 -O benches/budgets/flood.rs -o "$work/flood"
"$work/flood" "$work/flood.pcap" 10000
"$work/longhaul" demo --extract "$work/demo.pcap.zst" >/dev/null
for capture in "$work/demo.pcap.zst" "$work/flood.pcap" "$@"; do
    "$work/longhaul" read "$capture" --out "$work/out" --force --workers 1 --quiet
done
"$profdata" merge -o "$work/profile" "$work/raw"

echo "longhaul: building by what was counted" >&2
build "-Cprofile-use=$work/profile"
