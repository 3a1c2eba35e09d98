#!/bin/bash
# Makes tests/data/demo/farm.pcap.zst, expected.json and the tables of its README: about four
# minutes, in real time, on a machine that has nothing better to do meanwhile.
#
#   sudo tests/lab/make-demo.sh            Debian 12 or like it, root
#
# Installs these Debian packages when a program is missing, and starts none of their services:
packages="nginx-light openssh-server openssh-client dnsmasq-base bind9-dnsutils microsocks
  gnutls-bin curl openssl python3 iproute2 nftables ethtool iputils-ping procps
  tcpdump tshark gcc libc6-dev zstd"
# Everything happens inside network namespaces named lhdemo-*, which have no way out of the
# machine and are gone when this script ends. Keys and certificates are made for one run, in a
# temporary directory that is removed. Only processes started here are ended.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
data=$(cd "$here/../data/demo" && pwd)
tries=3

need_root() {
  [ "$(id -u)" = 0 ] || { echo "make-demo: needs root for network namespaces" >&2; exit 2; }
}

install_missing() {
  local program missing=
  for program in nginx sshd ssh dnsmasq dig microsocks gnutls-cli curl openssl python3 ip nft \
    ethtool ping sysctl chrt tcpdump tshark gcc zstd; do
    command -v "$program" >/dev/null || missing=yes
  done
  [ -n "$missing" ] || return 0
  # A policy that says "do not start services" holds while the packages are unpacked.
  local policy=/usr/sbin/policy-rc.d made=
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; made=yes; }
  apt-get update -qq
  # shellcheck disable=SC2086  # a list of words
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages \
    >/dev/null || { [ -z "$made" ] || rm -f $policy; exit 2; }
  [ -z "$made" ] || rm -f $policy
}

clean() {
  [ -z "${story:-}" ] || kill "$story" 2>/dev/null || true
  [ -z "${story:-}" ] || wait "$story" 2>/dev/null || true
  (cd "$here" && PYTHONDONTWRITEBYTECODE=1 python3 -c 'import world; world.clean()')
  rm -rf "${work:-}"
}

versions() {
  local package
  for package in nginx-light openssh-server openssh-client dnsmasq-base bind9-dnsutils \
    microsocks gnutls-bin curl libssl3 tcpdump tshark; do
    dpkg-query -W -f '* ${Package} ${Version}\n' "$package"
  done
  python3 -c 'import platform as p, ssl; print("* Python", p.python_version(), ssl.OPENSSL_VERSION)'
  echo "* Linux $(uname -r | cut -d- -f1)"
}

one_run() {
  rm -rf "$work/run" && mkdir -m 755 "$work/run"
  timeout --kill-after=30 270 python3 "$here/story.py" "$work/wanpath" "$work/run" \
    "$work/farm.pcap" &
  story=$!
  local outcome=0
  wait "$story" || outcome=$?
  story=
  [ $outcome = 0 ] && python3 "$here/facts.py" "$work/farm.pcap" "$data" "$work/versions"
}

need_root
export PYTHONDONTWRITEBYTECODE=1 PATH="$PATH:/usr/sbin:/sbin"
install_missing
work=$(mktemp -d /tmp/lhdemo.XXXXXX)
chmod 755 "$work"
trap clean EXIT
trap 'exit 1' INT TERM
gcc -O2 -Wall -Wextra -o "$work/wanpath" "$here/wanpath.c"
versions >"$work/versions"
for try in $(seq $tries); do
  echo "make-demo: run $try of at most $tries, about 200 s"
  if one_run; then
    zstd -q -19 --ultra -f "$work/farm.pcap" -o "$data/farm.pcap.zst"
    ls -l "$data"
    exit 0
  fi
done
echo "make-demo: no run was good enough: is the machine busy?" >&2
exit 1
