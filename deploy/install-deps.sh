#!/bin/sh
# Checks what the build needs beyond Rust, and what the tests need beyond that, and installs what is missing with the
# system's package manager: a C compiler (for zstd and ring), the libpcap headers; for tests ip, ps, setpriv, jq
# and tmux.
# Prints what it does. Without the tools for tests, the tests that use them are skipped by name.
# With --receivers also rsyslog, nats-server, Prometheus, Alertmanager and VictoriaMetrics (Debian and its
# relatives), daemons that nobody wants on a desk unasked, and valgrind and zstd for the budgets of instructions.
set -eu

receivers=""
[ "${1:-}" = --receivers ] && receivers=yes

have_headers() {
    for cc in cc gcc clang; do
        command -v "$cc" >/dev/null 2>&1 || continue
        printf '#include <pcap/pcap.h>\nint main(void){return pcap_lib_version()==0;}\n' |
            "$cc" -x c - -o /dev/null -lpcap >/dev/null 2>&1 && return 0
    done
    return 1
}

have_tools() {
    [ "$(uname)" = Linux ] || return 0
    for tool in ip ps setpriv jq tmux; do
        command -v "$tool" >/dev/null 2>&1 || return 1
    done
}

if ! command -v cargo >/dev/null 2>&1; then
    echo "longhaul: cargo was not found. Install Rust 1.95 or newer (https://rustup.rs), then try again." >&2
    exit 1
fi

have_receivers() {
    [ -n "$receivers" ] && command -v apt-get >/dev/null 2>&1 || return 0
    for program in rsyslogd nats-server prometheus prometheus-alertmanager victoria-metrics valgrind zstd; do
        command -v "$program" >/dev/null 2>&1 || return 1
    done
}

have_headers && have_tools && have_receivers && exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1; then
        as_root="sudo"
    elif have_headers; then
        echo "longhaul: some of ip, ps, setpriv, jq and tmux are missing; the tests that use them will be skipped." >&2
        exit 0
    else
        echo "longhaul: a C compiler and the libpcap headers are missing, and this user may not install them." >&2
        echo "longhaul: as root, install them (Debian, Ubuntu: apt-get install gcc libc6-dev libpcap-dev)." >&2
        exit 1
    fi
fi

echo "longhaul: installing a C compiler, the libpcap headers, and what tests use (ip, ps, setpriv, jq, tmux)." >&2
if command -v apt-get >/dev/null 2>&1; then
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        gcc libc6-dev libpcap-dev iproute2 procps util-linux jq tmux >/dev/null
    # One that cannot be had keeps no other away. syslog-ng conflicts with rsyslog: its test runs where it is there.
    for package in ${receivers:+openssl rsyslog-gnutls nats-server prometheus prometheus-alertmanager victoria-metrics valgrind zstd}; do
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
            echo "longhaul: $package cannot be had here; the tests that use it will be skipped." >&2
    done
elif command -v dnf >/dev/null 2>&1; then
    $as_root dnf install -y -q gcc glibc-devel libpcap-devel iproute procps-ng util-linux jq tmux
elif command -v pacman >/dev/null 2>&1; then
    $as_root pacman -Sy --noconfirm --needed gcc libpcap iproute2 procps-ng util-linux jq tmux
elif command -v zypper >/dev/null 2>&1; then
    $as_root zypper --non-interactive install gcc libpcap-devel iproute2 procps util-linux jq tmux
elif command -v apk >/dev/null 2>&1; then
    $as_root apk add gcc musl-dev libpcap-dev iproute2 procps setpriv jq tmux
elif command -v brew >/dev/null 2>&1; then
    brew install libpcap
else
    echo "longhaul: no package manager known here. Install a C compiler and the libpcap headers by hand." >&2
    exit 1
fi

if ! have_headers; then
    echo "longhaul: libpcap still cannot be compiled against; look at the package manager's output above." >&2
    exit 1
fi
