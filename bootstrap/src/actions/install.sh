# $1: what installs it: dpkg, dnf, yum, zypper or rpm. $2: name of the file in /var/lib/bootstrap. $3: its SHA-256.
# shellcheck shell=sh disable=SC2154 # variables come before this file
step_install() {
    file=/var/lib/bootstrap/$2
    # What came a moment ago was checked as it came.
    if [ "$came" != "$2" ] && ! echo "$3  $file" | sha256sum -c - >/dev/null 2>&1; then
        echo "$file is not what was sent"
        rm -f "$file"
        return 5
    fi
    if agent_runs; then ran=yes; else ran=no; fi
    "install_by_$1" "$file" || {
        status=$?
        # An upgrade stops the agent before it may fail; what was Online must not stay down for that.
        [ $ran = no ] || { agent_enable && agent_start; }
        return "$status"
    }
    # rpm writes its database through and its files not: after a power cut it would say installed of empty ones.
    sync
    step_tidy
    # The package starts its agent at once, unregistered; a unit that ended by itself waits 90 s for its next start.
    agent_stop
}

install_by_dpkg() {
    # A kill or a power cut left it half done; the probe looks for the same. What another one is at is done once it is waited for.
    if grep -qE '^Status: [a-z]+ [a-z]+ (unpacked|half-|triggers-)' /var/lib/dpkg/status ||
        ls /var/lib/dpkg/updates/[0-9]* >/dev/null 2>&1; then
        echo ":note dpkg was left half done; finishing it by dpkg --configure -a"
        dpkg_patiently --configure -a || echo ":note dpkg could not finish all of it; the agent is installed all the same"
    fi
    # A configuration file that somebody removed, and the unit is one, dpkg takes for the operator's wish and leaves out.
    dpkg_patiently --force-confmiss -i "$1"
}

# Another package manager may be at work (unattended-upgrades right after boot); it is waited for, never disturbed.
dpkg_patiently() {
    tries=0
    while :; do
        output=$(dpkg --force-confold "$@" </dev/null 2>&1)
        status=$?
        case $output in
        *"locked by another process"*) [ $tries -lt 60 ] || break ;;
        *) break ;;
        esac
        if [ $tries -eq 0 ]; then
            pid=$(printf '%s\n' "$output" | sed -n 's/.*locked by another process with pid \([0-9]*\).*/\1/p' | head -n 1)
            echo ":note waiting for another package manager: $(cat "/proc/$pid/comm" 2>/dev/null) ($pid)"
        fi
        tries=$((tries + 1))
        sleep 5
    done
    printf '%s\n' "$output"
    return "$status"
}
