# Removes what was sent, and parts of it that are not growing any more.
# shellcheck shell=sh
step_tidy() {
    rm -f /var/lib/bootstrap/*
    remove_dead_parts
    rmdir /var/lib/bootstrap 2>/dev/null || :
}
