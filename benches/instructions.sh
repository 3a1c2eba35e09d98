#!/usr/bin/env bash
# Instructions by thread, counted by callgrind with one worker: the same figure on a busy machine as on an idle one.
#
#   benches/instructions.sh            the first FRAMES (default 300,000) frames of the `mix` workload of benches/compare.sh
#                                      where that can be built, else the demonstration capture
#   benches/instructions.sh FILE.pcap  that capture
#   BASE=OTHER_BINARY benches/instructions.sh   a second binary beside it, and the ratio
#
# Needs valgrind, and tcpdump to cut the capture; installs them where they are missing. Binaries need symbols:
# the profile `profiling` has them.
set -euo pipefail
cd "$(dirname "$0")/.."

SHARED=${SHARED:-../shared}
WORK=${BENCH_DIR:-${TMPDIR:-/tmp}/longhaul-bench}
BIN=${LONGHAUL:-target/profiling/longhaul}
FRAMES=${FRAMES:-300000}
mkdir -p "$WORK"

need() { # command package
    command -v "$1" >/dev/null 2>&1 && return
    echo "installing $2 (for $1)" >&2
    local sudo=""
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get install -y -qq "$2" >/dev/null
}
need valgrind valgrind
need tcpdump tcpdump
# Functions are told by their names: a build that keeps symbols.
[ -x "$BIN" ] || cargo build --profile profiling --locked

capture=${1:-}
if [ -z "$capture" ] && [ -f "$SHARED/bench/gen.rs" ]; then
    capture="$WORK/mix-$FRAMES.pcap"
    if [ ! -s "$capture" ]; then
        [ -x "$WORK/gen" ] || rustc --edition 2021 -O "$SHARED/bench/gen.rs" -o "$WORK/gen"
        ls "$SHARED"/data/pcaps/*.pcap >"$WORK/list"
        [ -s "$WORK/mix.pcap" ] || "$WORK/gen" mix "$WORK/mix.pcap" "$WORK/list" 1000000000 4 >/dev/null 2>&1
        tcpdump -r "$WORK/mix.pcap" -c "$FRAMES" -w "$capture.part" 2>/dev/null
        mv "$capture.part" "$capture"
    fi
fi
capture=${capture:-tests/data/demo/farm.pcap.zst}

# Threads, as callgrind counts them: without a guess at what was inlined where. The first reads; of the others the
# worker costs most, then the correlator.
stages=("reader and start" "worker" "correlator")

# Prints a line per thread: name, tab, instructions. The last is the whole.
count() { # binary
    local profile="$WORK/instructions.$$" costs
    rm -rf "$WORK/out-instructions" "$profile"*
    valgrind --tool=callgrind --separate-threads=yes --callgrind-out-file="$profile" \
        "$1" read "$capture" --out "$WORK/out-instructions" --quiet --workers 1 >/dev/null 2>"$WORK/instructions.log" ||
        { cat "$WORK/instructions.log" >&2; return 1; }
    costs=$(awk '/^totals:/ { print $2 }' "$profile-01"
        awk '/^totals:/ { print $2 }' "$profile"-0[2-9] | sort -rn)
    paste <(printf '%s\n' "${stages[@]}") <(head -n "${#stages[@]}" <<<"$costs")
    printf 'all\t%s\n' "$(awk '{ sum += $1 } END { print sum }' <<<"$costs")"
    rm -f "$profile"*
}

echo "instructions, millions, one worker: $capture"
ours=$(count "$BIN")
if [ -n "${BASE:-}" ]; then
    paste <(printf '%s\n' "$ours") <(count "$BASE") |
        awk -F'\t' '{ printf "%-24s %10.1f  base %10.1f  ratio %.3f\n", $1, $2 / 1e6, $4 / 1e6, $2 / $4 }'
else
    awk -F'\t' '{ printf "%-24s %10.1f\n", $1, $2 / 1e6 }' <<<"$ours"
fi
