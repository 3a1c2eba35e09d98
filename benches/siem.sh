#!/usr/bin/env bash
# How fast events leave, and what an outage costs.
#
#   benches/siem.sh RUN [WAY...]        all of `longhaul sinks send RUN`: reads the result, writes the spool, reads it,
#                                       changes the form, sends, waits until the receiver has all. Best of ROUNDS.
#                                       RUN: a directory that `longhaul read --out` made, with many sessions.
#                                       WAY: file-ecs (-ocsf, -cef, -leef, -eve), rsyslog (over TLS), nats;
#                                       default: file-*, and what is installed
#   benches/siem.sh outage              a live sensor with RATE (5,000) sessions a second and a sink that is up for
#                                       UP (90) s, down for DOWN (600) s, up again: losses, memory, ids. Needs root.
#   WORK=DIR benches/siem.sh ...        where spools and files are (default: a temporary directory)
set -euo pipefail
here=$(dirname "$0")
bin=$(realpath "${LONGHAUL:-$here/../target/release/longhaul}")
ends() { python3 "$here/siem.py" "$@"; }
made=
[ -n "${WORK:-}" ] || made=$(mktemp -d)
work=${WORK:-$made}
own=()
netns=
cleanup() {
    for pid in "${own[@]}"; do kill "$pid" 2>/dev/null || true; done
    [ -z "$netns" ] || ip netns del "$netns" 2>/dev/null || true
    [ -z "$made" ] || rm -rf "$made"
}
trap cleanup EXIT

# waits_for WHAT COMMAND...
waits_for() {
    local what=$1
    shift
    for _ in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "waited in vain: $what" >&2
    exit 1
}

outage() {
    local rate=${RATE:-5000} down=${DOWN:-600} up=${UP:-90}
    netns=lhsiem$$
    inside() { ip netns exec "$netns" "$@"; }
    ip netns add "$netns"
    inside ip link set lo up
    inside ip link add tap0 type veth peer name src0
    for end in tap0 src0; do inside ip link set "$end" addrgenmode none up; done
    cat >"$work/c.toml" <<END
[[sink]]
name = "siem"
type = "syslog"
url = "tcp://127.0.0.1:601"
kinds = ["session"]
spool = "$work/spool"
spool_max = "32GiB"
END
    receiver() {
        ip netns exec "$netns" python3 "$here/siem.py" receive 601 "$work/received" &
        own+=($!)
        receiving=$!
    }
    receiver
    ip netns exec "$netns" "$bin" live tap0 --out "$work/out" --config "$work/c.toml" --memory "${MEMORY:-512MiB}" --workers 1 \
        --user root --drain 600s 2>"$work/said" &
    local sensor=$!
    own+=("$sensor")
    waits_for "the sensor" grep -q "listening on" "$work/said"
    local sender
    sender=$(pgrep -P "$sensor" -f "sinks forward")
    ip netns exec "$netns" python3 "$here/siem.py" packets src0 "$rate" $((up + down + up)) >"$work/sent" &
    local packets=$!
    own+=("$packets")
    sleep "$up"
    kill "$receiving"
    echo "down after $up s: $(wc -l <"$work/received") events received"
    sleep "$down"
    echo "up after $down s more: $(du -sm "$work/spool" | cut -f1) MiB wait"
    local begun
    begun=$(date +%s%N)
    receiver
    wait "$packets"
    peak() { awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$1/status"; }
    echo "memory at most: sensor $(peak "$sensor") MiB, sender $(peak "$sender") MiB"
    kill -TERM "$sensor"
    wait "$sensor" || true
    echo "all sent $((($(date +%s%N) - begun) / 1000000)) ms after it was up again"
    echo "sent: $(cat "$work/sent") datagrams; loss: $(python3 -c '
import json, sys
run = json.load(open(sys.argv[1]))
print({place: count for place, count in run["loss"].items() if count}, run["counters"]["capture"]["frames"], "frames")
' "$work/out/run.json")"
    ends compare "$work/out/sessions.ndjson" "$work/received"
}

# measure NAME KEYS...: best of ROUNDS.
measure() {
    local name=$1 best= begun took
    for _ in $(seq "${ROUNDS:-3}"); do
        rm -rf "$work/spool" "$work/events"
        printf '[[sink]]\nname = "s"\nspool = "%s"\nspool_max = "8GiB"\nkinds = ["session"]\n%s\n' \
            "$work/spool" "$2" >"$work/c.toml"
        begun=$(date +%s%N)
        "$bin" sinks send "$run" --config "$work/c.toml" --drain 300s >"$work/said"
        took=$(($(date +%s%N) - begun))
        grep -q " $events confirmed, 0 refused, 0 waiting" "$work/said" || { cat "$work/said" >&2; exit 1; }
        [ -n "$best" ] && [ "$took" -ge "$best" ] || best=$took
    done
    echo "$name: $events events in $((best / 1000000)) ms, $((events * 1000000000 / best)) a second"
}

way() {
    case $1 in
    file-*)
        measure "$1" "$(printf 'type = "file"\npath = "%s"\nformat = "%s"' "$work/events" "${1#file-}")"
        [ "$(wc -l <"$work/events")" = "$events" ] || { echo "$1: lines are missing" >&2; exit 1; }
        ;;
    rsyslog)
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
            -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE \
            -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
        cat >"$work/rsyslog.conf" <<END
global(workDirectory="$work" maxMessageSize="256k" defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="$work/cert.pem" defaultNetstreamDriverCertFile="$work/cert.pem"
  defaultNetstreamDriverKeyFile="$work/key.pem")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" port="26514" address="127.0.0.1")
template(name="raw" type="string" string="%msg%\n")
action(type="omfile" file="$work/events" template="raw")
END
        rsyslogd -n -f "$work/rsyslog.conf" -i "$work/rsyslog.pid" >/dev/null 2>&1 &
        own+=($!)
        waits_for rsyslogd bash -c "exec 3<>/dev/tcp/127.0.0.1/26514"
        measure "$1" "$(printf 'type = "syslog"\nurl = "tls://localhost:26514"\nca = "%s"' "$work/cert.pem")"
        ;;
    nats)
        nats-server -js -a 127.0.0.1 -p 14222 -sd "$work/nats" >/dev/null 2>&1 &
        own+=($!)
        waits_for nats-server ends stream 14222
        measure "$1" "$(printf 'type = "nats"\nurl = "nats://127.0.0.1:14222"')"
        ;;
    *) echo "no way $1" >&2; exit 2 ;;
    esac
}

run=${1:?give the directory of a result, or: outage}
if [ "$run" = outage ]; then
    outage
    exit
fi
shift
events=$(wc -l <"$run/sessions.ndjson")
if [ $# = 0 ]; then
    set -- file-ecs file-ocsf file-cef file-leef file-eve
    ! command -v rsyslogd >/dev/null || set -- "$@" rsyslog
    ! command -v nats-server >/dev/null || set -- "$@" nats
fi
for one in "$@"; do way "$one"; done
