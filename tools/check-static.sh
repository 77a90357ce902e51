# Sourced by the scripts beside it: checks that a program is what its name promises, a small static one for its target that runs.
# shellcheck shell=sh

# What fits into the budget of a slow line to a far host, and is noticed when a dependency doubles it.
most_bytes=14000000

# The machine as readelf says it, and QEMU's word for it.
machine_of() {
    case $1 in
    x86_64-*) echo 'Advanced Micro Devices X86-64:x86_64' ;;
    aarch64-*) echo 'AArch64:aarch64' ;;
    armv7-*) echo 'ARM:arm' ;;
    esac
}

# What the checks below and the bill of materials take is asked for first, so that it is missed before builds of an hour.

# check_python: the part of Python 3.11 that reads Cargo.lock, for a bill of materials.
check_python() {
    python3 -c 'import tomllib' 2>/dev/null || { echo 'error: please install first: Python 3.11 or newer as python3' >&2; return 1; }
}

# check_tools [TRIPLE...]: of the targets whose programs are run.
check_tools() {
    lacking=
    command -v readelf >/dev/null 2>&1 || lacking="$lacking readelf (Debian's binutils),"
    for target in "$@"; do
        runner_of "$target" >/dev/null || lacking="$lacking what runs programs for ${target%%-*} (qemu-user-static),"
    done
    [ -z "$lacking" ] || { echo "error: please install first:${lacking%,}" >&2; return 1; }
}

# check_static FILE TRIPLE
check_static() {
    machine=$(machine_of "$2")
    is=$(LC_ALL=C readelf -hW "$1" | sed -n 's/^ *Machine: *//p')
    [ "$is" = "${machine%:*}" ] || { wrong "$1" "is for $is, not for ${machine%:*}"; return 1; }
    ! LC_ALL=C readelf -lW "$1" | grep -q ' INTERP ' || { wrong "$1" 'needs a dynamic loader'; return 1; }
    ! LC_ALL=C readelf -dW "$1" | grep -q '(NEEDED)' || { wrong "$1" 'needs shared libraries'; return 1; }
    ! LC_ALL=C readelf -SW "$1" | grep -q ' \.symtab ' || { wrong "$1" 'is not stripped'; return 1; }
    bytes=$(wc -c <"$1")
    [ "$bytes" -le "$most_bytes" ] || { wrong "$1" "has $bytes bytes, more than $most_bytes"; return 1; }
    for path in "$PWD" "$CARGO_TARGET_DIR" "${CARGO_HOME:-$HOME/.cargo}/"; do
        ! grep -qF -- "$path" "$1" || { wrong "$1" "names $path, so another machine would build other bytes"; return 1; }
    done
}

# check_bootstrap FILE TRIPLE: it also runs, natively or in an emulator, and says the same of itself.
check_bootstrap() {
    check_static "$1" "$2" || return
    runner=$(runner_of "$2") || { wrong "$1" 'cannot be run here; install qemu-user-static'; return 1; }
    # shellcheck disable=SC2086 # no runner is no word
    said=$(timeout 60 $runner "$1" --version --verbose) || { wrong "$1" 'does not run'; return 1; }
    printf '%s\n' "$said" | grep -qx "target: *$2" || { wrong "$1" "says of itself: $said"; return 1; }
    printf '    %s: %s bytes, static, runs%s\n' "$1" "$bytes" "${runner:+ in $runner}" >&2
}

runner_of() {
    name=$(machine_of "$1")
    name=${name#*:}
    [ "$name" != "$(uname -m)" ] || return 0
    command -v "qemu-$name-static" || command -v "qemu-$name"
}

wrong() { echo "error: $1 $2" >&2; }
