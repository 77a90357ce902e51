# A registration that was cut off left the vault it had saved. The vault in place wins if it names an instance.
# shellcheck shell=sh disable=SC2154 # variables come before this file
step_settle_vault() {
    rm -rf "$saved.part"
    if [ -z "$(instance_in "$vault")" ] && [ -n "$(instance_in "$saved")" ]; then
        agent_stop
        restore_vault
    else
        rm -rf "$saved"
    fi
}

# Copy, then rename: a copy that is cut off is never taken for a saved vault. A saved vault is replaced only by a
# vault that names an instance.
save_vault() {
    rm -rf "$saved.part"
    [ -n "$(instance_in "$vault")" ] || return 0
    cp -a "$vault" "$saved.part" && sync && rm -rf "$saved" && mv "$saved.part" "$saved" && sync
}

restore_vault() {
    rm -rf "$vault" && mv "$saved" "$vault" && sync
}
