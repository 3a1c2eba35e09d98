"""Tell the story once, in real time, and capture it at the edge.

Owns: every process it starts (and only those), from the first server to tcpdump.
In:   story.py WANPATH RUN_DIR CAPTURE.  Out: the capture file; exit code 1 when a step failed.
Never: traffic outside the lab's namespaces; longer than LENGTH plus set-up.
"""

import heapq
import os
import signal
import subprocess
import sys
import time

import servers
import world

HERE = os.path.dirname(os.path.abspath(__file__))
LENGTH = 186  # seconds of packet time
TALK = "the quick brown fox\n"


class Stage:
    """Starts processes in namespaces, remembers them, ends them."""

    def __init__(self, run):
        self.run, self.clients, self.background = run, [], []
        self.log = open(f"{run}/story.log", "w")

    def spawn(self, namespace, command, **options):
        urgent = ["chrt", "-f", "10"]  # below wanpath, above whatever else the machine does
        full = ["ip", "netns", "exec", world.PREFIX + namespace, *urgent, *command]
        options = {"stdin": subprocess.DEVNULL, "stdout": self.log, "stderr": self.log} | options
        return subprocess.Popen(full, start_new_session=True, **options)

    def serve(self, namespace, command):
        self.background.append((command, self.spawn(namespace, command)))

    def act(self, namespace, command, **options):
        self.clients.append((command, self.spawn(namespace, command, **options)))

    def end(self):
        for _, process in self.clients + self.background:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for _, process in self.clients + self.background:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def failures(self):
        """Clients that did not end well, and servers that ended too early."""
        bad = [c for c, p in self.clients if p.poll() not in (0, None)]
        return bad + [c for c, p in self.background if p.poll() is not None]


def curl(run, url, *options):
    return ["curl", "-sS", "-o", "/dev/null", "--max-time", "175", "--cacert", f"{run}/ca.crt",
            *options, url]


def python_get(run, name, *options):
    return ["python3", f"{HERE}/tlsapp.py", "get", f"{run}/ca.crt", name, *map(str, options)]


def ssh(run, seconds, seed, *options):
    return ["python3", f"{HERE}/typist.py", str(seconds), seed, "ssh", "-tt", "-F", "none",
            "-i", f"{run}/ssh_user", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
            "-o", f"UserKnownHostsFile={run}/known_hosts", *options, f"root@{world.SSH_GATEWAY}"]


def farm(run):
    """Laptop one is used at home; laptop two is a proxy for somebody far away."""
    gateway = f"https://{world.GATEWAY_NAME}"
    proxy = ["--proxy", f"{world.FARM}:{world.PROXY_PORT}"]
    yield 3.0, "farm1", curl(run, gateway + "/poll?[1-28]", "--rate", "10/m")
    yield 5.0, "human", python_get(run, world.GATEWAY_NAME, *proxy, "--count", 27, "--every", 6)
    for turn in range(12):
        yield 8.0 + 13.3 * turn, "farm1", curl(run, gateway + "/api/status")
        yield 12.0 + 13.1 * turn, "human", python_get(run, world.GATEWAY_NAME, *proxy)


def employees(run):
    """Ordinary people, at home, at plausible distances; one administrator."""
    gateway = f"https://{world.GATEWAY_NAME}"
    for at, address, polls in ((6, "108.31.44.19", 20), (17, "72.182.10.52", 12)):
        url = f"{gateway}/poll?[1-{polls}]"
        yield at, "net", curl(run, url, "--interface", address, "--rate", "9/m")
    for at, address in ((31, "108.31.44.19"), (64, "67.160.12.83"), (118, "67.160.12.83")):
        yield at, "net", curl(run, gateway + "/api/status", "--interface", address)
    polling = ((22, "65.25.20.44", 9), (75, "68.6.20.31", 7), (131, "65.25.20.44", 1))
    for at, address, count in polling:
        yield at, "net", python_get(run, world.GATEWAY_NAME, "--bind", address, "--count", count)
    yield 96, "net", curl(run, gateway + "/index.html", "--interface", "72.182.10.52",
                          "--tls-max", "1.2")
    yield 52, "net", ssh(run, 45, "administrator", "-b", "73.134.20.57")
    yield 50, "net", ["ping", "-q", "-c", "4", "-I", "73.134.20.57", world.GATEWAY]


def suspects(run):
    """The VPN exit, the impossible place, and what laptop 57 does from the office."""
    gateway = f"https://{world.GATEWAY_NAME}"
    near = ("--interface", world.FAR_CLAIM)
    yield 14, "exit", ssh(run, 118, "exit")
    yield 28, "net", curl(run, gateway + "/poll?[1-10]", *near, "--rate", "10/m")
    yield 110, "net", curl(run, gateway + "/api/status", *near)
    yield 139, "net", curl(run, gateway + "/api/status", *near)
    yield 30, "lap57", ["dig", "+short", world.RELAY_NAME]
    yield 31, "lap57", ["python3", f"{HERE}/tlsapp.py", "talk", f"{run}/ca.crt", world.RELAY_NAME,
                        "--seconds", "95"]


def office(run):
    """Laptops that browse, fetch, resolve and ping."""
    for at, name, page in ((9, "cdn", "app.js"), (44, "cdn", "index.html"), (103, "cdn", "app.js")):
        yield at, "lap21", curl(run, f"https://{name}.example.net/{page}", "--compressed")
    yield 27, "lap21", curl(run, "https://app.example.org/poll?[1-9]", "--rate", "8/m")
    yield 58, "lap34", curl(run, "https://git.example.net/package.txt")
    yield 124, "lap34", curl(run, "https://git.example.net/index.html")
    yield 38, "lap34", curl(run, f"http://{world.MIRROR_NAME}/package.txt")
    yield 145, "lap62", curl(run, f"http://{world.MIRROR_NAME}/index.html")
    yield 20, "lap62", ["ping", "-q", "-c", "5", world.RESOLVER]
    yield 83, "lap62", ["ping", "-q", "-c", "4", "cdn.example.net"]
    yield 36, "lap62", ["dig", "+short", "MX", "example.com"]
    yield 70, "lap62", ["dig", "+short", "no-such-name.example.com"]
    yield 112, "lap62", ["dig", "+tcp", "+short", "app.example.org"]


def astrill_client(stage):
    """gnutls-cli to the provider's name; lines go in later, as keep-alives."""
    command = ["gnutls-cli", f"--x509cafile={stage.run}/ca.crt", world.ASTRILL_NAME]
    process = stage.spawn("lap57", command, stdin=subprocess.PIPE, text=True)
    stage.clients.append((command, process))
    return process


def keep_alive(process, last):
    if last:
        process.stdin.close()
    else:
        process.stdin.write(TALK)
        process.stdin.flush()


def play(stage):
    """Run every step at its time. The clock starts when the capture does."""
    steps, began = [], time.monotonic()
    run = stage.run
    for index, (at, namespace, command) in enumerate(
        step for part in (farm, employees, suspects, office) for step in part(run)
    ):
        steps.append((at, index, lambda n=namespace, c=command: stage.act(n, c)))
    vpn = {}
    steps.append((18, 1000, lambda: vpn.update(process=astrill_client(stage))))
    for turn in range(36):
        last = turn == 35
        steps.append((22 + 4 * turn, 1001 + turn, lambda e=last: keep_alive(vpn["process"], e)))
    heapq.heapify(steps)
    while steps:
        at, _, step = heapq.heappop(steps)
        time.sleep(max(0, began + at - time.monotonic()))
        step()
    time.sleep(max(0, began + LENGTH - time.monotonic()))


def capture(stage, path):
    """tcpdump at the edge's inner interface: each packet crosses it exactly once."""
    command = ["tcpdump", "-i", "core0", "-s", "0", "-B", "8192", "-Z", "root", "-U",
               "--time-stamp-precision=nano", "-w", path]
    process = stage.spawn("edge", command)
    time.sleep(1.5)
    return process


def stop(*_):
    """Once is enough: a second signal must not interrupt the cleaning up."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def main():
    wanpath, run, path = sys.argv[1:4]
    signal.signal(signal.SIGTERM, stop)
    stage, wan, dump = Stage(run), None, None
    try:
        wan = world.build(wanpath, stage.log)
        servers.start_all(stage.serve, run)
        time.sleep(2)
        dump = capture(stage, path)
        play(stage)
        bad = stage.failures()
    finally:
        if dump:
            os.killpg(dump.pid, signal.SIGINT)
            dump.wait(10)
        stage.end()
        if wan:
            wan.terminate()
            wan.wait(5)
        world.clean()
    for command in bad:
        print("did not end well:", " ".join(command), file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
