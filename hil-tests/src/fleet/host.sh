#!/bin/sh
# One host of a fleet: the first process of mount, pid, uts and ipc namespaces of its own. Becomes its sshd.
# Usage: host.sh PIDFILE DIRECTORY LOWER NAME ADDRESS PORT [FLAW...]
# PIDFILE is only the mark by which the process is found again. LOWER is what overlayfs calls lowerdir. FLAWs are in flaws.sh.
set -eu
here=$(dirname "$0")
directory=$2 lower=$3 name=$4 address=$5 port=$6
shift 6

root=$directory/root
layers() {
    mkdir -p "$1/upper" "$1/work"
    mount -t overlay -o "lowerdir=$lower,upperdir=$1/upper,workdir=$1/work" overlay "$root"
}
mkdir -p "$root"
if ! layers "$directory" 2>/dev/null; then
    # An overlay can't be written to on another one, which the root of a container often is.
    mkdir -p "$directory/memory"
    mount -t tmpfs tmpfs "$directory/memory"
    layers "$directory/memory"
fi
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=0755,size=4m tmpfs "$root/dev"
mount -t tmpfs -o mode=0755,size=16m tmpfs "$root/run"
# Not mknod, which a container's root may not.
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
# By these the probe knows systemd; what answers is systemctl.sh.
mkdir -p "$root/run/systemd/system" "$root/run/sshd"

hostname "$name"
echo "$name" >"$root/etc/hostname"
printf '127.0.0.1\tlocalhost %s\n' "$name" >"$root/etc/hosts"
printf %s "$name" | md5sum | cut -c 1-32 >"$root/etc/machine-id"

# Overridden by flaws.
options=
unwritable=
# shellcheck source=hil-tests/src/fleet/flaws.sh
. "$here/flaws.sh"
for flaw in "$@"; do
    "flaw_$flaw"
done
[ -z "$unwritable" ] || mount -o remount,ro "$root"

# shellcheck disable=SC2086 # words
exec chroot "$root" /usr/sbin/sshd -D -e -f /etc/ssh/fleet_config -o "ListenAddress=$address:$port" $options \
    2>"$directory/sshd.log"
