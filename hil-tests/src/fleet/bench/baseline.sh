#!/bin/sh
# The shell loop that people write instead of a tool, tuned: one exec for each host, fifty at a time, the fastest algorithms.
# Does on each host what bootstrap does: looks at it, sends and checks the package, installs it, registers, starts, looks.
# Usage: baseline.sh HOSTS USER IDENTITY KNOWN_HOSTS PACKAGE CONFIGURATION REGION ACTIVATION_ID <ACTIVATION_CODE
# HOSTS has a line "ADDRESS PORT" for each host. Ends with the number of hosts that failed on stdout.
set -eu

# One host; called by xargs.
if [ "$1" = --one ]; then
    # shellcheck disable=SC2154 # exported below
    ssh -F none -p "$3" -i "$identity" -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile="$known" \
        -o KexAlgorithms=curve25519-sha256 -o Ciphers=aes128-gcm@openssh.com -o ConnectTimeout=30 \
        "$user@$2" "$remote" <"$work/stdin" >"$work/$2.log" 2>&1 || touch "$work/$2.failed"
    exit
fi

hosts=$1 user=$2 identity=$3 known=$4 package=$5 configuration=$6 region=$7 id=$8
IFS= read -r code
sum=$(sha256sum "$package" | cut -d ' ' -f 1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Reads the code's line from its stdin, then the package; a shell's read takes no byte too many from a pipe.
cat >"$work/job" <<END
set -e
uname -a; cat /etc/os-release; dpkg-query -W amazon-ssm-agent 2>/dev/null || true; df -Pk /var/lib
IFS= read -r code
umask 077; mkdir -p /var/lib/baseline; cat >/var/lib/baseline/agent.deb
echo "$sum  /var/lib/baseline/agent.deb" | sha256sum -c -
mkdir -p /etc/amazon/ssm; printf %s '$configuration' >/etc/amazon/ssm/amazon-ssm-agent.json
dpkg -i /var/lib/baseline/agent.deb; rm -r /var/lib/baseline
systemctl stop amazon-ssm-agent
amazon-ssm-agent -register -y -region $region -id $id -code "\$code"
systemctl enable amazon-ssm-agent; systemctl restart amazon-ssm-agent; systemctl is-active amazon-ssm-agent
END
{
    printf '%s\n' "$code"
    cat "$package"
} >"$work/stdin"
# shellcheck disable=SC2089 # the quotes are for the shell on the host
remote="sudo -n sh -c '$(sed "s/'/'\\\\''/g" "$work/job")'"

# shellcheck disable=SC2090
export user identity known work remote
xargs -P 50 -n 2 sh "$0" --one <"$hosts"
failures=0
for failed in "$work"/*.failed; do
    [ -e "$failed" ] || continue
    failures=$((failures + 1))
    tail -n 3 "${failed%.failed}.log" >&2
done
echo "$failures"
