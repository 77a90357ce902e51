#!/bin/sh
# Two guests and a local SSM endpoint, then the product on them. Run again: what is up is reused, nothing is changed.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=tools/step.sh
. tools/step.sh

step 'building bootstrap, ssm-lab and hil' cargo build --workspace --locked --quiet --bins
step 'building the stand-in agent' build_agent
bin=$CARGO_TARGET_DIR/debug
inventory=$(step 'bringing the lab up' "$bin/hil" lab up)
echo "the inventory is $inventory" >&2

# shellcheck source=/dev/null
. "$(dirname "$inventory")/env"
step "bootstrap --inventory $inventory" "$bin/bootstrap" --inventory "$inventory"
echo "by hand, in a shell of yours: PATH=$bin:\$PATH; . ${inventory%/*}/env" >&2
