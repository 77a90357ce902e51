#!/bin/busybox sh
# shellcheck shell=dash
# Runs in the guest, at every boot before sshd: takes host key, authorized keys and name from the seed, which the
# initrd has put there. An image therefore holds no key, and one image serves every lab.
# Usage: seed.sh SEED
# In busybox, because starting a program that is linked to libraries is what costs here.
set -eu
PATH=/usr/lib/bootstrap-lab/bin

seed=$1

umask 077
if [ -e "$seed/ssh_host_ed25519_key" ]; then
    cp "$seed/ssh_host_ed25519_key" /etc/ssh/ssh_host_ed25519_key
    cp "$seed/ssh_host_ed25519_key.pub" /etc/ssh/ssh_host_ed25519_key.pub
    chmod 0644 /etc/ssh/ssh_host_ed25519_key.pub
fi

if [ -e "$seed/authorized_keys" ]; then
    mkdir -p /root/.ssh
    cp "$seed/authorized_keys" /root/.ssh/authorized_keys
    for home in /home/*; do
        [ -d "$home/.ssh" ] || continue
        cp "$seed/authorized_keys" "$home/.ssh/authorized_keys"
        chown "$(stat -c %u:%g "$home")" "$home/.ssh/authorized_keys"
    done
fi

[ -e "$seed/hostname" ] || exit 0
read -r name < "$seed/hostname"
read -r old < /etc/hostname || old=
if [ "$name" != "$old" ]; then
    umask 022
    echo "$name" > /etc/hostname
    printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n' "$name" > /etc/hosts
    echo "$name" > /proc/sys/kernel/hostname
fi
