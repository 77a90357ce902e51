# shellcheck shell=sh disable=SC2154 # variables come before this file
# Under the lock, so nothing changes any more: whoever was here since the host was looked at may have registered it. It is
# planned anew.
if [ -n "$planned_for" ] && [ "$(premise)" != "$planned_for" ]; then
    echo :stale
    exit 75
fi

while [ $# -gt 0 ]; do
    step=$1
    shift
    seconds_up
    echo ":begin $step $((seconds - began))"
    case $step in
    install)
        step_install "$1" "$2" "$3"
        status=$?
        shift 3
        ;;
    register)
        step_register "$1" "$2" "$3" "$4"
        status=$?
        shift 4
        ;;
    configure)
        step_configure
        status=$?
        ;;
    proxy)
        step_proxy "$1" "$2"
        status=$?
        shift 2
        ;;
    settle-vault)
        step_settle_vault
        status=$?
        ;;
    tidy)
        step_tidy
        status=$?
        ;;
    start)
        step_start
        status=$?
        ;;
    *)
        echo "unknown step"
        status=64
        ;;
    esac 2>&1
    [ "$status" -eq 0 ] || ended_badly "$step" "$status"
    ended_well "$step"
done
