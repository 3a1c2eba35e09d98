#!/usr/bin/env bash
# CPU, packets per CPU second and peak memory of longhaul beside tcpdump, ndpiReader and nfpcapd: the same
# files, one run, ratios to `tcpdump -r FILE -w /dev/null`. CPU seconds are user + system.
#
#   benches/compare.sh                 all workloads, best of ROUNDS (default 3) runs each
#   SHARED=DIR benches/compare.sh      where bench/gen.rs and data/pcaps are (default ../shared)
#   ROUNDS=5 ONLY="mix small" WITH_PEERS=0 benches/compare.sh
set -euo pipefail
cd "$(dirname "$0")/.."

SHARED=${SHARED:-../shared}
ROUNDS=${ROUNDS:-3}
ONLY=${ONLY:-mix elephant small small24}
WITH_PEERS=${WITH_PEERS:-1}
WORK=${BENCH_DIR:-${TMPDIR:-/tmp}/longhaul-bench}
BIN=${LONGHAUL:-target/release/longhaul}

if [ ! -f "$SHARED/bench/gen.rs" ]; then
    echo "skipped: $SHARED/bench/gen.rs is not here; set SHARED=DIR" >&2
    exit 0
fi

need() { # command package
    command -v "$1" >/dev/null 2>&1 && return
    echo "installing $2 (for $1)" >&2
    local sudo=""
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get install -y -qq "$2" >/dev/null
}
need tcpdump tcpdump
if [ "$WITH_PEERS" = 1 ]; then
    need nfpcapd nfdump
    need ndpiReader libndpi-bin
fi
[ -x "$BIN" ] || cargo build --release --locked

mkdir -p "$WORK"
[ -x "$WORK/gen" ] || rustc --edition 2021 -O "$SHARED/bench/gen.rs" -o "$WORK/gen"
ls "$SHARED"/data/pcaps/*.pcap >"$WORK/list"
# The elephant builder stops on a frame whose TCP header is a lie; the malformed captures hold no elephants.
grep -v /malformed__ "$WORK/list" >"$WORK/list-sound"

build() {
    local out="$WORK/$1.pcap"
    [ -s "$out" ] && return
    case $1 in
        mix) "$WORK/gen" mix "$out" "$WORK/list" 1000000000 4 ;;
        elephant) "$WORK/gen" elephant "$out" "$WORK/list-sound" 24 800000000 10 ;;
        small) "$WORK/gen" small "$out" "$WORK/list" 600000 ;;
        small24) "$WORK/gen" small "$out" "$WORK/list" 2400000 ;;
    esac >/dev/null 2>&1
}

# Prints "CPU-seconds peak-MB" of the best of ROUNDS runs.
measure() {
    local best="" rss=0 round out
    for round in $(seq "$ROUNDS"); do
        rm -rf "$WORK/out"
        mkdir -p "$WORK/out"
        out=$( { /usr/bin/env time -f '%U %S %M' "$@" >/dev/null 2>"$WORK/err"; } 2>&1 ) || true
        out=$(tail -1 "$WORK/err")
        best=$(awk -v b="$best" -v line="$out" 'BEGIN{split(line,f," ");c=f[1]+f[2];if(b==""||c<b)b=c;printf "%.3f",b}')
        rss=$(awk -v r="$rss" -v line="$out" 'BEGIN{split(line,f," ");m=f[3]/1024;if(m>r)r=m;printf "%d",r}')
    done
    echo "$best $rss"
}

row() { # name workload packets base-cpu cpu rss
    awk -v n="$1" -v w="$2" -v p="$3" -v b="$4" -v c="$5" -v m="$6" 'BEGIN{
        printf "%-9s %-28s %8.3f s %9.0f kpkt/s %6d MB %6.2f x\n", w, n, c, p/c/1000, m, c/b}'
}

need time time
for load in $ONLY; do
    build "$load"
    file="$WORK/$load.pcap"
    packets=$("$WORK/gen" stats "$file" 2>/dev/null | awk 'NR==1{print $2}')
    read -r base rss < <(measure tcpdump -r "$file" -w /dev/null)
    row "tcpdump -w /dev/null" "$load" "$packets" "$base" "$base" "$rss"
    read -r cpu rss < <(measure "$BIN" read "$file" --out "$WORK/out/d" --quiet)
    row "longhaul --out" "$load" "$packets" "$base" "$cpu" "$rss"
    read -r cpu rss < <(measure "$BIN" read "$file" --out "$WORK/out/d" --no-sessions --quiet)
    row "longhaul --out --no-sessions" "$load" "$packets" "$base" "$cpu" "$rss"
    read -r cpu rss < <(measure "$BIN" read "$file" --out "$WORK/out/d" --no-latency --quiet)
    row "longhaul --out --no-latency" "$load" "$packets" "$base" "$cpu" "$rss"
    if [ "$WITH_PEERS" = 1 ]; then
        read -r cpu rss < <(measure nfpcapd -r "$file" -l "$WORK/out" -w "$WORK/out")
        row "nfpcapd" "$load" "$packets" "$base" "$cpu" "$rss"
        read -r cpu rss < <(measure ndpiReader -q -i "$file")
        row "ndpiReader" "$load" "$packets" "$base" "$cpu" "$rss"
    fi
done
