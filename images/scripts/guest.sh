#!/bin/sh
# What every guest of the lab is: network by DHCP, keys by the seed, no timers that wake up in a test.
# Runs inside the root. Usage: guest.sh HOSTNAME
set -eu

here=$(cd "$(dirname "$0")" && pwd)

echo "$1" > /etc/hostname
printf '127.0.0.1\tlocalhost\n127.0.1.1\t%s\n' "$1" > /etc/hosts
# QEMU's user network resolves names at this address.
echo 'nameserver 10.0.2.3' > /etc/resolv.conf
# The initrd has mounted the root, writable; that replayed ext4's journal.
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
mkdir /usr/lib/bootstrap-lab/bin
for applet in chmod chown cp mkdir stat; do
    ln -s /bin/busybox "/usr/lib/bootstrap-lab/bin/$applet"
done
cat > /etc/systemd/system/bootstrap-lab-seed.service <<'END'
[Unit]
Description=Keys and name of this machine, from its seed
DefaultDependencies=no
RequiresMountsFor=/etc /root /home
After=systemd-remount-fs.service
Before=ssh.service systemd-networkd.service sysinit.target
ConditionPathExists=/run/bootstrap-seed

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/bootstrap-lab/seed.sh /run/bootstrap-seed

[Install]
WantedBy=sysinit.target
END

# A board that is booted by hand has no seed.
cat > /etc/systemd/system/bootstrap-lab-host-key.service <<'END'
[Unit]
Description=A host key, where no seed brought one
After=bootstrap-lab-seed.service
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key

[Install]
WantedBy=multi-user.target
END
systemctl enable bootstrap-lab-seed.service bootstrap-lab-host-key.service

# Host keys come with the seed; those made at install time would be the same in every guest.
rm -f /etc/ssh/ssh_host_*
cat > /etc/ssh/sshd_config.d/lab.conf <<'END'
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
UseDNS no
END

# Logs are read after a power cut, so they go to the disk, in small files. The kernel's are in dmesg.
mkdir -p /var/log/journal /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=persistent\nSystemMaxUse=32M\nReadKMsg=no\n' > /etc/systemd/journald.conf.d/lab.conf

systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service systemd-timesyncd.service

# As on any host: what is installed is on the disk when dpkg says so.
sed -i /force-unsafe-io/d /etc/dpkg/dpkg.cfg.d/99mmdebstrap

"$here/lean.sh"

# Made at first boot, so that no two guests share it.
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id
ln -s /etc/machine-id /var/lib/dbus/machine-id

apt-get clean
rm -rf /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /usr/share/info/* /usr/share/lintian /var/log/apt/* /var/log/dpkg.log
