#!/usr/bin/env python3
"""Ends of benches/siem.sh: what sends packets, what receives events, what compares.

    siem.py packets IFACE RATE SECONDS      datagrams, each a session of its own
    siem.py receive PORT FILE               syslog over TCP; the ids of events go to FILE, until SIGTERM
    siem.py compare SESSIONS.ndjson FILE    says which ids are missing, and how many came again; 1 if any is missing
    siem.py stream PORT                     makes a stream of NATS that takes the subjects longhaul.>
"""
import json
import re
import socket
import struct
import sys
import threading
import time

ID = re.compile(rb'"event":\{[^{}]*?"id":"([0-9a-f]+)"')


def packets(interface, rate, seconds):
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.bind((interface, 0))
    payload = b"hello" * 8
    udp_len = 8 + len(payload)

    def frame(number):
        client = struct.pack("!BBH", 10, 0, number // 60000 % 60000)
        server = bytes([203, 0, 113, 9])
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + udp_len, 0, 0, 64, 17, 0) + client + server
        total = sum(struct.unpack("!10H", head))
        total = (total & 0xFFFF) + (total >> 16)
        head = head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:]
        udp = struct.pack("!HHHH", 2000 + number % 60000, 4001, udp_len, 0)
        return bytes([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]) + head + udp + payload

    begun, number = time.monotonic(), 0
    while time.monotonic() < begun + seconds:
        due = int((time.monotonic() - begun) * rate)
        while number < due:
            out.send(frame(number))
            number += 1
        time.sleep(0.005)
    print(number)


def take(connection, out, lock):
    rest = b""
    while True:
        more = connection.recv(1 << 20)
        if not more:
            break
        text = rest + more
        found = list(ID.finditer(text))
        end = found[-1].end() if found else 0
        with lock:
            out.write(b"".join(one.group(1) + b"\n" for one in found))
            out.flush()
        # What may be the beginning of an id waits for its end.
        rest = text[max(end, len(text) - 4096):]
    connection.close()


def receive(port, path):
    listener = socket.create_server(("127.0.0.1", port))
    lock = threading.Lock()
    with open(path, "ab") as out:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=take, args=(connection, out, lock), daemon=True).start()


def compare(sessions, received):
    with open(sessions, "rb") as lines:
        want = {ID.search(line).group(1) for line in lines}
    got = [line.strip() for line in open(received, "rb")]
    missing = len(want - set(got))
    print(f"{len(want)} events, {missing} missing, {len(got) - len(set(got))} came again")
    return 1 if missing or not want else 0


def stream(port):
    server = socket.create_connection(("127.0.0.1", port))
    made = json.dumps({"name": "LONGHAUL", "subjects": ["longhaul.>"], "storage": "file"}).encode()
    server.sendall(b'CONNECT {"verbose":false}\r\nSUB answer 1\r\n')
    server.sendall(b"PUB $JS.API.STREAM.CREATE.LONGHAUL answer %d\r\n%s\r\n" % (len(made), made))
    answer = server.makefile("rb")
    for line in answer:
        if line.startswith(b"MSG "):
            break
    if b'"error"' in answer.readline():
        sys.exit("nats-server makes no stream")


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what == "packets":
        packets(args[0], int(args[1]), int(args[2]))
    elif what == "receive":
        receive(int(args[0]), args[1])
    elif what == "compare":
        sys.exit(compare(*args))
    elif what == "stream":
        stream(int(args[0]))
    else:
        sys.exit(__doc__)


main()
