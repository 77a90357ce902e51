# Moves what an agent is registered with to a new directory that only root can enter, whose name is the answer. Nothing is deleted
# but the credentials that the registration was given, which would prove another account's.
# $1: the agent's directory
# $2: where the new one comes to lie
# shellcheck shell=sh
set -e
umask 077
agent=$1
kept=$2
cd "$agent" 2>/dev/null || exit 0
set --
for held in Vault Vault.* registration; do
    [ ! -e "$held" ] || set -- "$@" "$held"
done
if [ $# -gt 0 ]; then
    mkdir -p "$kept"
    place=$(mktemp -d "$kept/$(date -u +%Y-%m-%dT%H-%M-%SZ).XXXXXX")
    mv "$@" "$place"
    sync
    echo "$place"
fi
rm -rf runtimeconfig
