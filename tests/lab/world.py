"""Who lives where: the hosts of the demonstration, their distances, and their namespaces.

Owns: the address plan and the namespaces whose names begin with PREFIX.
In:   the compiled delay element (wanpath).  Out: a running topology.
Never: an interface, route or process outside those namespaces.

    office + servers --core-- edge ==wan0== wanpath ==wan0== remote namespaces
    10.20.0.0/16              ^ core0: the capture point

"""

import os
import shutil
import subprocess

PREFIX = "lhdemo-"
RESOLVER = "75.75.75.75"
GATEWAY, SSH_GATEWAY = "10.20.0.10", "10.20.0.11"
GATEWAY_NAME = "vpn.example.com"
FARM, HUMAN, EXIT, FAR_CLAIM = "24.30.20.77", "203.0.113.50", "104.140.119.23", "101.160.20.35"
RELAY, ASTRILL = "195.201.45.10", "208.167.237.40"
RELAY_NAME, ASTRILL_NAME = "relay-5f3a9c17.net.anydesk.com", "client.astrill.com"
MIRROR_NAME = "mirror.example.org"

# Inside: namespace -> address. Each host has its own stack, as in life.
INSIDE = {
    "vpn": GATEWAY,
    "ssh": SSH_GATEWAY,
    "lap21": "10.20.30.21",
    "lap34": "10.20.30.34",
    "lap57": "10.20.30.57",
    "lap62": "10.20.30.62",
}

# Outside: address -> (namespace, full round trip to the edge in ms, router hops, who).
REMOTE = {
    FARM: ("home", 18.0, 11, "the farm: one home, two company laptops"),
    HUMAN: ("human", 172.0, 8, "the human behind the proxy; never on the wire at the sensor"),
    EXIT: ("exit", 212.0, 14, "VPN exit; the round trip includes the tunnel behind it"),
    FAR_CLAIM: ("net", 3.0, 4, "an address registered far away that answers from next door"),
    "73.134.20.57": ("net", 21.0, 9, "employee: administrator"),
    "108.31.44.19": ("net", 20.0, 8, "employee"),
    "65.25.20.44": ("net", 26.0, 10, "employee"),
    "72.182.10.52": ("net", 43.0, 12, "employee"),
    "68.6.20.31": ("net", 60.0, 13, "employee"),
    "67.160.12.83": ("net", 58.0, 13, "employee"),
    RESOLVER: ("net", 19.0, 7, "public resolver"),
    "151.101.65.69": ("net", 14.0, 6, "web server cdn.example.net"),
    "13.32.9.20": ("net", 92.0, 11, "web server app.example.org"),
    "49.12.130.77": ("net", 98.0, 12, "web server git.example.net"),
    "208.123.73.73": ("net", 40.0, 10, "web server mirror.example.org, plain HTTP"),
    RELAY: ("net", 96.0, 12, "stands in for a remote-support relay"),
    ASTRILL: ("net", 11.0, 7, "stands in for a VPN provider's server"),
}

NAMES = {
    "cdn.example.net": "151.101.65.69",
    "app.example.org": "13.32.9.20",
    "git.example.net": "49.12.130.77",
    MIRROR_NAME: "208.123.73.73",
    RELAY_NAME: RELAY,
    ASTRILL_NAME: ASTRILL,
}

PORTS = ["edge", "net", "home", "human", "exit"]  # namespaces that have a wan0, edge first
LAN = {"farm1": "192.168.1.21", "farm2": "192.168.1.22"}  # the two laptops of the farm
MTU = {"exit": 1293}  # what that provider's tunnel interface is known to use
PROXY_PORT = 1080
FARM_NAT = f"""table ip home {{
  chain out {{
    type nat hook postrouting priority 100;
    oifname "wan0" masquerade
  }}
  chain in {{
    type nat hook prerouting priority -100;
    iifname "wan0" tcp dport {PROXY_PORT} dnat to {LAN["farm2"]}
  }}
}}
"""


def sh(command, text=None):
    """Run one command of ours, loudly when it fails."""
    done = subprocess.run(command.split(), input=text, text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.strip()}")


def inside(namespace, command, text=None):
    """Run one command in a namespace of ours."""
    sh(f"ip netns exec {PREFIX}{namespace} {command}", text)


def namespaces():
    """Every namespace this lab makes."""
    return PORTS + ["core"] + list(INSIDE) + list(LAN)


def clean():
    """Remove the namespaces and their files; safe to call at any time."""
    for name in namespaces():
        if os.path.exists(f"/run/netns/{PREFIX}{name}"):
            subprocess.run(["ip", "netns", "del", PREFIX + name], check=False)
        shutil.rmtree(f"/etc/netns/{PREFIX}{name}", ignore_errors=True)


def add_namespace(name):
    """A namespace with loopback only, no IPv6, and its own resolver and hosts file."""
    sh(f"ip netns add {PREFIX}{name}")
    sh(f"ip -n {PREFIX}{name} link set lo up")
    for key in ("all", "default"):
        inside(name, f"sysctl -qw net.ipv6.conf.{key}.disable_ipv6=1")
        inside(name, f"sysctl -qw net.ipv4.conf.{key}.rp_filter=0")
    files = f"/etc/netns/{PREFIX}{name}"
    os.makedirs(files, exist_ok=True)
    with open(f"{files}/resolv.conf", "w") as out:
        out.write(f"nameserver {RESOLVER}\n")
    with open(f"{files}/hosts", "w") as out:
        out.write("127.0.0.1 localhost\n")
        if name not in INSIDE:
            out.write(f"{GATEWAY} {GATEWAY_NAME}\n{SSH_GATEWAY} ssh.example.com\n")


def cable(left, right):
    """A veth pair between (namespace, interface) pairs, without offloads: MTU-sized frames."""
    (a, a_if), (b, b_if) = left, right
    sh(f"ip link add {a_if} netns {PREFIX}{a} type veth peer name {b_if} netns {PREFIX}{b}")
    for name, interface in (left, right):
        inside(name, f"ethtool -K {interface} tso off gso off gro off tx off rx off sg off")
        sh(f"ip -n {PREFIX}{name} link set {interface} up")


def set_mac(name, interface, address):
    """A locally administered MAC that spells the address: captures are easier to read."""
    digits = ":".join(f"{int(part):02x}" for part in address.split("."))
    sh(f"ip -n {PREFIX}{name} link set {interface} address 02:00:{digits}")


def build_site():
    """The company: a switch, its hosts, and the edge router that forwards without NAT."""
    sh(f"ip -n {PREFIX}core link add br0 type bridge mcast_snooping 0")
    sh(f"ip -n {PREFIX}core link set br0 up")
    cable(("edge", "core0"), ("core", "up0"))
    sh(f"ip -n {PREFIX}core link set up0 master br0")
    set_mac("edge", "core0", "10.20.0.1")
    for name, address in INSIDE.items():
        cable((name, "eth0"), ("core", f"p-{name}"))
        sh(f"ip -n {PREFIX}core link set p-{name} master br0")
        set_mac(name, "eth0", address)
        sh(f"ip -n {PREFIX}{name} addr add {address}/24 dev eth0")
        router = address.rsplit(".", 1)[0] + ".1"
        sh(f"ip -n {PREFIX}{name} route add default via {router}")
    for router in ("10.20.0.1", "10.20.30.1"):
        sh(f"ip -n {PREFIX}edge addr add {router}/24 dev core0")
    inside("edge", "sysctl -qw net.ipv4.ip_forward=1")


def build_farm():
    """The home: a router that masquerades, and the two laptops behind it."""
    sh(f"ip -n {PREFIX}home link add br0 type bridge mcast_snooping 0")
    sh(f"ip -n {PREFIX}home link set br0 up")
    sh(f"ip -n {PREFIX}home addr add 192.168.1.1/24 dev br0")
    for name, address in LAN.items():
        cable((name, "eth0"), ("home", f"p-{name}"))
        sh(f"ip -n {PREFIX}home link set p-{name} master br0")
        sh(f"ip -n {PREFIX}{name} addr add {address}/24 dev eth0")
        sh(f"ip -n {PREFIX}{name} route add default via 192.168.1.1")
    inside("home", "sysctl -qw net.ipv4.ip_forward=1")
    inside("home", "nft -f -", FARM_NAT)


def build_wan(wanpath, log):
    """Start the delay element and give its devices their addresses. Returns its process."""
    command = ["nice", "-n", "-15", wanpath]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
    )
    for name in PORTS:
        process.stdin.write(f"port {PREFIX}{name} wan0\n")
    for address, (name, rtt_ms, hops, _) in REMOTE.items():
        one_way_us = int(rtt_ms * 500)
        process.stdin.write(f"host {address} {PORTS.index(name)} {one_way_us} {hops}\n")
    process.stdin.close()
    if process.stdout.readline().strip() != "ready":
        raise RuntimeError("wanpath did not start; see its log")
    for name in PORTS:
        sh(f"ip -n {PREFIX}{name} link set wan0 up mtu {MTU.get(name, 1500)}")
    for address, (name, *_) in REMOTE.items():
        sh(f"ip -n {PREFIX}{name} addr add {address}/32 dev wan0")
    for name in PORTS:
        sh(f"ip -n {PREFIX}{name} route add default dev wan0")
    return process


def build(wanpath, log):
    """The whole world, from nothing."""
    clean()
    for name in namespaces():
        add_namespace(name)
    build_site()
    build_farm()
    return build_wan(wanpath, log)
