# $1: Region. $2: the instance that the vault named when this was planned; empty if none. $3, $4: the proxy and what is
# reached without it; empty if none.
# $activation_id and $activation_code come on stdin; the agent takes them as flags only.
# A failed registration has already emptied the vault, so the vault is saved before and put back after a failure.
# shellcheck shell=sh disable=SC2154 # variables come before this file
step_register() {
    if [ "$(instance_in "$vault")" != "$2" ]; then
        echo "the registration has changed since it was looked at"
        return 7
    fi
    agent_stop || return
    # A power cut leaves files of the vault by halves, which the agent refuses; one that names no instance is worth nothing.
    [ -n "$(instance_in "$vault")" ] || rm -rf "$vault"
    save_vault && register_patiently "$1" "$3" "$4"
    status=$?
    if [ $status -eq 0 ] && [ -z "$(instance_in "$vault")" ]; then
        echo "the agent said it registered, but its vault names no instance"
        status=6
    fi
    if [ $status -ne 0 ]; then
        if [ -d "$saved" ] && restore_vault; then
            echo "the registration from before is back in place: $(instance_in "$vault")"
        fi
        [ -z "$(instance_in "$vault")" ] || agent_start
        return "$status"
    fi
    # The new vault is on the disk before the old one goes.
    sync && rm -rf "$saved"
}

# When a whole fleet registers at once SSM throttles, for longer than the agent's own retries last.
# No timeout(1) around the agent: that would be a second argv with the code in it. It gives up by itself.
register_patiently() {
    # SUSE's own package has it there, until AWS's takes its place.
    suses=/usr/sbin/amazon-ssm-agent
    [ -x "$agent_binary" ] || [ ! -x $suses ] || agent_binary=$suses
    for pause in 5 10 20 ""; do
        said=$(with_proxy "$2" "$3" \
            "$agent_binary" -register -y -region "$1" -id "$activation_id" -code "$activation_code" </dev/null 2>&1)
        status=$?
        echo "$said"
        case $status:$said in
            0:*) return 0 ;;
            *ThrottlingException* | *"Rate exceeded"* | *TooManyUpdates*) [ -n "$pause" ] || return "$status" ;;
            *) return "$status" ;;
        esac
        echo "SSM is busy; trying again in $pause s"
        sleep "$pause"
    done
}
