# $1, $2, $3: as for an upload. $4: the proxy. $5: what is reached without it. $package_url comes on stdin.
# shellcheck shell=sh disable=SC2154 # variables come before this file
step_download() {
    if ! command -v curl >/dev/null 2>&1 && ! command -v wget >/dev/null 2>&1; then
        echo "the host has neither curl nor wget"
        return 6
    fi
    for pause in 5 15 ""; do
        # One byte too many tells a file that is too long from the right one, and no more of it is taken.
        with_proxy "$4" "$5" fetch_package | head -c $(($3 + 1)) | keep_package "$1" "$2" "$3"
        status=$?
        # What came by halves may come whole; nothing else gets better.
        [ "$status" -eq 4 ] && [ -n "$pause" ] || return "$status"
        echo "trying again in $pause s"
        sleep "$pause"
    done
}

# The URL may hold a password or a signature: it is no argument, which everybody could read, where that can be helped.
fetch_package() {
    if command -v curl >/dev/null 2>&1; then
        printf 'url = "%s"\n' "$package_url" | curl -K - -gfsSL --connect-timeout 20 --speed-time 60 --speed-limit 1 -m 3600
    elif wget --version >/dev/null 2>&1; then
        # It names URLs in its messages, with their passwords and where they lead.
        printf '%s\n' "$package_url" | wget -q -T 60 -t 1 -O - -i - || wget_ended $?
    else
        # Of busybox.
        wget -q -T 60 -O - "$package_url"
    fi
}

# Tells what the exit code of GNU wget means. Stdout is the package's.
wget_ended() {
    case $1 in
    4) meant='the network failed' ;;
    5) meant='the certificate is not trusted' ;;
    6) meant='user or password were refused' ;;
    8) meant='the server answered with an error' ;;
    *) meant='' ;;
    esac
    echo "wget ended with exit code $1${meant:+: $meant}" >&2
}
