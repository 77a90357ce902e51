#!/bin/sh
# Runs in the guest, at every boot before sshd: takes host key, authorized key and name from QEMU's fw_cfg device.
# An image therefore holds no key, and one image serves every lab.
set -eu

modprobe qemu_fw_cfg
seed=/sys/firmware/qemu_fw_cfg/by_name/opt/bootstrap

blob() {
    cat "$seed/$1/raw"
}

umask 077
blob ssh_host_ed25519_key > /etc/ssh/ssh_host_ed25519_key
blob ssh_host_ed25519_key.pub > /etc/ssh/ssh_host_ed25519_key.pub
chmod 0644 /etc/ssh/ssh_host_ed25519_key.pub

mkdir -p /root/.ssh
blob authorized_keys > /root/.ssh/authorized_keys
for home in /home/*; do
    [ -d "$home/.ssh" ] || continue
    blob authorized_keys > "$home/.ssh/authorized_keys"
    chown --reference="$home" "$home/.ssh/authorized_keys"
done

name=$(blob hostname)
if [ "$name" != "$(cat /etc/hostname)" ]; then
    umask 022
    echo "$name" > /etc/hostname
    printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n' "$name" > /etc/hosts
    echo "$name" > /proc/sys/kernel/hostname
fi
