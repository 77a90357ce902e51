#!/bin/sh
# Writes a small initrd: busybox, the modules that reach the root disk, and /init.
# Usage: initrd.sh ROOT INIT OUT MODULE...
# ROOT is an unpacked guest with /bin/busybox and one kernel's modules.
set -eu

root=$1
init=$2
out=$3
shift 3

release=$(ls "$root/usr/lib/modules")
modules=$root/usr/lib/modules/$release
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/bin" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/root" "$tree/modules"
cp "$root/usr/bin/busybox" "$tree/bin/busybox"
install -m 0755 "$init" "$tree/init"

# modules.dep lists a module's dependencies nearest first, so they load from the back.
: > "$tree/modules/order"
for module in "$@"; do
    pattern=$(echo "$module" | sed "s/[-_]/[-_]/g")
    line=$(grep "/$pattern\.ko[^:]*:" "$modules/modules.dep") || {
        if grep -q "/$pattern\.ko" "$modules/modules.builtin"; then continue; fi
        echo "initrd.sh: kernel $release has no module $module" >&2
        exit 1
    }
    for file in $(echo "$line" | tr -d : | awk '{ for (i = NF; i > 0; i--) print $i }'); do
        name=$(basename "$file")
        [ -e "$tree/modules/$name" ] && continue
        cp "$modules/$file" "$tree/modules/$name"
        echo "$name" >> "$tree/modules/order"
    done
done

# Not compressed: unpacking costs an emulated guest more than reading.
(cd "$tree" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) > "$out"
