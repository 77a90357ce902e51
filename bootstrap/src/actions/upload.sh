# $1: name of the package in /var/lib/bootstrap. $2: its SHA-256. $3: its size in bytes. It comes on stdin.
# shellcheck shell=sh
step_upload() { keep_package "$1" "$2" "$3"; }

# Removes parts that were cut off. A living one is another run's and growing: its name has the process that writes it, which is gone
# with the power, too; that number may be another's by then, but none writes for an hour, which is longer than any limit.
remove_dead_parts() {
    for dead in /var/lib/bootstrap/.*.part; do
        writer=${dead%.part}
        [ ! -f "$dead" ] || [ -d "/proc/${writer##*.}" ] || rm -f "$dead"
    done
    find /var/lib/bootstrap -name '.*.part' -mmin +60 -exec rm -f {} + 2>/dev/null || :
}

# What comes on stdin, if it is what the arguments say, as above.
keep_package() (
    directory=/var/lib/bootstrap
    part=$directory/.$1.$$.part
    umask 077
    mkdir -p $directory || exit 1
    remove_dead_parts
    trap 'rm -f "$part"' EXIT
    trap 'exit 1' HUP INT TERM PIPE
    cat >"$part" || exit 3
    size=$(wc -c <"$part")
    if [ "$((size))" -lt "$3" ]; then
        echo "only $((size)) of $3 bytes arrived"
        exit 4
    fi
    sum=$(sha256sum "$part" | cut -d ' ' -f 1)
    if [ "$sum" != "$2" ]; then
        echo "SHA-256 is $sum, not $2"
        exit 5
    fi
    sync "$part" 2>/dev/null || sync
    mv "$part" "$directory/$1"
)
