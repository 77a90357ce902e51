#!/bin/sh
# Downloads packages of any architecture without installing them: a hook of mmdebstrap, which has apt set up for it.
# Usage: fetch.sh ROOT kernel METAPACKAGE    the kernel on which METAPACKAGE depends, alone
#        fetch.sh ROOT packages NAMES        what a root with the packages named in that file holds
# Leaves the files in apt's archives, and ROOT/bootstrap-lab/list with a line "FILE PACKAGE VERSION ARCHITECTURE" each.
set -eu

root=$1
what=$2
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
archives=$root/var/cache/apt/archives
cd "$archives"

case $what in
kernel)
    set -- "$(apt-cache depends --important "$3" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)"
    if [ -z "$1" ]; then
        echo "fetch.sh: the kernel package depends on no linux-image package" >&2
        exit 1
    fi
    uris=download
    apt-get -q -o APT::Sandbox::User=root download "$1"
    ;;
packages)
    # shellcheck disable=SC2046 # one word per package
    set -- $(cat "$3")
    uris='--no-install-recommends install'
    # shellcheck disable=SC2086 # a command and its flag
    apt-get -q -y -o APT::Sandbox::User=root --download-only $uris "$@"
    ;;
esac

# apt does not name what it already has, so the question is asked of an empty archive.
empty=$(mktemp -d)
# shellcheck disable=SC2086
(cd "$empty" && apt-get -q -y -o Dir::Cache::Archives="$empty" --print-uris $uris "$@") |
    sed -n "s/^'[^']*' \([^ ]*\.deb\) .*/\1/p" > "$root/bootstrap-lab/files"
rm -r "$empty"
while read -r file; do
    # shellcheck disable=SC2016 # fields of dpkg-deb
    dpkg-deb -W --showformat="$file"' ${Package} ${Version} ${Architecture}\n' "$archives/$file"
done < "$root/bootstrap-lab/files" > "$root/bootstrap-lab/list"
