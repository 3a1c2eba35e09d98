#!/usr/bin/env python3
"""Packs the search tree of an MMDB file (record size 24) for src/enrich/framed.rs, and unpacks it again.

    geo/pack.py region.mmdb geo/region.packed
    geo/pack.py --unpack geo/region.packed region.mmdb

The form: `LHGEO1`, then big-endian numbers: how many nodes (4 bytes), how many frames (4), the length of each frame (2);
then the frames, of 128 nodes each; then the file behind the tree as it is. A node is a byte with the codes of its two
records, the first in the lower half, and what they need:

     0  the next node                      4  no data
     1  the node 2 to 257 further on: 1    5  data at an offset of 2 bytes, counted from the end of the tree
     2  likewise, 2 bytes, from 1 on       6  likewise, 3 bytes
     3  likewise, 3 bytes, modulo 2^23     7 to 15  that of codes 5 and 6 in this frame, the latest first
"""

import sys

MARK = b"LHGEO1"
FRAME = 128
NODE = 6
RANGE = 1 << 23
RECENT = 9


def node_count(data):
    metadata = data[data.rindex(b"\xab\xcd\xefMaxMind.com"):]
    at = metadata.index(b"node_count") + len(b"node_count")
    return int.from_bytes(metadata[at + 1:at + 1 + (metadata[at] & 31)], "big")


def put(value, node, nodes, recent, more):
    """The code of a record; appends what it needs."""
    if value < nodes:
        further = (value - node - 1) % RANGE
        if further == 0:
            return 0
        if further <= 256:
            more.append(further - 1)
            return 1
        size = 2 if further < 1 << 16 else 3
        more += further.to_bytes(size, "big")
        return size
    offset = value - nodes
    if offset == 0:
        return 4
    if offset in recent:
        return 7 + recent.index(offset)
    recent.insert(0, offset)
    del recent[RECENT:]
    size = 2 if offset < 1 << 16 else 3
    more += offset.to_bytes(size, "big")
    return 3 + size


def get(code, node, nodes, recent, rest):
    """The value of a record."""
    take = lambda size: int.from_bytes(bytes(next(rest) for _ in range(size)), "big")
    if code <= 3:
        further = (0 if code == 0 else take(1) + 1 if code == 1 else take(code))
        return (node + 1 + further) % RANGE
    if code == 4:
        return nodes
    if code <= 6:
        recent.insert(0, take(code - 3))
        del recent[RECENT:]
        return nodes + recent[0]
    return nodes + recent[code - 7]


def pack(data):
    nodes = node_count(data)
    if nodes >= RANGE or len(data) >= 1 << 32:
        sys.exit("too large")
    frames = []
    for first in range(0, nodes, FRAME):
        frame, recent = bytearray(), []
        for node in range(first, min(first + FRAME, nodes)):
            at, more = node * NODE, bytearray()
            left = put(int.from_bytes(data[at:at + 3], "big"), node, nodes, recent, more)
            right = put(int.from_bytes(data[at + 3:at + 6], "big"), node, nodes, recent, more)
            frame.append(left | right << 4)
            frame += more
        frames.append(bytes(frame))
    head = MARK + nodes.to_bytes(4, "big") + len(frames).to_bytes(4, "big")
    lengths = b"".join(len(frame).to_bytes(2, "big") for frame in frames)
    return head + lengths + b"".join(frames) + data[nodes * NODE:]


def unpack(packed):
    if packed[:6] != MARK:
        sys.exit("not packed by this program")
    nodes, count = int.from_bytes(packed[6:10], "big"), int.from_bytes(packed[10:14], "big")
    out, at = bytearray(), 14 + 2 * count
    for index in range(count):
        length = int.from_bytes(packed[14 + 2 * index:16 + 2 * index], "big")
        rest, recent = iter(packed[at:at + length]), []
        at += length
        for node in range(index * FRAME, min(index * FRAME + FRAME, nodes)):
            codes = next(rest)
            out += get(codes & 15, node, nodes, recent, rest).to_bytes(3, "big")
            out += get(codes >> 4, node, nodes, recent, rest).to_bytes(3, "big")
    return bytes(out) + packed[at:]


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
