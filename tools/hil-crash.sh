#!/bin/sh
# Kills `hil run` with SIGKILL while its machine runs, also together with its watchman, and shows that nothing is left of it.
set -eu

bin=${CARGO_TARGET_DIR:?names the target directory}/debug
work=${XDG_CACHE_HOME:-$HOME/.cache}/bootstrap/work
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

# until LIMIT_S COMMAND...
until_true() {
    left=$(($1 * 5))
    shift
    while ! "$@"; do
        left=$((left - 1))
        if [ $left -le 0 ]; then
            echo "not within its limit: $*" >&2
            return 1
        fi
        sleep 0.2
    done
}

machine_is_on() { pid=$(cat "$work/$run/bench-0/machine/pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null; }
endpoint_is_up() { [ -s "$work/$run/bench-0/endpoint.json" ]; }
place_is_gone() { [ ! -e "$work/$run" ]; }
is_gone() { ! kill -0 "$1" 2>/dev/null; }

begin() {
    "$bin/hil" run --machine x86_64 --scenario fresh-host --jobs 1 --results "$results" >"$results/out" 2>&1 &
    run=$!
    until_true 900 machine_is_on
    until_true 120 endpoint_is_up
    machine=$(cat "$work/$run/bench-0/machine/pid")
    endpoint=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$work/$run/bench-0/endpoint.json")
}

begin
kill -KILL "$run"
wait "$run" 2>/dev/null || true
until_true 60 place_is_gone
until_true 5 is_gone "$machine"
until_true 5 is_gone "$endpoint"
echo "ok: after SIGKILL the watchman ended machine and endpoint, and their place is gone"

begin
first=$run
watchman=$(pgrep -f "^$bin/hil guard --dir $work/$run\$")
kill -KILL "$watchman" "$run"
wait "$run" 2>/dev/null || true
kill -0 "$machine" || { echo "the machine should have survived this" >&2; exit 1; }
"$bin/hil" run --machine x86_64 --scenario fresh-host --jobs 1 --results "$results" >"$results/out" 2>&1 || {
    cat "$results/out" >&2
    exit 1
}
run=$first
place_is_gone && is_gone "$machine" && is_gone "$endpoint"
echo "ok: what a run and its watchman left together, the next run ended, and passed"
