#!/bin/sh
# Makes a configured root of another architecture without running one of its programs: the packages of that
# architecture, unpacked, with what their maintainer scripts did in the twin, a root of this machine's architecture.
# Usage: foreign.sh WORK TWIN.tar
# WORK/foreign has four lines: the architecture, the twin's, the directory of packages, and the file that lists them.
# Writes WORK/root and WORK/manifest.
set -eu

work=$1
{
    read -r architecture
    read -r native
    read -r debs
    read -r list
} < "$work/foreign"
twin=$work/twin
root=$work/root
lists=$work/lists
database=$root/var/lib/dpkg
info=$database/info

triplet() {
    case $1 in
    amd64) echo x86_64-linux-gnu ;;
    arm64) echo aarch64-linux-gnu ;;
    armhf) echo arm-linux-gnueabihf ;;
    *)
        echo "foreign.sh: the triplet of $1 is not known" >&2
        return 1
        ;;
    esac
}
to=$(triplet "$architecture")
from=$(triplet "$native")
# Paths and names of the twin as they are in the other architecture.
renamed="s|$from|$to|g; s|:$native\\b|:$architecture|g"
# Packages know paths from before /usr was merged.
merged='s,^/\(bin\|sbin\|lib\|lib32\|lib64\|libx32\)/,/usr/\1/,'

mkdir -p "$twin" "$root" "$lists"
tar -C "$twin" --numeric-owner --exclude='./dev/*' -xf "$2"
if [ ! -e "$twin/var/lib/dpkg/status" ]; then
    echo "foreign.sh: a root whose dpkg is hidden can't be made for another architecture" >&2
    exit 1
fi

# 1. Unpack, and write dpkg's database as dpkg would have.
for directory in bin lib sbin; do
    mkdir -p "$root/usr/$directory"
    ln -s "usr/$directory" "$root/$directory"
done
mkdir -p "$info"

unpack() { # FILE PACKAGE ARCHITECTURE
    name=$2
    if [ "$(dpkg-deb -f "$debs/$1" Multi-Arch)" = same ]; then name=$2:$3; fi
    rm -rf "$work/control"
    dpkg-deb -e "$debs/$1" "$work/control"
    dpkg-deb --fsys-tarfile "$debs/$1" > "$work/data.tar"
    tar -C "$root" --numeric-owner --keep-directory-symlink -xpf "$work/data.tar"
    tar --quoting-style=literal -tf "$work/data.tar" | sed 's,^\.,,; s,/$,,; s,^$,/.,' > "$info/$name.list"
    awk '{ print } NR == 1 { print "Status: install ok installed" }' "$work/control/control" >> "$database/status"
    if [ -e "$work/control/conffiles" ]; then
        echo Conffiles: >> "$database/status"
        grep '^/' "$work/control/conffiles" | while read -r conffile; do
            sum=$(md5sum < "$root$conffile")
            echo " $conffile ${sum%% *}"
        done >> "$database/status"
    fi
    echo >> "$database/status"
    for file in "$work/control"/*; do
        [ "${file##*/}" = control ] || cp -p "$file" "$info/$name.${file##*/}"
    done
}
while read -r file package version arch; do
    unpack "$file" "$package" "$arch"
    # What its scripts do is known from the twin only.
    if [ -e "$work/control/postinst" ] && ! [ -e "$twin/var/lib/dpkg/info/$package.postinst" ] &&
        ! [ -e "$twin/var/lib/dpkg/info/$package:$native.postinst" ]; then
        echo "foreign.sh: $package $version has a postinst, and is not in the twin" >&2
        exit 1
    fi
done < "$list"
rm -rf "$work/control" "$work/data.tar"

# 2. What the twin has beside, or instead of, its packages' files.
cat "$twin"/var/lib/dpkg/info/*.list | sed "$merged" | LC_ALL=C sort -u > "$lists/owned"
(cd "$twin" && find . -mindepth 1 -printf '/%P\n') | LC_ALL=C sort -u > "$lists/there"
{
    LC_ALL=C comm -13 "$lists/owned" "$lists/there"
    {
        cat "$twin"/var/lib/dpkg/info/*.md5sums
        awk '/^Conffiles:/ { on = 1; next } /^[^ ]/ { on = 0 } on && NF == 2 { print $2 "  " substr($1, 2) }' \
            "$twin/var/lib/dpkg/status"
    } | (cd "$twin" && { md5sum -c --quiet 2> /dev/null || :; }) | sed -n 's,^\(.*\): FAILED$,/\1,p' | sed "$merged"
} | grep -v -e "$from" -e '^/var/lib/dpkg/' -e '^/etc/ld\.so\.cache$' -e '^/var/cache/ldconfig/' \
    -e '^/\(bin\|sbin\|lib\|lib32\|lib64\|libx32\)$' -e '^/usr/lib\(32\|64\|x32\)$' |
    sed 's,^/,,' | LC_ALL=C sort -u > "$lists/carried"
tar -C "$twin" --no-recursion --numeric-owner -T "$lists/carried" -cf - |
    tar -C "$root" --numeric-owner --keep-directory-symlink -xpf -

# 3. What the twin's makers deleted; a directory goes only if it is empty.
LC_ALL=C comm -23 "$lists/owned" "$lists/there" | grep -v '^/\.$' | sed "s,$from,$to,g" | LC_ALL=C sort -r |
    sed "s,^,$root," | xargs -r -d '\n' rm -df -- 2> /dev/null || true

# 4. Owners and modes that scripts gave to files of packages.
attributes() { # TREE
    (cd "$1" && find . -mindepth 1 ! -type l -printf '%P\t%U:%G\t%m\n')
}
attributes "$twin" | sed "s,$from,$to,g" | LC_ALL=C sort > "$lists/wanted"
attributes "$root" | LC_ALL=C sort > "$lists/given"
LC_ALL=C comm -23 "$lists/wanted" "$lists/given" | while IFS='	' read -r path owner mode; do
    [ -e "$root/$path" ] || continue
    chown "$owner" "$root/$path"
    chmod "$mode" "$root/$path"
done

# 5. The rest of dpkg's and apt's memory, and links that name the twin's architecture.
for part in alternatives triggers; do
    cp -R "$twin/var/lib/dpkg/$part" "$database/"
done
cp "$twin/var/lib/dpkg/info/format" "$info/"
for part in diversions statoverride; do
    cp "$twin/var/lib/dpkg/$part" "$database/"
done
find "$database/alternatives" "$database/triggers" "$database/diversions" "$database/statoverride" -type f \
    -exec sed -i "$renamed" {} +
: > "$database/available"
if [ -e "$root/var/lib/apt/extended_states" ]; then
    sed -i "s/^Architecture: $native\$/Architecture: $architecture/" "$root/var/lib/apt/extended_states"
fi
find "$root" -lname "*$from*" | while read -r link; do
    ln -sfn "$(readlink "$link" | sed "s,$from,$to,g")" "$link"
done

# shellcheck disable=SC2016 # fields of dpkg-query
dpkg-query --admindir="$database" -W -f '${Package} ${Version} ${Architecture}\n' > "$work/manifest"
