# Runs a command line as a login user of a machine whose /etc is its own: $1 is a directory for it, $2 what sudoers says of
# the user, $3 what doas.conf says, $4 the line. Stdin is the line's.
# shellcheck shell=sh
set -e
cp -a /etc "$1/etc"
mount --bind "$1/etc" /etc
echo 'labuser:x:4242:4242::/:/bin/sh' >>/etc/passwd
echo 'labuser:x:4242:' >>/etc/group
# openssl passwd -6 -salt labsalt 'se cret$1'
# shellcheck disable=SC2016 # it is no expansion
echo 'labuser:$6$labsalt$1nEXumZaRrvCw9fMlxI/OvOim8kgrS1L6biJV8cS.NO7ceR1h/KbejnMkfSSupMbb01AEpLvL3tgnUsoNt12Y/:19000::::::' >>/etc/shadow
rm -f /etc/sudoers.d/*
printf '%s\n' "$2" >/etc/sudoers.d/lab
printf '%s\n' "$3" >/etc/doas.conf
chmod 400 /etc/sudoers.d/lab /etc/doas.conf
cd /
# Without a terminal, as over SSH; and in another language.
export LANGUAGE=de LC_ALL=de_DE.UTF-8
exec setpriv --reuid=4242 --regid=4242 --clear-groups setsid sh -c "$4"
