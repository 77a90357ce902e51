# Installs an .rpm by the host's own package manager, so that its history and its database stay true. First the file
# alone: repositories may be out of reach, and what they hold was not asked for.
# shellcheck shell=sh
install_by_rpm() {
    wait_for_rpm && drop_emptied "$1" || return
    echo ":note rpm alone installs the package, so what it needs must be there already"
    plain_rpm "$1"
}

# It checks what the package needs, and fetches nothing. A newer one that is there is there by halves: the plan replaces no
# other by an older one.
plain_rpm() { patiently rpm -U --replacepkgs --oldpackage "$1"; }

install_by_dnf() {
    wait_for_rpm && drop_emptied "$1" || return
    patiently dnf install -y --disablerepo='*' "$1" || with_repositories dnf install -y "$1"
}

install_by_yum() {
    wait_for_rpm && drop_emptied "$1" || return
    patiently yum localinstall -y --disablerepo='*' "$1" || with_repositories yum localinstall -y "$1"
}

install_by_zypper() {
    wait_for_rpm && drop_emptied "$1" || return
    patiently zypper_install "$1" --no-refresh || with_repositories zypper_install "$1" || {
        status=$?
        case $said in
        # SUSE 12's zypper, before 1.14.4, does not know the option.
        *NOKEY* | *"public key is not available"* | *"--allow-unsigned-rpm"*)
            # Its signature was checked before it was sent; to trust its key for ever is not ours to decide.
            echo ":note zypper takes no package whose key it does not know; rpm installs it"
            plain_rpm "$1"
            ;;
        *) return $status ;;
        esac
    }
}

# zypper waits for the lock itself, and names who holds it. Exit codes from 100 on are remarks, such as "restart", but for
# 104, nothing of that name, and 105, ended by a signal.
zypper_install() {
    rpm_file=$1
    shift
    ZYPP_LOCK_TIMEOUT=300 zypper --non-interactive "$@" install --allow-unsigned-rpm "$rpm_file" </dev/null
    status=$?
    case $status in
    10[01236789]) return 0 ;;
    *) return $status ;;
    esac
}

# Runs a command and keeps what it said. Who takes rpm's database after it was looked at is waited for as well.
patiently() {
    times=0
    while :; do
        wait_for_rpm || return
        said=$("$@" </dev/null 2>&1)
        status=$?
        case $status:$said in
        0:*) break ;;
        *"transaction lock"*) [ $times -lt 60 ] || break ;;
        *) break ;;
        esac
        times=$((times + 1))
        sleep 5
    done
    printf '%s\n' "$said"
    return "$status"
}

# Runs a command, unless the one before failed for something else than a missing package.
with_repositories() {
    case $said in
    *"nothing provides"* | *"needed by"* | *"Requires: "*) ;;
    *) return "$status" ;;
    esac
    echo ":note something that the package needs is missing; trying again with the host's repositories"
    patiently "$@"
}

# rpm would wait without end for whoever changes its database.
wait_for_rpm() {
    tries=0
    while rpm_holder; do
        [ $tries -gt 0 ] || echo ":note waiting for another package manager: $holder"
        if [ $tries -ge 60 ]; then
            echo "rpm's database is locked by another process: $holder"
            return 75
        fi
        tries=$((tries + 1))
        sleep 5
    done
}

# A power cut leaves files of a package empty. rpm takes an empty configuration file, and the unit is one, for the
# operator's own and keeps it; systemd takes it for masked.
drop_emptied() {
    rpm -qcp --nodigest --nosignature "$1" 2>/dev/null | while read -r file; do
        [ ! -f "$file" ] || [ -s "$file" ] || rm -f "$file"
    done
}

# Sets $holder to the process that has rpm's database locked for writing, if there is one.
rpm_holder() {
    [ -e /var/lib/rpm/.rpm.lock ] || return 1
    # shellcheck disable=SC2012 # stat(1) is not everywhere, and the name is ours
    inode=$(ls -iL /var/lib/rpm/.rpm.lock | awk '{ print $1 }')
    # N: POSIX ADVISORY WRITE PID MAJOR:MINOR:INODE START END; those who wait have `->` in the second place.
    pid=$(awk -v inode="$inode" \
        '$2 != "->" && $4 == "WRITE" && $6 ~ (":" inode "$") { print $5; exit }' /proc/locks 2>/dev/null)
    [ -n "$pid" ] || return 1
    holder="$(cat "/proc/$pid/comm" 2>/dev/null) ($pid)"
}
