#!/usr/bin/env bash
# Live capture beside tcpdump and ndpiReader: a pair of veth interfaces in a network namespace of its own, tcpreplay
# sends a capture as fast as it can on one end, each sensor in turn listens on the other, on the same cores.
# Prints what was offered, what each received, what was lost at which place, and the CPU seconds (user + system) that
# each took; for longhaul also the user time a frame beside that of reading the same frames from the file.
#
#   benches/live.sh [FILE.pcap]        default: the `small` workload of benches/compare.sh where it can be built, else
#                                      the demonstration capture
#   LOOPS=5 ROUNDS=1 RING=64MiB benches/live.sh FILE.pcap
#
# Needs root (network namespaces) and tcpreplay; installs tcpreplay, tcpdump and ndpiReader where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

LOOPS=${LOOPS:-5}
ROUNDS=${ROUNDS:-1}
RING=${RING:-64MiB}
RING_KIB=$((${RING%MiB} * 1024))
SHARED=${SHARED:-../shared}
WORK=${BENCH_DIR:-${TMPDIR:-/tmp}/longhaul-bench}
BIN=${LONGHAUL:-target/release/longhaul}
NS=lhbench$$

if [ "$(id -u)" -ne 0 ]; then
    echo "skipped: needs root, for network namespaces" >&2
    exit 0
fi
need() { # command package
    command -v "$1" >/dev/null 2>&1 && return
    echo "installing $2 (for $1)" >&2
    apt-get install -y -qq "$2" >/dev/null
}
need tcpreplay tcpreplay
need tcpdump tcpdump
need ndpiReader libndpi-bin
need time time
[ -x "$BIN" ] || cargo build --release --locked
BIN=$(realpath "$BIN")
mkdir -p "$WORK"

file=${1:-}
if [ -z "$file" ] && [ -f "$SHARED/bench/gen.rs" ]; then
    file="$WORK/small.pcap"
    if [ ! -s "$file" ]; then
        [ -x "$WORK/gen" ] || rustc --edition 2021 -O "$SHARED/bench/gen.rs" -o "$WORK/gen"
        ls "$SHARED"/data/pcaps/*.pcap >"$WORK/list"
        "$WORK/gen" small "$file" "$WORK/list" 600000 >/dev/null 2>&1
    fi
fi
if [ -z "$file" ]; then
    "$BIN" demo --extract "$WORK/farm.pcap.zst" >/dev/null
    zstd -dqf "$WORK/farm.pcap.zst" -o "$WORK/farm.pcap"
    file="$WORK/farm.pcap"
fi

timer=""
sensor() { pgrep -P "$timer"; } # the timer's child: ip has become the sensor itself
cleanup() {
    [ -z "$timer" ] || kill -9 "$(sensor)" 2>/dev/null || true
    ip netns del "$NS" 2>/dev/null || true
}
trap cleanup EXIT
ip netns add "$NS"
inside() { ip netns exec "$NS" "$@"; }
inside sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 2>/dev/null || true
inside ip link add tap0 type veth peer name src0
for end in tap0 src0; do
    inside ip link set "$end" mtu 65000 addrgenmode none up
done

dropped() { # the card's own count; a veth has none
    inside cat /sys/class/net/tap0/statistics/rx_missed_errors
}

# run COMMAND...: starts the sensor, sends, ends the sensor; leaves its words in $WORK/said.
run() {
    local before
    before=$(dropped)
    env time -o "$WORK/time" -f '%U %S %M' ip netns exec "$NS" "$@" >"$WORK/said" 2>&1 &
    timer=$!
    sleep 2
    inside tcpreplay --topspeed --preload-pcap --loop="$LOOPS" -i src0 "$file" >"$WORK/sent" 2>&1
    sleep 1
    kill -INT "$(sensor)"
    wait "$timer" || true
    timer=""
    offered=$(awk '/^Actual:/ {print $2}' "$WORK/sent")
    rate=$(awk '/^Rated:/ {gsub(/[^0-9.]/, "", $(NF-1)); print $(NF-1)}' "$WORK/sent")
    nic=$(($(dropped) - before))
    read -r user cpu_used rss < <(tail -1 "$WORK/time" | awk '{print $1, $1 + $2, int($3 / 1024)}')
}
# The same frames from a file: user time is ours, live and recorded; system time is the kernel's.
offline() { # what the live run is called, frames it received, user seconds it took, options
    local name=$1 received=$2 live=$3
    shift 3
    rm -rf "$WORK/offline"
    for _ in $(seq "$LOOPS"); do
        env time -a -o "$WORK/offline.time" -f '%U' "$BIN" read "$file" --out "$WORK/offline" --force --quiet "$@"
    done
    awk -v n="$name" -v r="$received" -v l="$live" -v o="$offered" '{s += $1} END {
        printf "%-22s user ns a frame: live %.0f, recorded %.0f, ratio %.2f\n", n, l / r * 1e9, s / o * 1e9, (l / r) / (s / o)
    }' "$WORK/offline.time"
    rm -f "$WORK/offline.time"
}
row() { # name received lost-ring more
    awk -v n="$1" -v o="$offered" -v r="$rate" -v g="$2" -v l="$3" -v nic="$nic" -v c="$cpu_used" -v rss="$rss" -v m="${4:-}" 'BEGIN{
        printf "%-22s offered %9d at %7.0f kpkt/s  received %9d  lost: ring %8s nic %d other %d  cpu %6.2f s  %4d MB %s\n",
            n, o, r / 1000, g, l, nic, o - g - l - nic, c, rss, m}'
}

echo "$(basename "$file"), $LOOPS times, ring $RING, $(nproc) cores, kernel $(uname -r)"
for _ in $(seq "$ROUNDS"); do
    for lines in "" "--no-sessions"; do
        rm -rf "$WORK/live"
        run "$BIN" live tap0 --ring "$RING" --out "$WORK/live" $lines
        received=$(grep -m1 '"frames":' "$WORK/live/run.json" | tr -dc 0-9)
        ring=$(grep -m1 '"ring":' "$WORK/live/run.json" | tr -dc 0-9)
        sessions=$(grep -m1 '"sessions":' "$WORK/live/run.json" | tr -dc 0-9)
        row "longhaul $lines" "$received" "$ring" "($sessions sessions)"
        offline "longhaul $lines" "$received" "$user" $lines
    done
    run tcpdump -i tap0 -n -B "$RING_KIB" -Z root -w /dev/null
    received=$(awk '/packets captured/ {print $1}' "$WORK/said")
    ring=$(awk '/packets dropped by kernel/ {print $1}' "$WORK/said")
    row "tcpdump -w /dev/null" "$received" "$ring"
    run ndpiReader -i tap0
    received=$(awk '/IP packets:/ {print $5; exit}' "$WORK/said")
    row "ndpiReader" "${received:-0}" 0 "(does not say where it loses)"
done
