# Removes what was sent. Parts are left to the next upload: one that is young may be growing.
# shellcheck shell=sh
step_tidy() {
    rm -f /var/lib/bootstrap/*
    rmdir /var/lib/bootstrap 2>/dev/null || :
}
