# What can be wrong with a host of a fleet, as functions that host.sh calls in the host's namespaces, before its sshd starts.
# shellcheck shell=sh disable=SC2154,SC2034,SC2317 # $root and others are host.sh's, and so are those who call and read
flaw_changed_host_key() { options="$options -o HostKey=/etc/ssh/other_key"; ssh-keygen -q -t ed25519 -N '' -f "$root/etc/ssh/other_key"; }
flaw_wrong_key() { for home in root home/admin; do echo '# nobody' >"$root/$home/.ssh/authorized_keys"; done; }
flaw_tcsh() { sed -i '/^admin:/s|:[^:]*$|:/usr/bin/tcsh|' "$root/etc/passwd"; }
flaw_fish() { sed -i '/^admin:/s|:[^:]*$|:/usr/bin/fish|' "$root/etc/passwd"; }
# bash reads .bashrc also when sshd starts it for a command.
flaw_noisy_rc() {
    sed -i '/^admin:/s|:[^:]*$|:/bin/bash|' "$root/etc/passwd"
    printf 'echo "Welcome to this host!"\necho "no mail" >&2\n' >"$root/home/admin/.bashrc"
}
flaw_only_wget() { rm "$root/usr/bin/curl"; }
flaw_no_download() { rm "$root/usr/bin/curl" "$root/usr/bin/wget"; }
# No flaw but a benchmark's: the login shell leaves a mark beside the hosts' directories and waits there for a word.
flaw_waits() {
    sed -i '/^admin:/s|:[^:]*$|:/bin/bash|' "$root/etc/passwd"
    mkdir "$root/gate"
    mount --bind "$directory/../gate" "$root/gate"
    # shellcheck disable=SC2016 # the host's shell expands
    echo '[ ! -p /gate/barrier ] || { : >"/gate/$HOSTNAME"; read -r _ </gate/barrier; }' >"$root/home/admin/.bashrc"
}
flaw_no_sudo() { rm "$root/usr/bin/sudo"; }
flaw_sudo_password() { rm -f "$root"/etc/sudoers.d/*; echo 'admin ALL=(ALL:ALL) ALL' >"$root/etc/sudoers.d/admin"; }
flaw_requiretty() { echo 'Defaults requiretty' >"$root/etc/sudoers.d/requiretty"; }
flaw_full_disk() {
    cp -a "$root/var/lib/dpkg" "$directory/dpkg"
    mount -t tmpfs -o size=24m tmpfs "$root/var/lib"
    cp -a "$directory/dpkg" "$root/var/lib/dpkg"
    dd if=/dev/zero of="$root/var/lib/filler" bs=64k 2>/dev/null || true
}
flaw_noexec_tmp() { mount -t tmpfs -o noexec,nosuid,nodev tmpfs "$root/tmp"; }
flaw_read_only_root() { unwritable=yes; }
# By another process, as apt would.
flaw_dpkg_locked() { setsid python3 -c 'import fcntl, sys, time
lock = open(sys.argv[1], "w"); fcntl.lockf(lock, fcntl.LOCK_EX); time.sleep(86400)' "$root/var/lib/dpkg/lock" & }
# Only the installation: everything else a host tells.
flaw_hung_command() {
    mv "$root/usr/bin/dpkg" "$root/usr/bin/dpkg.true"
    printf '#!/bin/sh\ncase "$*" in *-i*) exec sleep 86400 ;; esac\nexec dpkg.true "$@"\n' >"$root/usr/bin/dpkg"
    chmod 755 "$root/usr/bin/dpkg"
}
flaw_wrong_architecture() {
    printf '#!/bin/sh\necho riscv64\n' | tee "$root/usr/bin/uname" >"$root/usr/bin/dpkg"
    chmod 755 "$root/usr/bin/uname" "$root/usr/bin/dpkg"
}
