# Closes gaps, one after the other. $1 and $2 are the agent's unit and binary, of targets::agent; the other arguments
# are steps and what each needs, as actions/mod.rs lays them out.
# Prints `:begin STEP`, the commands' output, then `:done STEP` or `:failed STEP CODE`; stops at the first failure.
# In between, `:note TEXT` is for the operator.
# The other files of this folder follow this one; each defines the function step_<name>.
# shellcheck shell=sh disable=SC2034 # the files that follow use the variables
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
LC_ALL=C
DEBIAN_FRONTEND=noninteractive
export PATH LC_ALL DEBIAN_FRONTEND

# The command of a run that lost its connection may still be at work, or that of another operator.
if command -v flock >/dev/null 2>&1; then
    # Amazon Linux 1 has no /run.
    if [ -d /run ]; then exec 9>/run/bootstrap.lock; else exec 9>/var/run/bootstrap.lock; fi
    if ! flock -w 60 9; then
        echo "another bootstrap is at work on this host" >&2
        exit 75
    fi
fi

# A lost connection must not stop a package manager or a registration half way.
trap '' HUP PIPE
umask 022

ssm=/var/lib/amazon/ssm
vault=$ssm/Vault
saved=$ssm/Vault.bootstrap-saved
agent_unit=$1
agent_binary=$2
shift 2

instance_in() { sed -n 's/.*"instanceID" *: *"\([^"]*\)".*/\1/p' "$1/Store/RegistrationKey" 2>/dev/null | head -n 1; }
