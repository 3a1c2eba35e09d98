#!/bin/sh
# Installs a package in a clean root, runs the sensor there on a virtual interface as its service
# would, and removes it again. Needs root, debootstrap and ip; takes some minutes and 500 MB.
#
#   deploy/debian-test.sh PACKAGE.deb [ROOT]
#
# ROOT is a clean root that is there already (it is changed); without it one is made and removed.
set -eu

deb=$(readlink -f "$1")
suite=${SUITE:-bookworm}
work=$(mktemp -d)
root=${2:-$work/root}
space="longhaul-deb-$$"

done_with() {
    [ -z "${sensor:-}" ] || kill "$sensor" 2>/dev/null || true
    ip netns del "$space" 2>/dev/null || true
    umount "$root/proc" 2>/dev/null || true
    rm -rf --one-file-system "$work"
}
trap done_with EXIT

step() { printf '\n== %s\n' "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

if [ ! -d "$root/etc" ]; then
    step "a clean root ($suite)"
    debootstrap --variant=minbase "$suite" "$root" >"$work/debootstrap.log" || fail "debootstrap: $(tail -1 "$work/debootstrap.log")"
fi
mount -t proc proc "$root/proc"

step "install"
cp "$deb" "$root/tmp/longhaul.deb"
inside apt-get update -qq
inside apt-get install -y -qq --no-install-recommends /tmp/longhaul.deb >/dev/null
inside longhaul --version
for path in /etc/longhaul/longhaul.toml /etc/default/longhaul /usr/lib/systemd/system/longhaul.service \
    /usr/share/man/man1/longhaul-read.1.gz /usr/share/bash-completion/completions/longhaul \
    /usr/share/zsh/vendor-completions/_longhaul /usr/share/fish/vendor_completions.d/longhaul.fish; do
    [ -e "$root$path" ] || fail "$path is not there"
done
inside getent passwd longhaul >/dev/null || fail "the user longhaul was not made"
[ "$(inside stat -c '%U %a' /var/lib/longhaul)" = "longhaul 750" ] || fail "/var/lib/longhaul is not the sensor's own"

step "the demonstration, from files"
inside longhaul demo >"$work/demo.txt"
grep -q Incident "$work/demo.txt" || fail "the demonstration tells of no incident"

step "start as the service would, on a virtual interface"
ip netns add "$space"
ip -n "$space" link add cap0 type veth peer name peer0
ip -n "$space" link set cap0 up
ip -n "$space" link set peer0 up
. "$root/etc/default/longhaul"
start=$(sed -n 's/^ExecStart=//p' "$root/usr/lib/systemd/system/longhaul.service")
# What systemd does for the unit: its variables, its user, and the capability to open sockets.
LONGHAUL_INTERFACES=cap0
command=$(eval "echo \"$start\"")
# shellcheck disable=SC2086
ip netns exec "$space" chroot "$root" /usr/bin/setpriv --reuid longhaul --regid longhaul --clear-groups \
    --inh-caps=+net_raw,+ipc_lock --ambient-caps=+net_raw,+ipc_lock $command 2>"$work/sensor.log" &
sensor=$!
sleep 2
kill -0 "$sensor" 2>/dev/null || { cat "$work/sensor.log" >&2; fail "the sensor did not stay up"; }
# Multicast of the peer's own: neighbour discovery when its address is set.
ip -n "$space" addr add 192.0.2.1/24 dev peer0
ip netns exec "$space" ping -c 3 -W 1 -I peer0 192.0.2.2 >/dev/null 2>&1 || true
sleep 2
kill -TERM "$sensor"
wait "$sensor" || { cat "$work/sensor.log" >&2; fail "the sensor ended with an error"; }
sensor=""
run=$(find "$root/var/lib/longhaul" -name run.json | head -1)
[ -n "$run" ] || { cat "$work/sensor.log" >&2; fail "no run.json was written"; }
grep -q '"frames": [1-9]' "$run" || fail "no frame was counted: $run"
echo "frames were counted, files are complete"

step "remove and purge"
inside apt-get remove -y -qq longhaul >/dev/null
[ ! -e "$root/usr/bin/longhaul" ] || fail "the program is still there"
[ -e "$root/etc/longhaul/longhaul.toml" ] || fail "removing took the configuration"
inside apt-get purge -y -qq longhaul >/dev/null
[ ! -e "$root/etc/longhaul" ] || fail "a purge left the configuration"
[ -n "$(find "$root/var/lib/longhaul" -name run.json)" ] || fail "a purge took results"
echo "results are kept, everything else is gone"

printf '\npassed\n'
