#!/bin/sh
# Unpacks the kernel inside an x86 bzImage, since a guest under emulation takes seconds for what this does in one.
# QEMU boots the ELF file by its PVH note. Any other kernel is copied. Usage: unpacked.sh VMLINUZ OUT
set -eu

from=$1
to=$2

number() { # OFFSET BYTES
    od -An -t "u$2" -j "$1" -N "$2" "$from" | tr -d ' '
}

# Offsets are those of the x86 boot protocol: signature "HdrS", sectors of the setup, where the payload is.
signature=$(dd if="$from" bs=1 skip=514 count=4 2> /dev/null | tr -d '\0')
if [ "$signature" != HdrS ]; then
    cp "$from" "$to"
    exit 0
fi
start=$((($(number 497 1) + 1) * 512 + $(number 584 4)))
# The last four bytes are the unpacked size, of which no format but gzip knows.
length=$(($(number 588 4) - 4))
case $(od -An -t x1 -j "$start" -N 4 "$from" | tr -d ' ') in
02214c18) unpack='lz4 -dc' ;;
fd377a58) unpack='xz -dc --single-stream' ;;
28b52ffd) unpack='zstd -dc' ;;
*)
    cp "$from" "$to"
    exit 0
    ;;
esac
tail -c "+$((start + 1))" "$from" | head -c "$length" | $unpack > "$to"
