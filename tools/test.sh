#!/bin/sh
# Every test, the fast ones first. --fast leaves out what needs QEMU. Ends with a line that counts what ran.
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

# Cargo's closing lines, `test result: ok. 12 passed; 0 failed; ...`, and pytest's, `1 failed, 11 passed, 2 errors in 9.42s`.
count() {
    awk '/^test result: / || /^[0-9]+ (passed|failed|error).* in [0-9.]+s/ {
            for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) passed += $(i - 1); if ($i ~ /^(failed|error)/) failed += $(i - 1) } }
        END { printf "tests: %d passed, %d failed\n", passed, failed }' "$log"
}

# shellcheck disable=SC2317 # called by way of step
scripts() { git ls-files -z -- '*.sh' .ci/run | xargs -0 shellcheck -x; }

# Always the whole workspace: with another selection cargo would unify features differently and build everything again.
run() {
    step 'format' cargo fmt --all --check &&
        step 'shell scripts' scripts &&
        step 'lints' cargo clippy --workspace --all-targets --features hil-tests/qemu --locked --quiet -- -D warnings &&
        step 'building tests and binaries' cargo test --workspace --locked --quiet --no-run &&
        step 'unit and integration tests' counted cargo test --workspace --locked --quiet --no-fail-fast &&
        step 'the lab by boto3, the AWS CLI and a replayed agent' counted sh tools/clients.sh || return
    [ "${1-}" != --fast ] || return 0
    step 'building the stand-in agent' build_agent &&
        step 'QEMU scenarios' counted cargo test --workspace --features hil-tests/qemu --locked --test scenarios --no-fail-fast -- \
            --test-threads=1 --nocapture
}

status=0
run "${1-}" || status=$?
count
exit "$status"
