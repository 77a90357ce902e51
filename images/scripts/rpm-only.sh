#!/bin/sh
# Makes this root a host that knows only rpm. Runs inside the root, last. Usage: rpm-only.sh BASE.rpm
set -eu

base=$1

cat > /usr/lib/os-release <<'END'
PRETTY_NAME="rpm tooling on a Debian 12 userland (bootstrap lab)"
NAME="bootstrap rpm host"
ID=bootstrap-rpm-host
ID_LIKE="rhel fedora"
VERSION_ID="12"
END
ln -sf ../usr/lib/os-release /etc/os-release
rm -f /etc/debian_version /etc/dpkg/origins/default

# Debian's rpm keeps a database per user; that of a host is one for all.
mkdir -p /etc/rpm
echo '%_dbpath /var/lib/rpm' > /etc/rpm/macros
rpm --initdb
rpm -i "$base"

# Out of the way, not deleted: what is left of a Debian host is found in one place.
hidden=/usr/lib/bootstrap-lab/debian
mkdir -p "$hidden/bin" "$hidden/sbin" "$hidden/var"
for program in /usr/bin/dpkg* /usr/bin/apt* /usr/bin/deb-* /usr/bin/debconf*; do
    [ -e "$program" ] && mv "$program" "$hidden/bin/"
done
for program in /usr/sbin/dpkg*; do
    [ -e "$program" ] && mv "$program" "$hidden/sbin/"
done
mv /var/lib/dpkg "$hidden/var/dpkg"
# /etc/apt stays: mmdebstrap itself cleans up in there afterwards.
