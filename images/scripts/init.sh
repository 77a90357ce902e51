#!/bin/busybox sh
# shellcheck shell=dash
# The initrd's /init: loads the disk's modules, mounts the root named on the kernel's command line, hands over.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys

root=/dev/vda
read -r words < /proc/cmdline
for word in $words; do
    case $word in
    root=*) root=${word#root=} ;;
    # Asked by the machine that wants to know whether this accelerator gets a kernel to user space at all.
    bootstrap.probe) poweroff -f ;;
    esac
done

while read -r module; do
    insmod "/modules/$module" || echo "init: $module does not load"
done < /modules/order

tries=0
while [ ! -b "$root" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 200 ]; then
        echo "init: $root did not appear"
        poweroff -f
    fi
    usleep 100000
done

mount -o rw,noatime "$root" /root || poweroff -f
mount --move /dev /root/dev
umount /proc
umount /sys
exec switch_root /root /sbin/init
