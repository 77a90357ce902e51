#!/bin/busybox sh
# shellcheck shell=dash
# The initrd's /init: loads the disk's modules, mounts the root named on the kernel's command line, hands over.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc

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
    if [ "$tries" -gt 600 ]; then
        echo "init: $root did not appear"
        poweroff -f
    fi
    usleep 100000
done

mount -o rw,noatime "$root" /root || poweroff -f

# Keys and name of this machine come in an archive behind the initrd's. systemd keeps a /run that is mounted.
if [ -d /seed ]; then
    mount -t tmpfs -o mode=0755,nosuid,nodev run /root/run
    cp -R /seed /root/run/bootstrap-seed
    chmod 0700 /root/run/bootstrap-seed
fi

mount --move /dev /root/dev
umount /proc
exec switch_root /root /sbin/init
