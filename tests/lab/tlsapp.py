"""Small TLS programs on Python's ssl module (OpenSSL): a polling client and a chatty server.

Owns: one connection at a time (client) or a thread a connection (server).
In:   command line.  Out: real TLS on the wire; nothing is printed on success.
Never: session resumption, so that every client run is one full handshake.

    tlsapp.py get  CA NAME [--bind A] [--proxy A:P] [--count N] [--every S]
    tlsapp.py talk CA NAME --seconds S          keeps one session alive with small messages
    tlsapp.py serve CERT KEY A [--push] [--tls12]
"""

import argparse
import random
import socket
import ssl
import struct
import threading
import time


def through_proxy(proxy, name, port):
    """A connection by SOCKS5 (RFC 1928), no authentication, name resolved by the proxy."""
    host, proxy_port = proxy.split(":")
    sock = socket.create_connection((host, int(proxy_port)), 20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(b"\x05\x01\x00")
    if sock.recv(2) != b"\x05\x00":
        raise OSError("proxy refused the method")
    sock.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name.encode() + struct.pack(">H", port))
    reply = sock.recv(10)
    if reply[1:2] != b"\x00":
        raise OSError(f"proxy refused the connection: {reply.hex()}")
    return sock


def connect(args):
    """TLS to args.name:443 with the lab's certificate authority and HTTP/1.1 in ALPN."""
    if args.proxy:
        sock = through_proxy(args.proxy, args.name, 443)
    else:
        source = (args.bind, 0) if args.bind else None
        sock = socket.create_connection((args.name, 443), 20, source)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    context = ssl.create_default_context(cafile=args.ca)
    if args.command == "get":
        context.set_alpn_protocols(["http/1.1"])
    return context.wrap_socket(sock, server_hostname=args.name)


def get(args):
    """args.count requests on one connection, args.every seconds apart."""
    with connect(args) as tls:
        for turn in range(args.count):
            if turn:
                time.sleep(args.every)
            path = "/poll" if args.count > 1 else "/api/status"
            tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {args.name}\r\n\r\n".encode())
            tls.recv(4096)


def talk(args):
    """Answer every small push with a somewhat larger message, until the time is over."""
    rng = random.Random(args.name)
    end = time.monotonic() + args.seconds
    with connect(args) as tls:
        tls.settimeout(10)
        tls.sendall(rng.randbytes(180))
        while time.monotonic() < end:
            tls.recv(4096)
            tls.sendall(rng.randbytes(rng.randint(90, 420)))


def push(tls, rng):
    """Server side of talk: small messages at a person's pace."""
    tls.recv(4096)
    while True:
        time.sleep(rng.uniform(0.4, 1.3))
        tls.sendall(rng.randbytes(rng.randint(40, 90)))
        tls.recv(4096)


def echo(tls):
    """Answer each message with one of the same size: a keep-alive."""
    while data := tls.recv(4096):
        tls.sendall(data)


def handle(context, sock, args):
    """One connection, from handshake to whatever ends it."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        with context.wrap_socket(sock, server_side=True) as tls:
            push(tls, random.Random(7)) if args.push else echo(tls)
    except OSError:
        pass  # the client went away: the session is over


def serve(args):
    """Accept for ever; the caller ends the process."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(args.ca, args.name)
    if args.tls12:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_server((args.address, 443)) as listener:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=handle, args=(context, sock, args), daemon=True).start()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["get", "talk", "serve"])
    parser.add_argument("ca", help="certificate authority (serve: certificate)")
    parser.add_argument("name", help="server name (serve: private key)")
    parser.add_argument("address", nargs="?")
    parser.add_argument("--bind")
    parser.add_argument("--proxy")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--every", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--push", action="store_true")
    parser.add_argument("--tls12", action="store_true")
    args = parser.parse_args()
    {"get": get, "talk": talk, "serve": serve}[args.command](args)


if __name__ == "__main__":
    main()
