#!/bin/sh
# Unpacks a kernel into this root without installing it: its maintainer scripts would build an initrd.
# Runs inside the root. Usage: kernel.sh METAPACKAGE
set -eu

meta=$1
here=$(cd "$(dirname "$0")/.." && pwd)

image=$(apt-cache depends --important "$meta" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
if [ -z "$image" ]; then
    echo "kernel.sh: $meta depends on no linux-image package" >&2
    exit 1
fi

# The archive directory is the builder's .deb cache.
cd /var/cache/apt/archives
apt-get -o APT::Sandbox::User=root -q download "$image"
dpkg-deb -x "$(find . -name "${image}_*.deb" | sort | tail -n 1)" "$here/kernel"

release=${image#linux-image-}
mkdir -p /usr/lib/modules
mv "$here/kernel/lib/modules/$release" /usr/lib/modules/
depmod "$release"
mv "$here/kernel/boot/vmlinuz-$release" "$here/vmlinuz"
rm -rf "$here/kernel"

mkdir -p "$here/out"
{
    echo "kernel $(dpkg-deb -f "$(find . -name "${image}_*.deb" | sort | tail -n 1)" Package Version | tr '\n' ' ')"
    dpkg-query -W -f '${Package} ${Version} ${Architecture}\n'
} > "$here/manifest"
