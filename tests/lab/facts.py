"""What an independent dissector says about the capture: tshark's fields, plain arithmetic.

Owns: expected.json, and the tables between the markers of the README beside it.
In:   facts.py CAPTURE DIRECTORY [VERSIONS]    Out: exit code 1 when a leg is not as intended.
Never: a number that does not come from tshark's fields (times are whole nanoseconds).
"""

import base64
import hashlib
import ipaddress
import json
import struct
import subprocess
import sys

import world

TCP = ["tcp.stream", "frame.time_epoch", "ip.src", "tcp.srcport", "ip.dst", "tcp.dstport",
       "tcp.flags", "tcp.len", "tcp.ack", "ip.ttl", "tcp.options.mss_val",
       "tcp.analysis.retransmission", "tcp.analysis.initial_rtt", "ssh.protocol",
       "tls.handshake.type", "tls.handshake.extensions_server_name",
       "tls.handshake.extensions.supported_version", "tls.handshake.version", "ssh.kex.hassh",
       "ssh.kex.hasshserver"]
HELLO = ["tcp.stream", "tls.handshake.version", "tls.handshake.ciphersuite",
         "tls.handshake.extension.type", "tls.handshake.sig_hash_alg",
         "tls.handshake.extensions_alpn_str", "tls.handshake.extensions.supported_version",
         "tls.handshake.ja3"]
DNS = ["frame.time_epoch", "ip.src", "ip.dst", "udp.srcport", "dns.id", "dns.flags.response",
       "dns.qry.name", "dns.qry.type", "dns.flags.rcode", "dns.a"]
ICMP = ["frame.time_epoch", "ip.src", "ip.dst", "icmp.type", "icmp.ident", "icmp.seq"]
SYN, ACK = 0x02, 0x10


def tshark(capture, display_filter, fields):
    """Rows of tshark fields as dictionaries; repeated values are joined by commas."""
    command = ["tshark", "-n", "-r", capture, "-Y", display_filter, "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [dict(zip(fields, line.split("\t"))) for line in text.splitlines()]


def nanoseconds(text):
    """'12.000000034' -> 12000000034, without going through a float."""
    whole, _, part = text.partition(".")
    return int(whole) * 1_000_000_000 + int((part + "0" * 9)[:9])


def micro(ns):
    """Nanoseconds as microseconds, exact to the nanosecond."""
    return None if ns is None else round(ns / 1000, 3)


def community_id(a, a_port, b, b_port):
    """Community ID v1, seed 0, for TCP."""
    one = (ipaddress.ip_address(a).packed, a_port)
    two = (ipaddress.ip_address(b).packed, b_port)
    (low, low_port), (high, high_port) = sorted([one, two])
    data = struct.pack(">H", 0) + low + high + struct.pack(">BBHH", 6, 0, low_port, high_port)
    return "1:" + base64.b64encode(hashlib.sha1(data).digest()).decode()


def ja4(row):
    """JA4 of a TLS-over-TCP ClientHello with a server name (BSD-3 part of the specification)."""
    def hexes(field):
        values = [int(v, 0) for v in row[field].split(",") if v]
        return [f"{v:04x}" for v in values if v & 0x0F0F != 0x0A0A or v >> 8 != v & 0xFF]

    def digest(text):
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    ciphers, extensions = hexes("tls.handshake.ciphersuite"), hexes("tls.handshake.extension.type")
    versions = hexes("tls.handshake.extensions.supported_version")
    version = max(versions or hexes("tls.handshake.version"))
    alpn = row["tls.handshake.extensions_alpn_str"].split(",")[0]
    head = "t" + {"0304": "13", "0303": "12"}[version] + ("d" if "0000" in extensions else "i")
    head += f"{min(len(ciphers), 99):02}{min(len(extensions), 99):02}"
    head += alpn[0] + alpn[-1] if alpn else "00"
    rest = ",".join(sorted(e for e in extensions if e not in ("0000", "0010")))
    rest += "_" + ",".join(hexes("tls.handshake.sig_hash_alg"))
    return f"{head}_{digest(','.join(sorted(ciphers)))}_{digest(rest)}"


def first(rows, test):
    return next((row for row in rows if test(row)), None)


def handshake(rows):
    """The three packets of the TCP handshake, and whether any of them was repeated."""
    syns = [r for r in rows if r["flags"] & (SYN | ACK) == SYN]
    replies = [r for r in rows if r["flags"] & (SYN | ACK) == SYN | ACK]
    if not syns or not replies:
        return None
    ack = first(rows, lambda r: r["up"] and not r["flags"] & SYN and r["ns"] > replies[0]["ns"])
    return syns[0], replies[0], ack, len(syns) > 1 or len(replies) > 1


def tls_times(rows, ack, near_ns):
    """Gap and delay of the first exchange: see README, 'arithmetic'."""
    data = [r for r in rows if r["len"]]
    hello = first(data, lambda r: r["up"])
    reply = first(data, lambda r: not r["up"] and r["ns"] > hello["ns"])
    answer = reply and first(data, lambda r: r["up"] and r["ns"] > reply["ns"])
    if not answer:
        return {}
    flight = [r for r in data if not r["up"] and r["ns"] < answer["ns"]]
    gap = answer["ns"] - flight[-1]["ns"] - near_ns
    return {"ack_first_data_us": micro(hello["ns"] - ack["ns"]), "tls_gap_us": micro(gap)}


def tls_facts(rows, hello):
    """What the ClientHello and ServerHello say."""
    client = first(rows, lambda r: r["up"] and "1" in r["tls.handshake.type"].split(","))
    server = first(rows, lambda r: not r["up"] and "2" in r["tls.handshake.type"].split(","))
    if not client or not server:
        return {}
    version = (server["tls.handshake.extensions.supported_version"]
               or server["tls.handshake.version"].split(",")[0])
    return {"sni": client["tls.handshake.extensions_server_name"],
            "tls_version": {"0x0304": "1.3", "0x0303": "1.2"}[version.lower()],
            "ja4": ja4(hello), "ja3_md5": hello["tls.handshake.ja3"]}


def ssh_facts(rows):
    """The two identification strings and, where tshark computes them, HASSH."""
    facts = {}
    for row in rows:
        side = "client" if row["up"] else "server"
        if row["ssh.protocol"]:
            facts.setdefault(f"ssh_{side}", row["ssh.protocol"].split(",")[0])
    for name in ("hassh", "hasshserver"):
        row = first(rows, lambda r, n=name: r[f"ssh.kex.{n}"])
        facts |= {name: row[f"ssh.kex.{name}"]} if row else {}
    return facts if "ssh_client" in facts else {}


def session(rows, hello):
    """One TCP session as the expectations file tells it."""
    start = rows[0]
    for row in rows:
        row["ns"], row["flags"] = nanoseconds(row["frame.time_epoch"]), int(row["tcp.flags"], 16)
        row["len"] = int(row["tcp.len"] or 0)
        row["up"] = (row["ip.src"], row["tcp.srcport"]) == (start["ip.src"], start["tcp.srcport"])
    ports = int(start["tcp.srcport"]), int(start["tcp.dstport"])
    fact = {"client": start["ip.src"], "client_port": ports[0],
            "server": start["ip.dst"], "server_port": ports[1],
            "community_id": community_id(start["ip.src"], ports[0], start["ip.dst"], ports[1])}
    syn, reply, ack, repeated = handshake(rows)
    far_ns, near_ns = reply["ns"] - syn["ns"], ack["ns"] - reply["ns"]
    fact |= {"start_ns": syn["ns"], "duration_us": micro(rows[-1]["ns"] - syn["ns"]),
             "syn_synack_us": micro(far_ns), "synack_ack_us": micro(near_ns),
             "handshake_repeated": repeated, "syn_mss": int(syn["tcp.options.mss_val"]),
             "syn_ttl": int(syn["ip.ttl"])}
    for side, up in (("client", True), ("server", False)):
        fact[f"{side}_packets"] = sum(r["up"] == up for r in rows)
        fact[f"{side}_payload_bytes"] = sum(r["len"] for r in rows if r["up"] == up)
    fact["retransmissions"] = sum(bool(r["tcp.analysis.retransmission"]) for r in rows)
    initial = first(rows, lambda r: r["tcp.analysis.initial_rtt"])
    if initial and nanoseconds(initial["tcp.analysis.initial_rtt"]) != far_ns + near_ns:
        raise SystemExit(f"tshark disagrees about the handshake of {fact}")
    if hello:
        fact |= tls_facts(rows, hello) | tls_times(rows, ack, near_ns)
    return fact | ssh_facts(rows)


def sessions(capture):
    """Every TCP session, in the order of its first packet."""
    hellos = {r["tcp.stream"]: r for r in tshark(capture, "tls.handshake.type == 1", HELLO)}
    streams = {}
    for row in tshark(capture, "tcp", TCP):
        streams.setdefault(row["tcp.stream"], []).append(row)
    return [session(rows, hellos.get(stream)) for stream, rows in streams.items()]


def lookups(capture):
    """DNS questions over UDP with their answers."""
    asked, found = {}, []
    for row in tshark(capture, "dns && udp", DNS):
        answer = row["dns.flags.response"] in ("1", "True")
        ends = row["ip.src"], row["ip.dst"]
        client, server = reversed(ends) if answer else ends
        now = nanoseconds(row["frame.time_epoch"])
        key = client, row["dns.id"], row["dns.qry.name"]
        if not answer:
            asked[key] = now
        elif key in asked:
            found.append({"client": client, "resolver": server, "name": row["dns.qry.name"],
                          "type": int(row["dns.qry.type"]), "rcode": int(row["dns.flags.rcode"]),
                          "a": [a for a in row["dns.a"].split(",") if a],
                          "query_answer_us": micro(now - asked.pop(key))})
    return found


def echoes(capture):
    """ICMP echo: one entry a pair of hosts."""
    sent, pairs = {}, {}
    for row in tshark(capture, "icmp.type == 8 || icmp.type == 0", ICMP):
        now, tail = nanoseconds(row["frame.time_epoch"]), (row["icmp.ident"], row["icmp.seq"])
        if row["icmp.type"] == "8":
            sent[(row["ip.src"], row["ip.dst"], *tail)] = now
        else:
            pair = (row["ip.dst"], row["ip.src"])
            pairs.setdefault(pair, []).append(now - sent[(*pair, *tail)])
    return [{"client": a, "server": b, "echoes": len(t), "rtt_us_min": micro(min(t))}
            for (a, b), t in pairs.items()]


def remote_leg(fact):
    """(address outside, measured leg towards it in us, intended in us)."""
    outside = fact["client"] if fact["client"] in world.REMOTE else fact["server"]
    leg = fact["synack_ack_us" if outside == fact["client"] else "syn_synack_us"]
    return outside, leg, world.REMOTE[outside][1] * 1000


def complaints(facts):
    """Everything that would make this run a bad demonstration."""
    for fact in facts["sessions"]:
        outside, leg, intended = remote_leg(fact)
        if not intended <= leg <= intended * 1.1 + 600:
            yield f"{outside}: leg {leg} us, intended {intended}"
        if fact["handshake_repeated"]:
            yield f"{fact['client']}:{fact['client_port']}: handshake packet repeated"
    again = sum(f["retransmissions"] for f in facts["sessions"])
    if again > 3:  # a tail loss probe that meets a delayed ACK belongs to life
        yield f"{again} retransmissions"
    gaps = [f["tls_gap_us"] for f in facts["sessions"]
            if f["client"] == world.FARM and f.get("tls_gap_us", 0) > 100_000]
    if len(gaps) < 12 or not 188_000 <= min(gaps) <= max(gaps) <= 225_000:
        yield f"hidden leg: {len(gaps)} gaps, {gaps}"
    lasting = {world.EXIT: 75, world.RELAY: 45, world.ASTRILL: 130}
    for address, seconds in lasting.items():
        best = max([f["duration_us"] for f in facts["sessions"]
                    if address in (f["client"], f["server"])], default=0)
        if best < seconds * 1_000_000:
            yield f"{address}: longest session {best} us, wanted {seconds} s"


def table(facts):
    """The README's table of sessions."""
    yield ("| start s | client | server | far leg us | near leg us | first data us | TLS gap us "
           "| lasts s | what |")
    yield "|---:|---|---|---:|---:|---:|---:|---:|---|"
    begin = facts["first_packet_ns"]
    for f in facts["sessions"]:
        what = f.get("sni") and f"TLS {f['tls_version']} {f['sni']}" or f.get("ssh_client", "plain")
        cells = [f"{(f['start_ns'] - begin) / 1e9:.3f}", f"{f['client']}:{f['client_port']}",
                 f"{f['server']}:{f['server_port']}", f["syn_synack_us"], f["synack_ack_us"],
                 f.get("ack_first_data_us", ""), f.get("tls_gap_us", ""),
                 f"{f['duration_us'] / 1e6:.1f}", what]
        yield "| " + " | ".join(map(str, cells)) + " |"


def splice(path, mark, lines):
    """Replace what stands between two markers of the README."""
    with open(path) as file:
        text = file.read()
    head, _, rest = text.partition(f"<!-- {mark} -->\n")
    _, _, tail = rest.partition(f"<!-- /{mark} -->\n")
    with open(path, "w") as file:
        file.write(f"{head}<!-- {mark} -->\n" + "\n".join(lines) + f"\n<!-- /{mark} -->\n{tail}")


def main():
    capture, folder = sys.argv[1:3]
    frames = tshark(capture, "frame", ["frame.time_epoch"])
    times = [nanoseconds(frame["frame.time_epoch"]) for frame in frames]
    facts = {"packets": len(times), "first_packet_ns": times[0], "last_packet_ns": times[-1],
             "sessions": sessions(capture), "dns": lookups(capture), "icmp": echoes(capture)}
    problems = list(complaints(facts))
    for problem in problems:
        print("bad:", problem, file=sys.stderr)
    with open(f"{folder}/expected.json", "w") as out:
        out.write("{\n")
        for key in ("packets", "first_packet_ns", "last_packet_ns"):
            out.write(f' "{key}": {facts[key]},\n')
        for key in ("sessions", "dns", "icmp"):
            rows = ",\n  ".join(json.dumps(row) for row in facts[key])
            out.write(f' "{key}": [\n  {rows}\n ]' + (",\n" if key != "icmp" else "\n}\n"))
    if len(sys.argv) > 3:
        splice(f"{folder}/README.md", "facts", table(facts))
        with open(sys.argv[3]) as versions:
            splice(f"{folder}/README.md", "versions", versions.read().splitlines())
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
