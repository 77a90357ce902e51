# $1: write or remove. $2: the file that adds to the environment of the agent's service; $environment_file is its content.
# shellcheck shell=sh disable=SC2154 # variables come before this file
step_proxy() {
    directory=${2%/*}
    if [ "$1" = remove ]; then
        rm -f "$2" || return
        # A directory that is not ours alone is not empty.
        rmdir "$directory" 2>/dev/null
    else
        mkdir -p "$directory" || return
        part=$directory/.${2##*/}.bootstrap
        printf '%s' "$environment_file" >"$part" && sync && mv "$part" "$2" || return
    fi
    agent_reread
}

# Runs a command with a proxy, $1, and what is reached without it, $2; with neither, in the environment that is there. Go's
# programs, and the agent is one, read the names in upper case first.
with_proxy() {
    if [ -n "$1" ]; then
        http_proxy=$1 https_proxy=$1 no_proxy=$2
        HTTP_PROXY=$1 HTTPS_PROXY=$1 NO_PROXY=$2
        export http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY
    fi
    shift 2
    "$@"
}
