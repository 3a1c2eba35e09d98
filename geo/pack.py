#!/usr/bin/env python3
"""Packs an MMDB file (record size 24) for src/enrich/framed.rs, and unpacks it again.

    geo/pack.py region.mmdb geo/region.packed
    geo/pack.py --unpack geo/region.packed region.mmdb

The form: `LHGEO1`, then big-endian numbers: how many nodes (4 bytes), how many frames (4), the length of each frame (2),
then the frames, each an independent Zstandard frame of 768 bytes of the file; the last may be shorter. In the search tree
each record stands as what it is relative to its node: for a node, its number less one less that of the node it stands in,
modulo 2^23; for anything else, its number less that of the nodes, plus 2^23. Needs the program `zstd`.
"""

import os
import subprocess
import sys
import tempfile

MARK = b"LHGEO1"
FRAME = 768
NODE = 6
FLAG = 1 << 23


def node_count(data):
    metadata = data[data.rindex(b"\xab\xcd\xefMaxMind.com"):]
    at = metadata.index(b"node_count") + len(b"node_count")
    return int.from_bytes(metadata[at + 1:at + 1 + (metadata[at] & 31)], "big")


def turned(data, nodes, turn):
    out = bytearray(data)
    for node in range(nodes):
        for at in (node * NODE, node * NODE + 3):
            out[at:at + 3] = turn(int.from_bytes(data[at:at + 3], "big"), node).to_bytes(3, "big")
    return bytes(out)


def pack(data):
    nodes = node_count(data)
    if nodes >= FLAG or len(data) - nodes * NODE >= FLAG:
        sys.exit("too large for 23 bits")
    relative = turned(data, nodes, lambda value, node: (value - node - 1) % FLAG if value < nodes else value - nodes | FLAG)
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for at in range(0, len(relative), FRAME):
            names.append(os.path.join(folder, f"{at // FRAME:08d}"))
            with open(names[-1], "wb") as piece:
                piece.write(relative[at:at + FRAME])
        for at in range(0, len(names), 2000):
            subprocess.run(["zstd", "-q", "-19", "--no-check", "--rm", *names[at:at + 2000]], check=True)
        frames = [open(name + ".zst", "rb").read() for name in names]
    head = MARK + nodes.to_bytes(4, "big") + len(frames).to_bytes(4, "big")
    return head + b"".join(len(frame).to_bytes(2, "big") for frame in frames) + b"".join(frames)


def unpack(packed):
    if packed[:6] != MARK:
        sys.exit("not packed by this program")
    nodes, count = int.from_bytes(packed[6:10], "big"), int.from_bytes(packed[10:14], "big")
    frames = packed[14 + 2 * count:]
    relative = subprocess.run(["zstd", "-dcq"], input=frames, stdout=subprocess.PIPE, check=True).stdout
    back = lambda value, node: nodes + (value ^ FLAG) if value & FLAG else (value + node + 1) % FLAG
    return turned(relative, nodes, back)


def main():
    back = sys.argv[1:2] == ["--unpack"]
    if len(sys.argv) != (4 if back else 3):
        sys.exit(__doc__)
    source, target = sys.argv[-2:]
    with open(source, "rb") as file:
        data = file.read()
    out = unpack(data) if back else pack(data)
    if not back and unpack(out) != data:
        sys.exit("it does not unpack to what it was")
    with open(target, "wb") as file:
        file.write(out)


main()
