#!/bin/sh
# Turns a root's tar into a disk and its initrd. Runs as root of the machine or of a user namespace, so that owners are kept.
# Usage: disk.sh ROOT.tar WORK MIB INIT INITRD_SCRIPT MODULE...
# Writes WORK/disk.raw and WORK/initrd.
set -eu

tar=$1
work=$2
mib=$3
init=$4
initrd=$5
shift 5

# Deleted in here: outside a user namespace its files belong to users whom the caller may not delete for.
trap 'rm -rf "$work/root"' EXIT
mkdir -p "$work/root"
# Device nodes can't be made in a user namespace, and devtmpfs brings them.
tar -C "$work/root" --numeric-owner --exclude='./dev/*' -xf "$tar"
"$initrd" "$work/root" "$init" "$work/initrd" "$@"

rm -f "$work/disk.raw"
truncate -s "${mib}M" "$work/disk.raw"
mke2fs -q -F -t ext4 -L root -m 0 -E assume_storage_prezeroed=1 -d "$work/root" "$work/disk.raw"
