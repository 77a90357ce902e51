# Keeps what comes on stdin as /var/lib/bootstrap/$1, if its SHA-256 is $2 and its size $3 bytes.
# shellcheck shell=sh
step_upload() (
    directory=/var/lib/bootstrap
    part=$directory/.$1.$$.part
    umask 077
    mkdir -p $directory || exit 1
    # Parts of uploads that were cut off; a living one is younger than an hour, longer than any limit.
    find $directory -name '.*.part' -mmin +60 -exec rm -f {} + 2>/dev/null
    trap 'rm -f "$part"' EXIT
    trap 'exit 1' HUP INT TERM PIPE
    cat >"$part" || exit 3
    size=$(wc -c <"$part")
    if [ "$((size))" -ne "$3" ]; then
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
