#!/bin/sh
# Installs what the lab and the tests need and what is missing, on Debian and its derivatives; elsewhere says what is needed.
# --static: what building static binaries with Debian's compiler needs. --browser: what looking at pages needs.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=tools/step.sh
. tools/step.sh

# command:package
needs='
gcc:gcc
make:make
shellcheck:shellcheck
ssh:openssh-client
/usr/sbin/sshd:openssh-server
gpg:gpg
gpg-agent:gpg-agent
rpm:rpm
/usr/bin/sudo:sudo
/usr/bin/doas:opendoas
mmdebstrap:mmdebstrap
/sbin/mke2fs:e2fsprogs
cpio:cpio
/bin/busybox:busybox-static
lz4:lz4
/sbin/depmod:kmod
newuidmap:uidmap
qemu-img:qemu-utils
curl:curl
/sbin/debugfs:e2fsprogs
/usr/bin/unshare:util-linux
ip:iproute2
isoinfo:genisoimage
qemu-system-x86_64:qemu-system-x86
qemu-system-aarch64:qemu-system-arm
'

if [ "${1-}" = --static ]; then
    needs='
gcc:gcc
readelf:binutils
/usr/bin/rustc:rustc-web
/usr/bin/cargo:cargo-web
/usr/lib/rustlib/src/rust/library/std/build.rs:rust-web-src
qemu-aarch64-static:qemu-user-static
'
fi

if [ "${1-}" = --browser ]; then
    needs='
chromium:chromium
chromedriver:chromium-driver
'
fi

is_there() {
    case $1 in
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

look_for_missing() {
    missing=
    for need in $needs; do
        is_there "${need%%:*}" || missing="$missing ${need#*:}"
    done
    # A C library to link with has no command of its own.
    [ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
    # Nor has the part of Python that makes environments complete with pip.
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
    case ${1-} in --static | --browser) return ;; esac
    # Its keys end in pgp in later releases.
    is_there /usr/share/keyrings/debian-archive-keyring.gpg || is_there /usr/share/keyrings/debian-archive-keyring.pgp ||
        missing="$missing debian-archive-keyring"
}
look_for_missing "$@"

if [ "${1-}" != --static ] && ! command -v cargo >/dev/null 2>&1; then
    echo "error: there is no cargo; install a Rust toolchain of at least the rust-version in Cargo.toml (https://rustup.rs)" >&2
    exit 1
fi
[ -n "$missing" ] || exit 0

install() {
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    # shellcheck disable=SC2086 # a list of package names
    $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

if ! command -v apt-get >/dev/null 2>&1; then
    echo "error: please install the equivalents of these Debian packages, then run this again:$missing" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null 2>&1; then
    echo "error: please install these packages as root, then run this again: apt-get install$missing" >&2
    exit 1
fi
case $missing in
*openssh-server*) echo "openssh-server is for the tests; Debian also starts it, on port 22" >&2 ;;
esac
step "installing$missing" install
# apt may have removed what was there: a qemu-utils of backports makes way for the release's qemu-system.
look_for_missing "$@"
[ -z "$missing" ] || step "installing$missing, which made way for the others" install
look_for_missing "$@"
if [ -n "$missing" ]; then
    echo "error: apt-get has installed them, but these are still missing:$missing" >&2
    exit 1
fi
