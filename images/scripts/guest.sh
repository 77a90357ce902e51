#!/bin/sh
# What every guest of the lab is: network by DHCP, keys by the seed, no timers that wake up in a test.
# Runs inside the root. Usage: guest.sh HOSTNAME
set -eu

here=$(cd "$(dirname "$0")" && pwd)

echo "$1" > /etc/hostname
printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n' "$1" > /etc/hosts
# QEMU's user network resolves names at this address.
echo 'nameserver 10.0.2.3' > /etc/resolv.conf
# The initrd has mounted the root, writable, and ext4's journal was replayed by that.
: > /etc/fstab

cat > /etc/systemd/network/10-lab.network <<'END'
[Match]
Type=ether

[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no
END
systemctl enable systemd-networkd.service

install -D -m 0755 "$here/seed.sh" /usr/lib/bootstrap-lab/seed.sh
cat > /etc/systemd/system/bootstrap-lab-seed.service <<'END'
[Unit]
Description=Keys and name of this lab guest, given by QEMU
DefaultDependencies=no
RequiresMountsFor=/etc /root /home
After=systemd-remount-fs.service systemd-tmpfiles-setup.service
Before=ssh.service systemd-networkd.service sysinit.target
ConditionVirtualization=vm

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/bootstrap-lab/seed.sh

[Install]
WantedBy=sysinit.target
END
systemctl enable bootstrap-lab-seed.service

# Host keys come with the seed; those made at install time would be the same in every guest.
rm -f /etc/ssh/ssh_host_*
cat > /etc/ssh/sshd_config.d/lab.conf <<'END'
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
UseDNS no
END

# Logs are read after a power cut, so they go to the disk, in small files.
mkdir -p /var/log/journal /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=persistent\nSystemMaxUse=32M\n' > /etc/systemd/journald.conf.d/lab.conf

systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service \
    systemd-timesyncd.service getty@tty1.service

# Under emulation every unit and module of the boot is felt, and no test looks at these.
systemctl set-default multi-user.target
systemctl mask dev-hugepages.mount dev-mqueue.mount sys-kernel-config.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount sys-fs-fuse-connections.mount modprobe@configfs.service modprobe@dm_mod.service \
    modprobe@drm.service modprobe@efi_pstore.service modprobe@fuse.service modprobe@loop.service \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-sysusers.service \
    systemd-network-generator.service
printf 'blacklist %s\n' kvm_amd kvm_intel kvm powernow_k8 acpi_cpufreq intel_rapl_msr intel_rapl_common > \
    /etc/modprobe.d/lab.conf

# Made at first boot, so that no two guests share it.
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id
ln -s /etc/machine-id /var/lib/dbus/machine-id

apt-get clean
rm -rf /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /usr/share/info/* /var/log/apt /var/log/dpkg.log
