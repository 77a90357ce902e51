# shellcheck shell=sh
while [ $# -gt 0 ]; do
    step=$1
    shift
    echo ":begin $step"
    case $step in
    install)
        step_install "$1" "$2" "$3"
        status=$?
        shift 3
        ;;
    register)
        step_register "$1"
        status=$?
        shift
        ;;
    configure)
        step_configure
        status=$?
        ;;
    settle-vault)
        step_settle_vault
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
    if [ "$status" -ne 0 ]; then
        echo ":failed $step $status"
        exit 1
    fi
    echo ":done $step"
done
