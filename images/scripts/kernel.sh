#!/bin/sh
# Unpacks a kernel without installing it: its maintainer scripts would build an initrd.
# Usage: kernel.sh PACKAGE.deb OUT [DTB]
# Writes OUT/vmlinuz, OUT/lib/modules/RELEASE, OUT/name, and OUT/board.dtb of the device tree with that file name.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
deb=$1
out=$2
dtb=${3:-}

mkdir -p "$out"
dpkg-deb -x "$deb" "$out/package"
mkdir -p "$out/lib"
mv "$out/package/lib/modules" "$out/lib/modules"
release=$(ls "$out/lib/modules")
depmod -b "$out" "$release"
"$here/unpacked.sh" "$out/package/boot/vmlinuz-$release" "$out/vmlinuz"
if [ -n "$dtb" ]; then
    found=$(find "$out/package/usr/lib/linux-image-$release" -name "$dtb" | head -n 1)
    if [ -z "$found" ]; then
        echo "kernel.sh: kernel $release has no device tree $dtb" >&2
        exit 1
    fi
    cp "$found" "$out/board.dtb"
fi
dpkg-deb -f "$deb" Package Version | sed 's/^[^:]*: //' | tr '\n' ' ' > "$out/name"
rm -rf "$out/package"
