#!/usr/bin/env python3
"""Lags of labelled captures, by class: benches/lags.py RESULTS TRUTH

RESULTS has a directory for each capture (`longhaul read ID.pcap --out RESULTS/ID`), TRUTH a file ID.json with its class.
Prints the lowest lag of the first turn of each capture, lags of single sessions, and first data behind the handshake."""
import glob
import json
import os
import sys
from collections import defaultdict


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def is_slow(truth):
    emulated = truth.get("spec", {}).get("opt", {}).get("qemu")
    return bool(emulated) or truth.get("scenario", "").startswith("E2")


def table(title, columns, rows):
    print(title)
    print(f"{'class':24}" + "".join(f"{name:>10}" for name in columns))
    for key in sorted(rows):
        print(f"{key:24}" + "".join(f"{value:>10}" for value in rows[key]))
    print()


def main(results, truths):
    captures, sessions, later, first = (defaultdict(list) for _ in range(4))
    absent = defaultdict(int)
    for path in sorted(glob.glob(f"{results}/*/sessions.ndjson")):
        name = os.path.basename(os.path.dirname(path))
        with open(f"{truths}/{name}.json", encoding="utf-8") as file:
            truth = json.load(file)
        protocol = "ssh" if truth["proto"].startswith("ssh") else "other"
        key = " ".join([truth["expect"], protocol] + ["slow"] * is_slow(truth))
        lowest = []
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        for line in lines:
            if line["network"]["transport"] != "tcp" or line["destination"]["ip"] != truth["server_ip"]:
                continue
            found = line["longhaul"].get("lag", {})
            lags = [found.get(f"turn{n}_us") for n in (1, 2, 3, 4)]
            data = line["longhaul"].get("gap", {}).get("first_data_us")
            if data is not None:
                first[key].append(data / 1e3)
            if lags[0] is None:
                absent[key] += 1
                continue
            lowest.append(lags[0] / 1e3)
            rest = [lag for lag in lags[1:] if lag is not None]
            if rest:
                later[key].append(sum(lag >= 0.7 * lags[0] for lag in rest) / len(rest))
        sessions[key] += lowest
        if lowest:
            captures[key].append(min(lowest))

    def spread(values):
        return [f"{quantile(values, share):.1f}" for share in (0, 0.5, 1)]

    rows = {key: [len(low)] + spread(low) for key, low in captures.items()}
    table("lowest lag of the first turn per capture, ms", ["captures", "min", "p50", "max"], rows)
    rows = {
        key: [len(all_), absent[key]] + spread(all_) + [sum(lag >= 45 for lag in all_)]
        + [f"{quantile(later[key], 0.5):.2f}" if later[key] else "-"]
        for key, all_ in sessions.items() if all_
    }
    names = ["sessions", "absent", "min", "p50", "max", ">= 45", "later"]
    table("lag of the first turn, ms; share of later turns with 0.7 of it or more, median", names, rows)
    rows = {key: [len(all_)] + spread(all_) for key, all_ in first.items()}
    table("first data behind the acknowledgement of the handshake, ms", ["sessions", "min", "p50", "max"], rows)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
