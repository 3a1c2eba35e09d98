#!/usr/bin/env bash
# Instruction budgets: what callgrind counts for three small captures, by thread, beside stored figures. Fails where one
# is more than 2 % above its figure. One worker; the same on a busy machine as on an idle one, within half a per cent.
#
#   benches/budgets.sh           compares with benches/budgets/baseline
#   benches/budgets.sh --bless   writes that file
#
# Captures: one packet (what a start costs), the demonstration, 10,000 SYNs from as many addresses. The figures belong to
# one version of rustc: with another one they are printed, not compared. Ends with 2 where nothing was compared.
# Builds the release binary first, so that none of yesterday is counted; LONGHAUL=FILE counts that one instead.
# Needs valgrind and zstd (Debian, Ubuntu: apt-get install valgrind zstd).
set -euo pipefail
cd "$(dirname "$0")/.."

STORED=benches/budgets/baseline
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

not_compared() {
    echo "budgets: NOTHING WAS COMPARED: $1" >&2
    exit 2
}

case "${1:-}" in
"" | --bless) ;;
*)
    echo "usage: benches/budgets.sh [--bless]" >&2
    exit 2
    ;;
esac
for program in valgrind zstd; do
    command -v $program >/dev/null || not_compared "$program is not installed (Debian, Ubuntu: apt-get install $program)"
done
BIN=${LONGHAUL:-}
if [ -z "$BIN" ]; then
    cargo build --release --locked --features parquet
    BIN=target/release/longhaul
fi

rustc --edition 2021 -O benches/budgets/flood.rs -o "$WORK/flood"
"$WORK/flood" "$WORK/one.pcap" 1
"$WORK/flood" "$WORK/flood.pcap" 10000
"$BIN" demo --extract "$WORK/demo.pcap.zst" >/dev/null
# A thread unpacks ahead where there are two cores: its share would depend on the machine.
zstd -dq "$WORK/demo.pcap.zst" -o "$WORK/demo.pcap"

# Prints a line for each thread that matters: capture, thread, instructions.
count() { # name file
    local threads
    valgrind --tool=callgrind --separate-threads=yes --callgrind-out-file="$WORK/$1" \
        "$BIN" read "$2" --out "$WORK/out-$1" --quiet --workers 1 >/dev/null 2>"$WORK/log" ||
        { cat "$WORK/log" >&2; return 1; }
    # In the order in which they are started; the second waits for signals.
    threads=("$WORK/$1"-0*)
    [ ${#threads[@]} -eq 4 ] || { echo "budgets: $1: ${#threads[@]} threads, not 4: name them in count()" >&2; return 1; }
    paste <(printf "$1\t%s\n" "reader and start" worker correlator) \
        <(awk '/^totals:/ { print $2 }' "${threads[0]}" "${threads[2]}" "${threads[3]}")
}

# What decides instructions beside the source: another compiler, C library, or processor whose wide registers they use.
machine="$(rustc --version), $(getconf GNU_LIBC_VERSION), $(valgrind --version), $(
    grep -qw avx2 /proc/cpuinfo && echo avx2 || echo "no avx2")"
{
    printf '# %s\n' "$machine"
    count one "$WORK/one.pcap"
    count demo "$WORK/demo.pcap"
    count flood "$WORK/flood.pcap"
} >"$WORK/now"

if [ "${1:-}" = --bless ]; then
    cp "$WORK/now" "$STORED"
    cat "$STORED"
    exit
fi
if [ "$(head -1 "$STORED")" != "# $machine" ]; then
    cat "$WORK/now"
    not_compared "the stored figures are of $(head -1 "$STORED" | cut -c3-), these of $machine; --bless stores these"
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
