#!/bin/sh
# Makes a user of the guest. Runs inside the root.
# Usage: user.sh NAME free|password|none
#   free      sudo without a password
#   password  sudo asks; the password is the line "NAME:..." of ../passwords
#   none      no sudo
set -eu

name=$1
sudo=$2
here=$(cd "$(dirname "$0")/.." && pwd)

useradd --create-home --shell /bin/bash "$name"
install -d -m 0700 -o "$name" -g "$name" "/home/$name/.ssh"
if grep -q "^$name:" "$here/passwords"; then
    grep "^$name:" "$here/passwords" | chpasswd
fi

rule=/etc/sudoers.d/$name
case $sudo in
free) echo "$name ALL=(ALL:ALL) NOPASSWD: ALL" > "$rule" ;;
password) echo "$name ALL=(ALL:ALL) ALL" > "$rule" ;;
none) exit 0 ;;
*)
    echo "user.sh: sudo is free, password or none, not '$sudo'" >&2
    exit 2
    ;;
esac
chmod 0440 "$rule"
