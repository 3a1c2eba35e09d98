#!/usr/bin/env bash
# Instruction budgets: what callgrind counts for three small captures, by thread, beside stored figures. Fails where one
# is more than 2 % above its figure. One worker; the same on a busy machine as on an idle one, within half a per cent.
#
#   benches/budgets.sh           compares with benches/budgets/baseline
#   benches/budgets.sh --bless   writes that file
#
# Captures: one packet (what a start costs), the demonstration, 10,000 SYNs from as many addresses. The figures belong to
# one version of rustc: with another one they are printed, not compared. Needs valgrind, and a release build.
set -euo pipefail
cd "$(dirname "$0")/.."

BIN=${LONGHAUL:-target/release/longhaul}
STORED=benches/budgets/baseline
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

command -v valgrind >/dev/null || { echo "skipped: valgrind is not installed (its package is called valgrind)"; exit 0; }
[ -x "$BIN" ] || cargo build --release --locked --features parquet

rustc --edition 2021 -O benches/budgets/flood.rs -o "$WORK/flood"
"$WORK/flood" "$WORK/one.pcap" 1
"$WORK/flood" "$WORK/flood.pcap" 10000
"$BIN" demo --extract "$WORK/demo.pcap.zst" >/dev/null

# Prints a line for each thread that matters: capture, thread, instructions.
count() { # name file
    local costs
    valgrind --tool=callgrind --separate-threads=yes --callgrind-out-file="$WORK/$1" \
        "$BIN" read "$2" --out "$WORK/out-$1" --quiet --workers 1 >/dev/null 2>"$WORK/log" ||
        { cat "$WORK/log" >&2; return 1; }
    # The first thread reads; of the others the worker costs most, then the correlator.
    costs=$(awk '/^totals:/ { print $2 }' "$WORK/$1-01"
        awk '/^totals:/ { print $2 }' "$WORK/$1"-0[2-9] | sort -rn | head -2)
    paste <(printf "$1\t%s\n" "reader and start" worker correlator) <(printf '%s\n' "$costs")
}

rustc=$(rustc --version)
{
    printf '# %s\n' "$rustc"
    count one "$WORK/one.pcap"
    count demo "$WORK/demo.pcap.zst"
    count flood "$WORK/flood.pcap"
} >"$WORK/now"

if [ "${1:-}" = --bless ]; then
    cp "$WORK/now" "$STORED"
    cat "$STORED"
    exit
fi
if [ "$(head -1 "$STORED")" != "# $rustc" ]; then
    cat "$WORK/now"
    echo "skipped: the stored figures are of another compiler ($(head -1 "$STORED")); --bless stores these"
    exit 0
fi
# Threads below a million instructions do next to nothing: what they cost is noise.
paste "$STORED" "$WORK/now" | awk -F'\t' '
NR > 1 {
    ratio = $6 / $3
    verdict = $3 < 1e6 ? "" : ratio > 1.02 ? "  ABOVE ITS BUDGET" : ratio < 0.98 ? "  cheaper: --bless keeps it" : ""
    printf "%-6s %-17s %8.1f M  budget %8.1f M  ratio %.3f%s\n", $1, $2, $6 / 1e6, $3 / 1e6, ratio, verdict
    if (verdict ~ /ABOVE/) failed = 1
}
END { exit failed }'
