#!/bin/sh
# Measures the hidden-leg estimate on the labelled captures and prints the tables with counts (of the
# second set by software, tunnel and number of sessions), every capture that is not like its class,
# and every endpoint flagged in captures made elsewhere; by scenario, whether a laptop looks controlled,
# and how far off the legs behind relays are.
#
# The captures are looked for in ../shared, or where LONGHAUL_SHARED says; without them each part
# says `skipped:`. With LONGHAUL_BLESS=1 the plot in docs/ is drawn again.
set -eu
cd "$(dirname "$0")/.."
exec cargo test --quiet --locked --test quality -- --nocapture --test-threads=1
