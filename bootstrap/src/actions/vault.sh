# A registration that was cut off left the vault it had saved. The vault in place wins if it names an instance.
# shellcheck shell=sh disable=SC2154 # variables come before this file
step_settle_vault() {
    if [ -z "$(instance_in "$vault")" ] && [ -n "$(instance_in "$saved")" ]; then
        systemctl stop "$agent_unit" </dev/null
        restore_vault
    else
        rm -rf "$saved"
    fi
}

# Copy, then rename: a copy that is cut off is never taken for a saved vault.
save_vault() {
    rm -rf "$saved" "$saved.part"
    [ -n "$(instance_in "$vault")" ] || return 0
    cp -a "$vault" "$saved.part" && sync && mv "$saved.part" "$saved"
}

restore_vault() {
    rm -rf "$vault" && mv "$saved" "$vault" && sync
}
