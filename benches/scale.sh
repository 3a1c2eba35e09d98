#!/usr/bin/env bash
# How the cost grows with the number of open sessions, and the wall time with the number of workers.
#
#   benches/scale.sh                                  both parts
#   SESSIONS="10000 1000000" benches/scale.sh sessions    CPU of a packet within that many open sessions
#   CAPTURE=FILE.pcap benches/scale.sh workers            wall time with two workers beside one
#
# A packet within N sessions costs what a capture with nine rounds of packets takes more than one with a single
# round. Five million sessions need 8 GB of disk and about 6 GiB of memory. On a busy machine run it as root: it takes
# precedence over other programs then (chrt); the wall times are worth nothing otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

SESSIONS=${SESSIONS:-10000 100000 1000000 5000000}
ROUNDS=${ROUNDS:-3}
MEMORY=${MEMORY:-12GiB}
WORK=${BENCH_DIR:-${TMPDIR:-/tmp}/longhaul-bench}
BIN=${LONGHAUL:-target/release/longhaul}
CAPTURE=${CAPTURE:-$WORK/mix.pcap}
mkdir -p "$WORK"
[ -n "${LONGHAUL:-}" ] || cargo build --release --locked

first=()
[ "$(id -u)" -eq 0 ] && command -v chrt >/dev/null && first=(chrt -f 1)

# Prints CPU seconds, wall seconds and MB of memory, each the least of ROUNDS runs.
measure() { # arguments of read
    local round
    for round in $(seq "$ROUNDS"); do
        rm -rf "$WORK/out-scale"
        "${first[@]}" /usr/bin/env time -f '%U %S %e %M' -o "$WORK/time" "$BIN" read "$@" --out "$WORK/out-scale" --quiet \
            >/dev/null || exit 1
        cat "$WORK/time"
    done | awk 'NR == 1 || $1 + $2 < cpu { cpu = $1 + $2 }
                NR == 1 || $3 < wall { wall = $3 }
                NR == 1 || $4 < rss { rss = $4 }
                END { printf "%.2f %.2f %d\n", cpu, wall, rss / 1024 }'
}

sessions() {
    local count few many rss rounds packets evicted said
    rustc --edition 2021 -O benches/scale/sessions.rs -o "$WORK/sessions"
    # The default is two million.
    printf '[caps]\nsessions = 8_000_000\n' >"$WORK/scale.toml"
    for count in $SESSIONS; do
        # Enough packets that the difference stands out of the clock of CPU times.
        rounds=$((count < 1000000 ? 8000000 / count : 8))
        "$WORK/sessions" "$WORK/few.pcap" "$count" 1 >/dev/null
        "$WORK/sessions" "$WORK/many.pcap" "$count" $((rounds + 1)) >/dev/null
        said=$(measure "$WORK/few.pcap" --workers 1 --memory "$MEMORY" --config "$WORK/scale.toml")
        read -r few _ _ <<<"$said"
        said=$(measure "$WORK/many.pcap" --workers 1 --memory "$MEMORY" --config "$WORK/scale.toml")
        read -r many _ rss <<<"$said"
        evicted=$(jq '.counters.session | .evicted // 0' "$WORK/out-scale/run.json")
        packets=$((count * rounds))
        awk -v n="$count" -v few="$few" -v many="$many" -v p="$packets" -v m="$rss" -v e="$evicted" 'BEGIN {
            printf "%9d sessions %9d packets %8.0f ns of CPU each %6d MB, %d evicted\n", n, p, (many - few) / p * 1e9, m, e }'
        rm -f "$WORK/few.pcap" "$WORK/many.pcap"
    done
}

workers() {
    local one two said
    [ -s "$CAPTURE" ] || { echo "skipped: $CAPTURE is not here: CAPTURE=FILE.pcap" >&2; return; }
    said=$(measure "$CAPTURE" --workers 1)
    read -r _ one _ <<<"$said"
    said=$(measure "$CAPTURE" --workers 2)
    read -r _ two _ <<<"$said"
    awk -v one="$one" -v two="$two" 'BEGIN {
        printf "1 worker %.2f s, 2 workers %.2f s: %.2f\n", one, two, two / one }'
}

command -v jq >/dev/null || { echo "error: jq is missing (Debian, Ubuntu: apt-get install jq)" >&2; exit 1; }
/usr/bin/env time -f '' true 2>/dev/null || { echo "error: time is missing (Debian, Ubuntu: apt-get install time)" >&2; exit 1; }
case "${1:-}" in
sessions | workers) "$1" ;;
"") sessions; workers ;;
*) echo "usage: benches/scale.sh [sessions|workers]" >&2; exit 2 ;;
esac
