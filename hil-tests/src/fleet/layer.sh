#!/bin/sh
# What all hosts of a fleet have in common above the root of their image: keys, sshd's configuration, systemctl.
# Usage: layer.sh ROOT LAYER PUBLIC_KEY HOST_KEY SYSTEMCTL [AGENT]
set -eu
root=$1 layer=$2 public=$3 host_key=$4 systemctl=$5

mkdir -p "$layer/etc/ssh" "$layer/usr/bin" "$layer/root/.ssh" "$layer/home"
for user in admin pwadmin; do
    cp -a "$root/home/$user" "$layer/home/"
    mkdir -p "$layer/home/$user/.ssh"
    cp "$public" "$layer/home/$user/.ssh/authorized_keys"
    owner=$(awk -F : -v user="$user" '$1 == user { print $3 ":" $4 }' "$root/etc/passwd")
    chown -R "$owner" "$layer/home/$user"
done
cp "$public" "$layer/root/.ssh/authorized_keys"
chmod -R go= "$layer/root"
cp "$host_key" "$layer/etc/ssh/ssh_host_ed25519_key"
chmod 600 "$layer/etc/ssh/ssh_host_ed25519_key"
cat >"$layer/etc/ssh/fleet_config" <<'END'
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication yes
UsePAM yes
UseDNS no
PidFile none
MaxStartups 200
MaxSessions 10
Subsystem sftp internal-sftp
END
install -m 0755 "$systemctl" "$layer/usr/bin/systemctl"
[ $# -lt 6 ] || install -D -m 0755 "$6" "$layer/usr/libexec/fleet-agent"
# The agent finds its endpoint by address.
: >"$layer/etc/resolv.conf"
# A copy through debugfs has lost these bits.
for program in sudo doas su; do
    cp -a "$root/usr/bin/$program" "$layer/usr/bin/$program"
    chmod 4755 "$layer/usr/bin/$program"
done
# Gone when the machine loses power, as everything here: nothing need be on the disk when dpkg says so.
mkdir -p "$layer/etc/dpkg/dpkg.cfg.d"
echo force-unsafe-io >"$layer/etc/dpkg/dpkg.cfg.d/fleet"
