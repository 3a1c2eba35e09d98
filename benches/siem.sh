#!/usr/bin/env bash
# Events a second from a finished result through a spool into a file, in each form: all of `longhaul sinks send`,
# which reads the result, writes the spool, reads it, changes the form, writes and syncs the file. Best of ROUNDS.
#
#   benches/siem.sh RUN                 RUN: a directory that `longhaul read --out` made, with many sessions
#   WORK=DIR benches/siem.sh RUN        where spool and file are (default: a temporary directory)
set -euo pipefail
run=${1:?give the directory of a result}
bin=${LONGHAUL:-target/release/longhaul}
rounds=${ROUNDS:-3}
work=${WORK:-$(mktemp -d)}
events=$(wc -l < "$run/sessions.ndjson")
for form in ecs ocsf cef leef eve; do
    best=
    for _ in $(seq "$rounds"); do
        rm -rf "$work/spool" "$work/events"
        printf '[[sink]]\nname = "f"\ntype = "file"\npath = "%s"\nformat = "%s"\nspool = "%s"\nspool_max = "8GiB"\nkinds = ["session"]\n' \
            "$work/events" "$form" "$work/spool" > "$work/c.toml"
        begun=$(date +%s%N)
        "$bin" sinks send "$run" --config "$work/c.toml" > /dev/null
        took=$(($(date +%s%N) - begun))
        [ "$(wc -l < "$work/events")" = "$events" ] || { echo "$form: lines are missing" >&2; exit 1; }
        [ -z "$best" ] || [ "$took" -lt "$best" ] && best=$took
    done
    echo "$form: $events events in $((best / 1000000)) ms, $((events * 1000000000 / best)) a second"
done
rm -rf "$work/spool" "$work/events" "$work/c.toml"
