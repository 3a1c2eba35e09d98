#!/bin/sh
# Measures incidents on a simulated company: how many honest people there are per 1,000 employees a day, by kind, and how many
# cases of each topology are found.
#
# The simulator is looked for in ../shared/sim, or where LONGHAUL_SHARED says; without it this says `skipped:`. It is a model: what it
# says of rules is an indication, and its shares of kinds are a judgement. The ratios of rules/likelihood.toml were chosen on
# seeds 101 to 103; other seeds are the test.
#
# usage: benches/company.sh [SEED...]     LONGHAUL_COMPANY="--profile base --density 0.5" changes the company
set -eu
cd "$(dirname "$0")/.."
sim="${LONGHAUL_SHARED:-../shared}/sim"
if [ ! -f "$sim/company.rs" ]; then
    echo "skipped: there is no simulator in $sim"
    exit 0
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/company.XXXXXX")
trap 'rm -rf "$work"' EXIT
rustc -O --edition 2021 "$sim/company.rs" -o "$work/company"
cargo build --release --locked --quiet --bin longhaul
[ $# -gt 0 ] || set -- 201 202 203
for seed; do
    in="$work/$seed" out="$work/$seed-result"
    # Words of the variable are options.
    # shellcheck disable=SC2086
    "$work/company" --seed "$seed" --employees 300 --days 7 --start 2026-09-14 --guilty 8 ${LONGHAUL_COMPANY:-} --out "$in" \
        > /dev/null
    /usr/bin/time -f "seed $seed: %U s user, %M kB" target/release/longhaul read "$in"/day-*.pcap --config "$in/config.toml" \
        --subjects "$in/subjects.csv" --place IAD --out "$out" > /dev/null
    python3 "$sim/score.py" "$in" "$out" --json "$work/$seed.json"
    rm -rf "$in" "$out"
done
python3 - "$work" <<'PYTHON'
import glob, json, sys
runs = [json.load(open(path)) for path in sorted(glob.glob(sys.argv[1] + "/*.json"))]
rate = sum(run["false_incidents_per_1000_per_day"] for run in runs) / len(runs)
print(f"all {len(runs)} seeds: incidents on the honest per 1,000 employees a day: {rate:.2f}")
for topology in sorted(set().union(*(run["recall"] for run in runs))):
    of = [run["recall"][topology] for run in runs if topology in run["recall"]]
    cases, found = sum(r["cases"] for r in of), sum(r["incident"] for r in of)
    print(f"{topology}: incidents on {found} of {cases} cases ({100 * found / cases:.0f} %)")
PYTHON
