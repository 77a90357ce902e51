# The registrations that a board holds and that are deleted with its vaults, the saved one included: `NODE REGION` a line. A key
# that names no instance is none. Private keys stay where they are.
# $1: the agent's directory
# shellcheck shell=sh
value() { sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p" "$2"; }
for key in "$1"/Vault/Store/RegistrationKey "$1"/Vault.*/Store/RegistrationKey; do
    [ ! -e "$key" ] && continue
    node=$(value instanceID "$key") && region=$(value region "$key") || exit 1
    [ -z "$node" ] || echo "$node $region"
done
