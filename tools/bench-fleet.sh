#!/bin/sh
# bootstrap beside a tuned shell loop, on fleets of real sshd. See docs/fleet.md; arguments are those of `hil fleet bench`.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=tools/step.sh
. tools/step.sh

step 'building bootstrap, ssm-lab and hil' cargo build --workspace --release --locked --quiet --bins
step 'building the stand-in agent' build_agent
programs=$CARGO_TARGET_DIR/release
as_root=
[ "$(id -u)" = 0 ] || as_root='sudo -E'
# shellcheck disable=SC2086 # words
$as_root env BOOTSTRAP_LAB_AGENT="$CARGO_TARGET_DIR/debug/agent/amazon-ssm-agent" "$programs/hil" fleet bench "$@"
