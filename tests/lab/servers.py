"""The real servers of the demonstration: nginx, sshd, dnsmasq, microsocks, and Python's TLS.

Owns: throwaway keys and configuration below the work directory.
In:   the work directory and a function that starts a process in a namespace.
Out:  running servers.  Never: a key or a configuration outside the work directory.
"""

import os
import shutil
import subprocess

import world

HERE = os.path.dirname(os.path.abspath(__file__))

NGINX = """daemon off; master_process off; user root; pid {run}/nginx-{name}.pid;
error_log {run}/nginx-{name}.log;
events {{ worker_connections 128; }}
http {{
  access_log off; server_tokens on; default_type text/plain;
  client_body_temp_path {run}/b-{name}; proxy_temp_path {run}/p-{name};
  fastcgi_temp_path {run}/f-{name}; uwsgi_temp_path {run}/u-{name};
  scgi_temp_path {run}/s-{name};
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off; ssl_session_cache off;
  keepalive_timeout 240;
  {servers}
}}
"""
TLS_SERVER = """server {{
    listen {address}:443 ssl http2; server_name {name};
    ssl_certificate {run}/{name}.crt; ssl_certificate_key {run}/{name}.key;
    root {run}/www;
    location = /poll {{ return 200 "ok {pad}\\n"; }}
    location = /api/status {{ return 200 "state connected, {pad}\\n"; }}
  }}"""
HTTP_SERVER = "server {{ listen {address}:80; server_name {name}; root {run}/www; }}"

SSHD = """ListenAddress {address}
HostKey {run}/ssh_host
AuthorizedKeysFile {run}/ssh_user.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
StrictModes no
PidFile none
PrintMotd no
PrintLastLog no
ForceCommand cd {run}/shell && exec env -i TERM=xterm PS1='$ ' PATH=/usr/bin bash --norc -r
"""


def make_keys(run):
    """A certificate authority, one P-256 certificate a server, and two SSH key pairs."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=run, check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *curve, "-days", "30", "-subj", "/CN=Demonstration CA",
            "-keyout", "ca.key", "-out", "ca.crt")
    for name in [world.GATEWAY_NAME, *world.NAMES]:
        openssl("req", *curve, "-subj", f"/O=Demonstration/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")
        with open(f"{run}/{name}.ext", "w") as out:
            out.write(f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "30", "-extfile", f"{name}.ext", "-out", f"{name}.crt")
    for key in ("ssh_host", "ssh_user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", f"{run}/{key}"]
        subprocess.run(command, check=True)
    with open(f"{run}/ssh_host.pub") as host, open(f"{run}/known_hosts", "w") as out:
        out.write(f"{world.SSH_GATEWAY} {host.read()}")


def make_pages(run):
    """Small pages of text, and the directory the SSH sessions start in."""
    for folder in ("www", "shell"):
        os.makedirs(f"{run}/{folder}")
    line = "the quick brown fox jumps over the lazy dog\n"
    for name, lines in (("index.html", 20), ("app.js", 90), ("package.txt", 150)):
        with open(f"{run}/www/{name}", "w") as out:
            out.write(line * lines)
    with open(f"{run}/shell/notes.txt", "w") as out:
        out.write("queue drained\nno error\n")


def start_nginx(start, run, name, blocks):
    """nginx in a namespace, in one process, with the given server blocks."""
    path = f"{run}/nginx-{name}.conf"
    with open(path, "w") as out:
        out.write(NGINX.format(run=run, name=name, servers="\n  ".join(blocks)))
    start(name, ["nginx", "-c", path, "-e", f"{run}/nginx-{name}.log"])


def start_web(start, run):
    """The gateway inside, the web servers outside."""
    def block(template, name, address):
        return template.format(name=name, address=address, run=run, pad="x" * 120)

    start_nginx(start, run, "vpn", [block(TLS_SERVER, world.GATEWAY_NAME, world.GATEWAY)])
    blocks = []
    for name, address in world.NAMES.items():
        if name.endswith((".example.net", ".example.org")):
            template = HTTP_SERVER if name == world.MIRROR_NAME else TLS_SERVER
            blocks.append(block(template, name, address))
    start_nginx(start, run, "net", blocks)


def start_ssh(start, run):
    """OpenSSH with a throwaway host key and one throwaway user key."""
    os.makedirs("/run/sshd", exist_ok=True)
    with open(f"{run}/sshd.conf", "w") as out:
        out.write(SSHD.format(run=run, address=world.SSH_GATEWAY))
    start("ssh", [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", f"{run}/sshd.conf"])


def start_dns(start):
    """dnsmasq as the public resolver: it knows the lab's names and nothing else."""
    command = ["dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null",
               "--user=root", "--bind-interfaces", "--listen-address=" + world.RESOLVER,
               "--local-ttl=120", "--local=/#/", "--mx-host=example.com,mail.example.com,10"]
    command += [f"--host-record={name},{address}" for name, address in world.NAMES.items()]
    start("net", command)


def start_all(start, run):
    """Every server; `start(namespace, command)` runs one and remembers it."""
    make_keys(run)
    make_pages(run)
    start_web(start, run)
    start_ssh(start, run)
    start_dns(start)
    start("farm2", ["microsocks", "-i", world.LAN["farm2"], "-p", str(world.PROXY_PORT)])
    for name, flags in ((world.RELAY_NAME, ["--push", "--tls12"]), (world.ASTRILL_NAME, [])):
        command = ["python3", f"{HERE}/tlsapp.py", "serve", f"{run}/{name}.crt"]
        start("net", [*command, f"{run}/{name}.key", world.NAMES[name], *flags])
