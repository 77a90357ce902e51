#!/bin/sh
# bootstrap beside a tuned shell loop, on fleets of real sshd. See docs/fleet.md; arguments are those of `hil fleet bench`.
# Measured is what ships, dist/bootstrap-ARCH, if `make dist` has built it of this commit; else a build for this machine.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=tools/step.sh
. tools/step.sh

shipped=dist/bootstrap-$(uname -m)
commit=$(git describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null || echo unknown)
shipped_commit=$("$shipped" --version --verbose 2>/dev/null | sed -n 's/^commit: *//p')

programs=$CARGO_TARGET_DIR/bench
mkdir -p "$programs"
if [ -n "$shipped_commit" ] && [ "$shipped_commit" = "$commit" ]; then
    built=$CARGO_TARGET_DIR/debug
    step 'building ssm-lab and hil' cargo build --workspace --locked --quiet --bins
    measured=$shipped
else
    built=$CARGO_TARGET_DIR/release
    step 'building bootstrap, ssm-lab and hil' cargo build --workspace --release --locked --quiet --bins
    measured=$built/bootstrap
fi
printf '==> measuring %s\n' "$measured" >&2
step 'building the stand-in agent' build_agent
cp "$built/hil" "$built/ssm-lab" "$programs/" && cp "$measured" "$programs/bootstrap"
as_root=
[ "$(id -u)" = 0 ] || as_root='sudo -E'
# shellcheck disable=SC2086 # words
$as_root env BOOTSTRAP_LAB_AGENT="$CARGO_TARGET_DIR/debug/agent/amazon-ssm-agent" "$programs/hil" fleet bench "$@"
