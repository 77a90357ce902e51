# Sourced by the scripts beside it: which toolchain makes static binaries here, and how it is called.
# Expects CARGO_TARGET_DIR, and step.sh to be sourced.
# shellcheck shell=sh

# Those of the pages that say how to install them; a newer one may well do, but these were tried.
zig_version=0.17.1
zigbuild_version=0.24.1

zig_home=${XDG_CACHE_HOME:-$HOME/.cache}/bootstrap/zig

all_targets='x86_64-unknown-linux-musl aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf'

# Looks for the first toolchain that is there for TARGET..., says which and why the ones before it were not taken.
choose_route() {
    for candidate in rustup cross debian; do
        if why_not=$("why_not_$candidate" "$@"); then
            route=$candidate
            printf '==> toolchain: %s\n' "$(about "$route")" >&2
            return 0
        fi
        printf '    not %s: %s\n' "$(about "$candidate")" "$why_not" >&2
    done
    cat >&2 <<EOF
error: nothing here can build static binaries; any of these will do:
  rustup target add $all_targets
      and cargo install --locked cargo-zigbuild, and zig: pip install ziglang
  cargo install --locked cross, with Docker or Podman running
  Debian or a derivative that has the package rustc-web
EOF
    return 1
}

about() {
    case $1 in
    rustup) echo "rustup's targets with cargo-zigbuild" ;;
    cross) echo 'cross with a container engine' ;;
    debian) echo "Debian's compiler with cargo-zigbuild, the standard library built from source" ;;
    esac
}

# Each why_not_ROUTE succeeds silently, or prints what is missing and fails. None of them downloads anything.
why_not_rustup() {
    command -v rustup >/dev/null 2>&1 || { echo 'there is no rustup'; return 1; }
    installed=$(rustup target list --installed 2>/dev/null) || { echo 'rustup has no toolchain'; return 1; }
    missing=
    for target in "$@"; do
        printf '%s\n' "$installed" | grep -qx "$target" || missing="$missing $target"
    done
    [ -z "$missing" ] || { echo "not installed:$missing"; return 1; }
    zigbuild_program >/dev/null || { echo 'there is no cargo-zigbuild'; return 1; }
    zig_is_there || { echo 'there is no zig'; return 1; }
}

why_not_cross() {
    command -v cross >/dev/null 2>&1 || { echo 'there is no cross'; return 1; }
    for engine in docker podman; do
        # A client whose daemon hangs must not hold up the others.
        timeout 20 "$engine" info >/dev/null 2>&1 && return 0
    done
    echo 'neither docker nor podman answers'
    return 1
}

why_not_debian() {
    [ "$(uname -m)" = x86_64 ] || { echo 'it was only tried on x86_64'; return 1; }
    [ ! -d "$(rust_source)" ] || return 0
    command -v apt-get >/dev/null 2>&1 || { echo 'there is no apt-get'; return 1; }
    # Ubuntu has no such package. Where apt has no lists yet, it has not even rustc, and the installation will show.
    if apt-cache show rustc >/dev/null 2>&1 && ! apt-cache show rustc-web >/dev/null 2>&1; then
        echo 'this release has no package rustc-web'
        return 1
    fi
}

# Where Debian's rust-web-src has the standard library.
rust_source() { echo /usr/lib/rustlib/src/rust/library; }

zigbuild_program() { PATH=$zig_home/bin:$PATH command -v cargo-zigbuild; }

zig_is_there() {
    [ -x "$zig_home/venv/bin/python3" ] || command -v zig >/dev/null 2>&1 || python3 -m ziglang version >/dev/null 2>&1
}

# Installs what the chosen route lacks; only Debian's is ours to complete.
prepare_route() {
    [ "$route" = debian ] || return 0
    tools/setup.sh --static || return
    [ -d "$(rust_source)" ] || { echo "error: $(rust_source) is missing; is rust-web-src installed?" >&2; return 1; }
    if ! zig_is_there; then
        step "installing zig $zig_version" install_zig || return
    fi
    if ! zigbuild_program >/dev/null; then
        step "installing cargo-zigbuild $zigbuild_version" install_zigbuild || return
    fi
}

# An environment of its own: Debian's Python refuses packages of others, and nothing else shall find this one.
# It takes its name last, so that an interrupted installation is done again.
install_zig() {
    rm -rf "$zig_home/venv" "$zig_home/venv.new"
    python3 -m venv "$zig_home/venv.new" &&
        "$zig_home/venv.new/bin/python3" -m pip install --quiet --disable-pip-version-check "ziglang==$zig_version" &&
        mv "$zig_home/venv.new" "$zig_home/venv"
}

install_zigbuild() {
    RUSTC=/usr/bin/rustc /usr/bin/cargo install --quiet --locked cargo-zigbuild --version "$zigbuild_version" --root "$zig_home"
}

# The chosen toolchain's rustc or cargo. Debian's have their own path, since rustup's proxies come first in PATH.
toolchain() {
    case $route in
    debian) echo "/usr/bin/$1" ;;
    *) echo "$1" ;;
    esac
}

# The bill of materials of FILE, built for TARGET, on stdout: bill_of TARGET FILE.
bill_of() { RUSTC=$(toolchain rustc) CARGO=$(toolchain cargo) python3 tools/sbom.py "$@"; }

# static_build TARGET CARGO-ARGUMENTS...: `cargo build` with the chosen toolchain.
static_build() (
    target=$1
    shift
    upper=$(printf %s "$target" | tr 'a-z-' 'A-Z_')
    lower=$(printf %s "$target" | tr - _)
    case $route in
    # Inside the container paths are its own: /project, /cargo, /target.
    cross) exec cross build --locked --target "$target" "$@" ;;
    rustup) flags=$(rust_maps "$(rustc --print sysroot)/lib/rustlib/src/rust") ;;
    debian)
        # Debian's compiler is a stable one; building the standard library needs this leave.
        RUSTC=$(toolchain rustc)
        CARGO=$(toolchain cargo)
        export RUSTC_BOOTSTRAP=1 RUSTC CARGO
        # Without it the link wants rcrt1.o, which comes with rustup's targets only.
        flags="-C link-self-contained=no $(rust_maps "$(rust_source)/.." "$(readlink -f "$(rust_source)")/..")"
        # Not with its backtraces: a stripped program has no names for them.
        set -- -Zbuild-std -Zbuild-std-features=panic-unwind "$@"
        ;;
    esac
    [ ! -x "$zig_home/venv/bin/python3" ] || export CARGO_ZIGBUILD_PYTHON_PATH="$zig_home/venv/bin/python3"
    # They would be taken instead of what is set here.
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
    export PATH="$zig_home/bin:$PATH" CARGO_ZIGBUILD_CACHE_DIR="$zig_home/zigbuild" ZIG_GLOBAL_CACHE_DIR="$zig_home/cache"
    export "CARGO_TARGET_${upper}_RUSTFLAGS=$flags" "CFLAGS_$lower=$(path_maps -ffile-prefix-map)"
    exec cargo-zigbuild zigbuild --locked --target "$target" "$@"
)

# Flags that replace the paths of this machine, which panics would name. They are the same for every clone, since cargo builds
# the standard library again when a flag changes; members of the workspace are compiled by relative paths anyway.
path_maps() {
    printf -- "$1=%s=/target" "$CARGO_TARGET_DIR"
    for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
        printf -- " $1=%s=/cargo" "$registry"
    done
}

rust_maps() {
    path_maps --remap-path-prefix
    for source in "$@"; do
        [ ! -d "$source" ] || printf -- ' --remap-path-prefix=%s=/rust' "$(cd "$source" && pwd)"
    done
}
