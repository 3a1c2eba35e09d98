#!/usr/bin/env bash
# Instruction budgets: what callgrind counts for three small captures, by stage, beside stored figures. Fails where one
# is more than 2 % above its figure. One worker; the same on a busy machine as on an idle one, within half a per cent.
#
#   benches/budgets.sh           compares with benches/budgets/baseline
#   benches/budgets.sh --bless   writes that file
#
# Captures: one packet (what a start costs), the demonstration, 10,000 SYNs from as many addresses. Stages are told by the
# functions that hold them: loading rules and databases, the loop over frames, packets and their observers, ended
# sessions with their lines, the correlator, what is written at the end. The figures belong to one version of rustc, C library and valgrind: with
# others they are printed, not compared. Ends with 2 where nothing was compared. Builds first, so that none
# of yesterday is counted; LONGHAUL=FILE counts that program instead, which must have symbols.
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
BIN=${LONGHAUL:-}
if [ -z "$BIN" ]; then
    cargo build --profile profiling --locked
    BIN=target/profiling/longhaul
fi
for program in valgrind zstd; do
    command -v $program >/dev/null || not_compared "$program is not installed (Debian, Ubuntu: apt-get install $program)"
done

rustc --edition 2021 -O benches/budgets/flood.rs -o "$WORK/flood"
"$WORK/flood" "$WORK/one.pcap" 1
"$WORK/flood" "$WORK/flood.pcap" 10000
"$BIN" demo --extract "$WORK/demo.pcap.zst" >/dev/null
# A thread unpacks ahead where there are two cores: its share would depend on the machine.
zstd -dq "$WORK/demo.pcap.zst" -o "$WORK/demo.pcap"

# Prints the instructions of a function and of what it calls: of its rows, one for each file that was inlined into it, the
# first is the largest. Some rows end with the program in brackets.
within() { # profile function
    callgrind_annotate --inclusive=yes --threshold=100 "$1" 2>/dev/null | awk -v name=":$2" '
        { row = $0; sub(/ \[[^\]]*\]$/, "", row) }
        !found && substr(row, length(row) - length(name) + 1) == name { gsub(",", "", $1); print $1; found = 1 }
        END { exit !found }' ||
        { echo "budgets: no function $2 in ${1##*/}: name the stage's function in count()" >&2; return 1; }
}

# Prints a line for each stage: capture, stage, instructions.
count() { # name file
    local threads start frames end ended worker correlator
    valgrind --tool=callgrind --separate-threads=yes --callgrind-out-file="$WORK/$1" \
        "$BIN" read "$2" --out "$WORK/out-$1" --quiet --workers 1 >/dev/null 2>"$WORK/log" ||
        { cat "$WORK/log" >&2; return 1; }
    # In the order in which they are started; the second waits for signals.
    threads=("$WORK/$1"-0*)
    [ ${#threads[@]} -eq 4 ] || { echo "budgets: $1: ${#threads[@]} threads, not 4: name them in count()" >&2; return 1; }
    start=$(within "${threads[0]}" longhaul::pipeline::prepare::prepare)
    frames=$(within "${threads[0]}" longhaul::pipeline::reader::Reader::run)
    end=$(within "${threads[0]}" longhaul::pipeline::Unfinished::finish)
    worker=$(within "${threads[2]}" longhaul::pipeline::worker::Worker::run)
    ended=$(within "${threads[2]}" longhaul::pipeline::record_worker::RecordWorker::work_off)
    correlator=$(awk '/^totals:/ { print $2 }' "${threads[3]}")
    printf "$1\t%s\t%s\n" start "$start" frames "$frames" \
        "packets of sessions" $((worker - ended)) "ended sessions" "$ended" correlator "$correlator" \
        "end of the run" "$end"
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
# Stages below a million instructions do next to nothing: what they cost is noise.
awk -F'\t' '
/^#/ { next }
NR == FNR { budget[$1 "\t" $2] = $3; next }
{
    name = $1 "\t" $2
    if (!(name in budget)) { printf "%s: no budget is stored\n", name; failed = 1; next }
    ratio = $3 / budget[name]
    verdict = budget[name] < 1e6 ? "" : ratio > 1.02 ? "  ABOVE ITS BUDGET" : ratio < 0.98 ? "  cheaper: --bless keeps it" : ""
    printf "%-6s %-20s %8.1f M  budget %8.1f M  ratio %.3f%s\n", $1, $2, $3 / 1e6, budget[name] / 1e6, ratio, verdict
    if (verdict ~ /ABOVE/) failed = 1
    delete budget[name]
}
END {
    for (name in budget) { printf "%s: a budget of no stage\n", name; failed = 1 }
    exit failed
}' "$STORED" "$WORK/now"
