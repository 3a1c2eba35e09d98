#!/usr/bin/env bash
# Packets per CPU second and peak memory under captures made to be expensive (benches/adversarial.rs), beside those
# of an ordinary mix in the same run. Fails if a case is below a third of the mix, above its memory budget, or leaves
# a session unaccounted for. CPU seconds are user + system, the best of ROUNDS runs of one worker.
#
#   benches/adversarial.sh                 a tenth of the full ten million packets a case
#   SCALE=100 benches/adversarial.sh       the full size (7 GB of captures)
#   MIX=FILE.pcap ROUNDS=3 ONLY="syn-flood tunnels" MEMORY=512MiB benches/adversarial.sh
set -euo pipefail
cd "$(dirname "$0")/.."

SHARED=${SHARED:-../shared}
SCALE=${SCALE:-10}
ROUNDS=${ROUNDS:-2}
MEMORY=${MEMORY:-512MiB}
WORK=${BENCH_DIR:-${TMPDIR:-/tmp}/longhaul-bench}
CASES="$WORK/adversarial-$SCALE"
BIN=${LONGHAUL:-target/release/longhaul}
MIX=${MIX:-$WORK/mix.pcap}

[ -x "$BIN" ] || cargo build --release --locked
mkdir -p "$CASES"
if [ ! -s "$CASES/list" ] || [ benches/adversarial.rs -nt "$CASES/list" ]; then
    cargo bench --locked --quiet --bench adversarial -- "$CASES" "$SCALE" >"$CASES/list.part"
    mv "$CASES/list.part" "$CASES/list"
fi
if [ ! -s "$MIX" ]; then
    if [ -f "$SHARED/bench/gen.rs" ]; then
        [ -x "$WORK/gen" ] || rustc --edition 2021 -O "$SHARED/bench/gen.rs" -o "$WORK/gen"
        ls "$SHARED"/data/pcaps/*.pcap >"$WORK/list"
        "$WORK/gen" mix "$MIX" "$WORK/list" 1000000000 4 >/dev/null 2>&1
    else
        MIX=tests/data/demo/farm.pcap.zst
        echo "note: no generator of a mix in $SHARED; compared with the demonstration (MIX=FILE is better)" >&2
    fi
fi

# Sets cpu (seconds), rss (MiB), packets and lost (sessions unaccounted for) of the best run.
measure() { # file
    local round line
    cpu="" rss=0
    for round in $(seq "$ROUNDS"); do
        rm -rf "$WORK/out-adversarial"
        line=$( { /usr/bin/env time -f '%U %S %M' "$BIN" read "$1" --out "$WORK/out-adversarial" --workers 1 \
            --memory "$MEMORY" --quiet >/dev/null; } 2>&1 | tail -1)
        cpu=$(awk -v best="$cpu" -v line="$line" 'BEGIN { split(line, f, " "); c = f[1] + f[2]
            printf "%.3f", (best == "" || c < best) ? c : best }')
        rss=$(awk -v most="$rss" -v line="$line" 'BEGIN { split(line, f, " "); m = f[3] / 1024
            printf "%d", (m > most) ? m : most }')
    done
    packets=$(jq .counters.capture.frames "$WORK/out-adversarial/run.json")
    lost=$(jq .counters.session.unaccounted "$WORK/out-adversarial/run.json")
}

failed=0
row() { # name packets cpu rss ratio
    awk -v n="$1" -v p="$2" -v c="$3" -v m="$4" -v r="$5" 'BEGIN {
        printf "%-14s %10d packets %8.3f s %8.0f kpkt/s %6d MiB   %s\n", n, p, c, p / c / 1000, m, r }'
}

measure "$MIX"
base=$(awk -v p="$packets" -v c="$cpu" 'BEGIN { print p / c }')
row mix "$packets" "$cpu" "$rss" "1.00 of mix"
budget=$(numfmt --from=iec-i "${MEMORY%B}" --to-unit=Mi)
while read -r name _; do
    [ -z "${ONLY:-}" ] || [[ " $ONLY " == *" $name "* ]] || continue
    measure "$CASES/$name.pcap"
    verdict=$(awk -v p="$packets" -v c="$cpu" -v b="$base" -v m="$rss" -v most="$budget" -v l="$lost" 'BEGIN {
        r = p / c / b
        printf "%.2f of mix", r
        if (r < 1 / 3) printf "  BELOW A THIRD"
        if (m > most * 1.1) printf "  ABOVE ITS BUDGET"
        if (l != 0) printf "  SESSIONS UNACCOUNTED FOR" }')
    [[ $verdict =~ [A-Z]{4} ]] && failed=1
    row "$name" "$packets" "$cpu" "$rss" "$verdict"
done <"$CASES/list"
exit "$failed"
