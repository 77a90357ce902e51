#!/bin/sh
# Every test, the fast ones first. --fast leaves out what needs QEMU; BOOTSTRAP_HIL_SET=full runs all of
# that, BOOTSTRAP_HIL_SET=heavy also a hundred power cuts, and thirty on ARM.
# Ends with a line that counts what ran.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=tools/step.sh
. tools/step.sh

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# shellcheck disable=SC2317 # called by way of step
# Keeps a copy of what a test command prints, and its exit code.
counted() {
    { { "$@" 2>&1; echo $? >"$log.status"; } | tee -a "$log"; } >&2
    status=$(cat "$log.status")
    rm -f "$log.status"
    return "$status"
}

# Cargo's closing lines, `test result: ok. 12 passed; 0 failed; ...`, pytest's, `1 failed, 11 passed, 2 errors in 9.42s`, and
# hil's, `scenarios: 12 passed, 0 failed, ...`. A check of a script is a line that begins with `ok: `.
count() {
    awk '/^ok: / { passed++ }
        /^test result: / || /^scenarios: / || /^[0-9]+ (passed|failed|error).* in [0-9.]+s/ {
            for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) passed += $(i - 1); if ($i ~ /^(failed|error)/) failed += $(i - 1) } }
        END { printf "tests: %d passed, %d failed\n", passed, failed }' "$log"
}

# shellcheck disable=SC2317 # called by way of step
scripts() { git ls-files -z -- '*.sh' .ci/run | xargs -0 shellcheck -x; }

# The core set needs the product on this computer only. All of it needs static binaries of everything for everything, which
# take most of an hour to build once.
machines() {
    hil=$CARGO_TARGET_DIR/debug/hil
    if [ -n "${BOOTSTRAP_HIL_SET-}" ]; then
        step 'static binaries for the machines' tools/dist.sh --tests &&
            step 'scenarios on all machines' counted "$hil" run --results target/hil || return
        [ "$BOOTSTRAP_HIL_SET" = heavy ] || return 0
        step 'power cuts' counted "$hil" run --scenario power-cut --machine x86_64 --machine x86_64-rpm --repeat 50 --results target/hil-cuts &&
            step 'power cuts on ARM' counted "$hil" run --scenario power-cut --machine aarch64 --repeat 30 --results target/hil-cuts-arm
    else
        step 'scenarios on machines' counted "$hil" run --set core --machine x86_64 --machine x86_64-rpm --results target/hil
    fi
}

# shellcheck disable=SC2317 # called by way of step
# Namespaces need root; where this is not, sudo is asked, as for installing packages.
fleets() {
    as_root=
    [ "$(id -u)" = 0 ] || as_root='sudo -E'
    # shellcheck disable=SC2086 # words
    counted $as_root "$CARGO_TARGET_DIR/debug/hil" fleet test
}

# Always the whole workspace: with another selection cargo would unify features differently and build everything again.
run() {
    step 'format' cargo fmt --all --check &&
        step 'shell scripts' scripts &&
        step 'lints' cargo clippy --workspace --all-targets --locked --quiet -- -D warnings &&
        step 'building tests and binaries' cargo test --workspace --locked --quiet --no-run &&
        step 'unit and integration tests' counted cargo test --workspace --locked --quiet --no-fail-fast &&
        step 'the lab by boto3, the AWS CLI and a replayed agent' counted sh tools/clients.sh || return
    [ "${1-}" != --fast ] || return 0
    step 'a report of 1,000 hosts in a browser' counted tools/report-page.sh || return
    step 'building the stand-in agent' build_agent &&
        machines &&
        step 'fleets of sshd' fleets &&
        step 'a run that is killed leaves nothing' counted tools/hil-crash.sh &&
        step 'scenarios on a board that is not of QEMU' counted tools/hil-board.sh
}

status=0
run "${1-}" || status=$?
count
exit "$status"
