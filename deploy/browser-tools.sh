#!/bin/sh
# Installs what tests of the report in a browser use: axe-core and playwright-core from npm, pinned by a lock file, into
# target/browser; with --chromium also Debian's Chromium and Node.js, if they are missing (Debian and its relatives).
# Prints what it does. Without them the tests that use them are skipped by name.
set -eu
cd "$(dirname "$0")/.."

wanted=tests/browser/package-lock.json
place=target/browser

say() { echo "longhaul: $*" >&2; }

if [ "${1:-}" = --chromium ] && command -v apt-get >/dev/null 2>&1; then
    missing=""
    command -v chromium >/dev/null 2>&1 || missing="chromium"
    command -v npm >/dev/null 2>&1 || missing="$missing nodejs npm"
    if [ -n "$missing" ] && [ "$(id -u)" -eq 0 ]; then
        say "installing $missing for tests of the report in a browser."
        # shellcheck disable=SC2086 # a word for each package
        { apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null; } ||
            say "that failed; tests of the report in a browser will be skipped."
    fi
fi

cmp -s "$wanted" "$place/package-lock.json" && [ -d "$place/node_modules" ] && exit 0
if ! command -v npm >/dev/null 2>&1; then
    say "npm is missing; tests of the report in a browser will be skipped."
    exit 0
fi
say "installing playwright-core and axe-core for tests into $place."
rm -rf "$place"
mkdir -p "$place"
cp tests/browser/package.json "$wanted" "$place"
if ! (cd "$place" && npm ci --ignore-scripts --no-audit --no-fund --silent >&2); then
    rm -rf "$place"
    say "that failed; tests of the report in a browser will be skipped."
fi
