# Prints what a host is, one `key=value` a line, for facts/parse.rs. Changes nothing.
# $1 is how the login user becomes root: sudo, doas or none; $become_password is what sudo wants to know, if that is known. $2, $3, $4 are what the agent's service is called: from a
# package, as a snap, under upstart. $5 is how many seconds a run that is at work here is waited for. Files and what other programs print have `name|` before each line.
# shellcheck shell=sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH:/snap/bin
LC_ALL=C
export PATH LC_ALL

me=$(id -u)
ssm=/var/lib/amazon/ssm
snap=/snap/amazon-ssm-agent/current
unit=$2

# Root sees everything; so the login user hands the same script over, on stdin, to keep it out of sudo's log.
as_root() {
    # shellcheck disable=SC2016,SC2154 # the other shell expands; $s is this script, which what started it has set
    case $1 in
    doas) printf '%s\n' "$s" | doas -n -- sh -c 's=$(cat); eval "$s"' bootstrap ;;
    sudo) printf '%s\n' "$s" | sudo -n -- sh -c 's=$(cat); eval "$s"' bootstrap ;;
    # A password that sudo does not ask for after all is not run as a command: what comes before the mark is dropped.
    with-password)
        printf '%s\n' "$become_password" :bootstrap: "$s" | sudo -k -S -p '' -- sh -c \
            'until [ "$s" = :bootstrap: ]; do IFS= read -r s || exit 66; done; s=$(cat); eval "$s"' bootstrap
        ;;
    esac
}

# What the login shell's start-up files printed may have had no end.
echo
if [ "$me" = 0 ]; then
    echo root=yes
elif [ "$1" = none ]; then
    echo root=no
elif ! command -v "$1" >/dev/null 2>&1; then
    if [ "$1" = sudo ]; then other=doas; else other=sudo; fi
    command -v $other >/dev/null 2>&1 || other=
    printf 'root=missing\nroot.other=%s\n' "$other"
else
    way=$1
    status=0
    if [ -n "${become_password-}" ]; then
        way=with-password
        # One line and the end: sudo asks three times, and must not take what follows for passwords.
        refusal=$(printf '%s\n' "$become_password" | sudo -k -S -p '' -- sh -c : 2>&1 >/dev/null)
        status=$?
    fi
    if [ "$status" -eq 0 ]; then
        {
            refusal=$(as_root "$way" 2>&1 >&3)
            status=$?
        } 3>&1
        [ "$status" -eq 0 ] && exit 0
    fi
    # LC_ALL is C, so these are their own words: of sudo, sudo-rs, doas.
    case $refusal in
    *"incorrect password"* | *"incorrect authentication"*) answer=wrong-password ;;
    *"password is required"* | *"uthentication required"* | *"authentication is required"*) answer=password ;;
    *) answer=refused ;;
    esac
    printf 'root=%s\nroot.refusal=%s\n' $answer "$(printf '%s' "$refusal" | tr '\n' ' ')"
fi

# What another run is still at work on, or this one before it lost its connection, would be planned again.
for lock in /run/bootstrap.lock /var/run/bootstrap.lock; do
    if [ "$me" = 0 ] && [ -e $lock ] && command -v flock >/dev/null 2>&1; then
        flock -s -n $lock true || {
            printf 'held.now=%s\n' "$(head -n 1 $lock)"
            left=$5
            until flock -s -n $lock true; do
                if [ "$left" -le 0 ]; then
                    printf 'held=%s\n' "$(head -n 1 $lock)"
                    break
                fi
                left=$((left - 1))
                sleep 1
            done
        }
        break
    fi
done

say() { printf '%s=%s\n' "$1" "$2"; }
# A last line without a line end would swallow the next fact.
show() { [ -r "$2" ] && sed "s/^/$1|/" "$2" && echo; }
quote() { sed "s/^/$1|/" && echo; }
# Two values of a flat JSON file, each as a fact, without showing the file: the vault's holds a private key. It may have no
# line end either.
json_values() { # FILE KEY FACT KEY FACT
    [ -f "$1" ] || return 0
    sed -n "h; s/.*\"$2\" *: *\"\([^\"]*\)\".*/$3=\1/p; g; s/.*\"$4\" *: *\"\([^\"]*\)\".*/$5=\1/p" "$1"
    echo
}

facts() {
    say kernel.machine "$(uname -m)"
    say userland.bits "$(getconf LONG_BIT 2>/dev/null)"
    if [ -r /etc/os-release ]; then show os /etc/os-release; else show os /usr/lib/os-release; fi
    id=
    [ ! -r /etc/machine-id ] || IFS= read -r id </etc/machine-id
    say machine-id "$id"
    # After 2038 the programs of a 32-bit userland can't tell the time; its kernel can.
    say clock "$(date +%s 2>/dev/null || awk '$1 == "btime" { at += $2 } FILENAME == "/proc/uptime" { at += $1 } END { printf "%.0f", at }' /proc/stat /proc/uptime)"

    # What is on hold is not to be changed. Neither dpkg -i nor rpm asks for that.
    hold=
    if command -v dpkg >/dev/null 2>&1; then
        say dpkg.arch "$(dpkg --print-architecture)"
        # Once: each call reads all of dpkg's database. Three words and the version; the words one by one, ${db:Status-Want}
        # and its like, are unknown to the dpkg of Ubuntu 14.04.
        agent=$(dpkg-query -W -f '${Status} ${Version}' amazon-ssm-agent 2>/dev/null)
        case $agent in hold\ *) hold=dpkg ;; esac
        say dpkg.agent "${agent#* * }"
    fi
    # A kill or a power cut leaves packages between two states, and dpkg's notes of it unread.
    states='(unpacked|half-configured|half-installed|triggers-awaited|triggers-pending)'
    if grep -qE "^Status: [a-z]+ [a-z]+ $states\$" /var/lib/dpkg/status 2>/dev/null; then
        dpkg-query -W -f '${Status} ${Package}\n' 2>/dev/null | grep -E "^[a-z]+ [a-z]+ $states " | cut -d ' ' -f 4 | quote unfinished
    else
        for note in /var/lib/dpkg/updates/[0-9]*; do
            [ ! -e "$note" ] || { echo 'unfinished|what dpkg was at' && break; }
        done
    fi
    if command -v rpm >/dev/null 2>&1; then
        say rpm.arch "$(rpm --eval '%{_arch}' 2>/dev/null)"
        rpm -q --qf '%{VERSION}\n' amazon-ssm-agent 2>/dev/null | quote rpm.agent
    fi
    for lock in dnf:/etc/dnf/plugins/versionlock.list dnf:/etc/dnf/versionlock.toml zypper:/etc/zypp/locks \
        yum:/etc/yum/pluginconf.d/versionlock.list; do
        [ -f "${lock#*:}" ] || continue
        ! grep -qs '^[^#]*amazon-ssm-agent' "${lock#*:}" || hold=${lock%%:*}
    done
    say package.hold "$hold"
    # A power cut may have come between a package manager's database and the files, which are then empty.
    damaged=
    # SUSE's own package has its programs in /usr/sbin.
    [ -s /usr/bin/amazon-ssm-agent ] || [ -s /usr/sbin/amazon-ssm-agent ] || damaged=yes
    for file in /usr/bin/ssm-* /usr/sbin/ssm-* "/etc/systemd/system/$2" "/usr/lib/systemd/system/$2" \
        "/lib/systemd/system/$2" "/etc/init/$4.conf"; do
        [ ! -f "$file" ] || [ -s "$file" ] || damaged=yes
    done
    # Somebody may have removed what starts it. An operator's own unit counts too, and so does one that is masked.
    if [ -d /run/systemd/system ]; then
        unit_file=
        for directory in /etc /run /usr/local/lib /usr/lib /lib; do
            file=$directory/systemd/system/$2
            { [ ! -e "$file" ] && [ ! -L "$file" ]; } || unit_file=$file
        done
        [ -n "$unit_file" ] || damaged=yes
    elif command -v initctl >/dev/null 2>&1; then
        [ -e "/etc/init/$4.conf" ] || damaged=yes
    fi
    [ -z "$damaged" ] || say package.files damaged
    for tool in dpkg dnf yum zypper rpm; do
        command -v $tool >/dev/null 2>&1 && say tool $tool
    done
    # A snap that is disabled has no `current`, but its file.
    snapped=
    for file in $snap /var/lib/snapd/snaps/amazon-ssm-agent_*.snap; do
        [ ! -e "$file" ] || snapped=yes
    done
    if [ -n "$snapped" ]; then
        say snap yes
        unit=$3
        command -v snap >/dev/null 2>&1 && snap list amazon-ssm-agent 2>/dev/null | quote snap.list
        show snap.meta $snap/meta/snap.yaml
    fi

    if [ -d /run/systemd/system ]; then
        say service systemd
        systemctl show -p ActiveState -p UnitFileState "$unit" 2>/dev/null | quote service.state
        show environment "/etc/systemd/system/$unit.d/zz-bootstrap-proxy.conf"
    elif [ -d /run/openrc ]; then
        say service openrc
    elif [ "$(cat /proc/1/comm 2>/dev/null)" = init ]; then
        if command -v initctl >/dev/null 2>&1; then
            say service upstart
            initctl status "$4" 2>&1 | quote service.state
            show environment "/etc/init/$4.override"
        else
            say service sysv
        fi
    else
        say service none
    fi

    # What is free, and whether what the agent keeps lies in memory: on such a file system, or on an overlay that writes to
    # one. Where the overlay of a container writes nobody in it sees. Nor does one where that of the initramfs of Raspberry
    # Pi OS before 12 does, but it is known by its name.
    df -Pk /var/lib /usr 2>/dev/null | awk -v state=$ssm '
        function on(path,  i, best) {
            for (i = 1; i <= mounts; i++)
                if (index(path "/", point[i] "/") == 1 && length(point[i]) >= length(point[best + 0])) best = i
            return best + 0
        }
        file == "mounts" {
            mounts++
            point[mounts] = $2
            sub("/$", "", point[mounts])
            kind[mounts] = $3
            options[mounts] = "," $4
            next
        }
        { free[++lines] = $4 }
        END {
            # A line for each, unless one of them cannot be looked at: then it is not known which.
            if (lines == 3) print "free.state=" free[2] "\nfree.system=" free[3]
            at = on(state)
            if (kind[at] == "overlay" && match(options[at], ",upperdir=[^,]*")) {
                upper = substr(options[at], RSTART + 10, RLENGTH - 10)
                if (kind[on(upper)] == "tmpfs" || (upper == "/upper/data" && on(upper) == at)) print "state.memory=overlay"
            } else if (kind[at] ~ "^(tmpfs|ramfs|rootfs)$") print "state.memory=file-system"
        }' - file=mounts /proc/mounts
    for staged in /var/lib/bootstrap/*; do
        [ -f "$staged" ] && say staged "${staged##*/}"
    done
    # Parts that were cut off: the process that wrote them is not there, or has not written for an hour.
    for staged in /var/lib/bootstrap/.*.part; do
        writer=${staged%.part}
        [ -f "$staged" ] || continue
        { [ -d "/proc/${writer##*.}" ] && [ -z "$(find "$staged" -mmin +60 2>/dev/null)" ]; } || say staged "${staged##*/}"
    done

    if [ "$me" = 0 ]; then
        say premise "$(premise)"
        json_values $ssm/Vault/Store/RegistrationKey instanceID vault.instance region vault.region
        [ -z "$(find $ssm/Vault/Store/RegistrationKey -mmin -5 2>/dev/null)" ] || say vault.lately yes
        # Its agent had credentials for this node, until then.
        json_values $ssm/runtimeconfig/identity_config.json \
            InstanceId credentials.instance CredentialsExpiresAt credentials.expire
        # The part is a copy that was cut off; it holds a private key too.
        if [ -d $ssm/Vault.bootstrap-saved ] || [ -d $ssm/Vault.bootstrap-saved.part ]; then
            say vault.saved yes
            json_values $ssm/Vault.bootstrap-saved/Store/RegistrationKey \
                instanceID vault.saved.instance region vault.saved.region
        fi
        if [ -e /etc/amazon/ssm/amazon-ssm-agent.json ]; then
            say config yes
            show config /etc/amazon/ssm/amazon-ssm-agent.json
        fi
    fi
}

# In one piece: line by line, each would be a packet of its own, and wake both ends.
answer=$(facts "$@")
# Without the last line the answer was cut off.
printf '%s\nend=yes\n' "$answer"
