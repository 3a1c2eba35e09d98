#!/bin/sh
# Installs what tests of rules and tables in other tools' hands use, DuckDB, pySigma, pandas and pyarrow from PyPI, into target/python, a virtual
# environment.
# Prints what it does. Without Python or the network the tests that use them are skipped by name.
set -eu
cd "$(dirname "$0")/.."

wanted=tests/python/requirements.txt
venv=target/python
cmp -s "$wanted" "$venv/requirements.txt" && exit 0

say() { echo "longhaul: $*" >&2; }
if ! command -v python3 >/dev/null 2>&1; then
    say "python3 is missing; tests with DuckDB, pySigma, pandas and pyarrow will be skipped."
    exit 0
fi
say "installing DuckDB, pySigma, pandas and pyarrow for tests into $venv."
if python3 -m venv "$venv" >/dev/null 2>&1 &&
    "$venv/bin/pip" install --quiet --disable-pip-version-check --retries 1 --timeout 10 -r "$wanted" >&2; then
    cp "$wanted" "$venv/requirements.txt"
else
    say "that failed; tests with DuckDB, pySigma, pandas and pyarrow will be skipped."
fi
