#!/bin/sh
# Scenarios on a board that `hil` knows only by its file: a QEMU machine behind a terminal and scripts, see fake-board.sh.
set -eu
cd "$(dirname "$0")/.."

hil=${CARGO_TARGET_DIR:?names the target directory}/debug/hil
# Not below a directory that only root may enter, and on a disk: the card is as large as its image.
dir=$(mktemp -d "${XDG_CACHE_HOME:-$HOME/.cache}/bootstrap/board.XXXXXX")
# shellcheck disable=SC2317 # called by the trap
clean() {
    [ ! -x "$dir/power-off" ] || "$dir/power-off"
    rm -rf "$dir"
}
trap clean EXIT

template=$("$hil" snapshot x86_64 | awk '{ print $2 }')
board=$(tools/fake-board.sh "$dir" "$template")
# A run, of which so many scenarios must pass: one that is skipped fails nothing.
passes() {
    status=0
    "$hil" run --board "$2" --machine fake-board --scenario "$3" ${4:+--scenario "$4"} --results "$dir/results" >"$dir/summary" || status=$?
    cat "$dir/summary"
    [ "$status" = 0 ] && grep -q "^scenarios: $1 passed, 0 failed, 0 skipped" "$dir/summary"
}
passes 2 "$board" fresh-host second-run
# The same board with a card that stays in it: it is enrolled at an endpoint that is gone.
sed '/^\[media\]/,$d' "$board" > "$dir/card-stays.toml"
passes 1 "$dir/card-stays.toml" second-run
