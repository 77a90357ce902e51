#!/bin/sh
# Turns a root's tar and a kernel into a disk and its initrd. Runs as root of the machine or of a user namespace, so that
# owners are kept.
# Usage: disk.sh WORK ROOT.tar MIB MODULE...
# If WORK/foreign is there, the tar is the twin from which a root of another architecture is made.
# Writes WORK/disk.raw and WORK/initrd.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$1
tar=$2
mib=$3
shift 3

# Deleted in here: outside a user namespace its files belong to users whom the caller may not delete for.
trap 'rm -rf "$work/root" "$work/twin"' EXIT
if [ -e "$work/foreign" ]; then
    "$here/foreign.sh" "$work" "$tar"
else
    mkdir -p "$work/root"
    # Device nodes can't be made in a user namespace, and devtmpfs brings them.
    tar -C "$work/root" --numeric-owner --exclude='./dev/*' -xf "$tar"
fi
mkdir -p "$work/root/usr/lib/modules"
cp -R "$work/kernel/lib/modules/." "$work/root/usr/lib/modules/"
chown -R 0:0 "$work/root/usr/lib/modules"
# systemd need not do after an update of /usr what is done already.
touch "$work/root/etc/.updated" "$work/root/var/.updated"
"$here/initrd.sh" "$work/root" "$here/init.sh" "$work/initrd" "$@"

rm -f "$work/disk.raw"
truncate -s "${mib}M" "$work/disk.raw"
mke2fs -q -F -t ext4 -L root -m 0 -E assume_storage_prezeroed=1 -d "$work/root" "$work/disk.raw"
