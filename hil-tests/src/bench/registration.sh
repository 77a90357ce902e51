# The registrations that a board holds, the saved ones included: `NODE REGION VAULT` a line. A key that names no instance is none.
# Private keys stay where they are.
# $1: the agent's directory
# shellcheck shell=sh
value() { sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p" "$2"; }
for vault in "$1"/Vault "$1"/Vault.*; do
    key=$vault/Store/RegistrationKey
    [ ! -e "$key" ] && continue
    node=$(value instanceID "$key") && region=$(value region "$key") || exit 1
    [ -z "$node" ] || echo "$node $region ${vault##*/}"
done
