# Closes gaps, one after the other. $1 and $2 are the agent's unit and binary, of targets::agent; $3 is who does it, $4
# the premise of the plan (empty: it has none); the other arguments are steps and what each needs, as actions/mod.rs lays them out. An upload or a
# download is the first of them.
# Prints `:begin STEP SECONDS` (since the script began), the commands' output, then `:done STEP` or `:failed STEP CODE`; stops at the first failure.
# In between, `:note TEXT` is for the operator.
# The other files of this folder come around this one; each defines the function step_<name>.
# shellcheck shell=sh disable=SC2034 # the files that follow use the variables
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
LC_ALL=C
DEBIAN_FRONTEND=noninteractive
export PATH LC_ALL DEBIAN_FRONTEND

ended_well() { printf '\n:done %s\n' "$1"; }
# The line before may have had no end.
ended_badly() {
    printf '\n:failed %s %s\n' "$1" "$2"
    exit 1
}

# By a clock that nobody sets.
seconds_up() {
    seconds=0
    IFS=. read -r seconds _ </proc/uptime || :
}
seconds_up
began=$seconds

# What the login shell's start-up files printed may have had no end; a step's output ends before the next step begins.
echo

# Before the lock and while signals still count: a connection that hangs in the middle of it keeps nobody out.
came=
case $5 in
upload | download)
    echo ":begin $5 0"
    case $5 in
    upload) step_upload "$6" "$7" "$8" ;;
    download) step_download "$6" "$7" "$8" "$9" "${10}" ;;
    esac 2>&1 || ended_badly "$5" $?
    ended_well "$5"
    came=$6
    ;;
esac

# One at a time: the command of a run that lost its connection may still be at work, or that of another operator. The
# kernel has the lock, so it is gone with the last process that does the work; the file only says whose it is.
# Amazon Linux 1 has no /run.
if [ -d /run ]; then lock=/run/bootstrap.lock; else lock=/var/run/bootstrap.lock; fi
if command -v flock >/dev/null 2>&1; then
    # Who can open a file can lock it.
    umask 077
    exec 9>>"$lock" && chmod 600 "$lock" || exit
    # A probe holds it for a moment. Whoever holds it longer may be doing what was planned here: it is planned anew. The
    # flock of busybox cannot wait for a time.
    tries=0
    until flock -n 9; do
        if [ $tries -ge 5 ]; then
            echo ":held $(head -n 1 "$lock")"
            exit 75
        fi
        tries=$((tries + 1))
        sleep 1
    done
    # Whoever had the lock until now has installed what was sent for both.
    if [ -n "$came" ] && [ ! -e "/var/lib/bootstrap/$came" ]; then
        echo ":held $(head -n 1 "$lock")"
        exit 75
    fi
    echo "$3 since $(date -u +%Y-%m-%dT%H:%M:%SZ), process $$ there" >"$lock"
else
    echo ":note the host has no flock(1), so nothing keeps another run away from it meanwhile"
fi

# A lost connection must not stop a package manager or a registration half way.
trap '' HUP PIPE
umask 022

ssm=/var/lib/amazon/ssm
vault=$ssm/Vault
saved=$ssm/Vault.bootstrap-saved
agent_unit=$1
agent_binary=$2
planned_for=$4
shift 4
case $1 in
upload) shift 4 ;;
download) shift 6 ;;
esac

instance_in() { sed -n 's/.*"instanceID" *: *"\([^"]*\)".*/\1/p' "$1/Store/RegistrationKey" 2>/dev/null | head -n 1; }
