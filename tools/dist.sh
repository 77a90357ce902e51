#!/bin/sh
# Static binaries of bootstrap, checked, with their digests and bills of materials, in dist/. The same commit gives the same bytes.
#
#   tools/dist.sh [--profile P] [TARGET...]    all three targets, or those named: x86_64, aarch64, armv7, or a triple
#   tools/dist.sh --tests [...]                instead: bootstrap and the stand-in agent for QEMU machines, in the target directory
#   tools/dist.sh --agents [...]               instead: the stand-in agent alone
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=tools/step.sh
. tools/step.sh

# One for all clones, and apart from other builds: the standard library in it takes minutes to build.
CARGO_TARGET_DIR=${BOOTSTRAP_STATIC:-${XDG_CACHE_HOME:-$HOME/.cache}/bootstrap/static}
export CARGO_TARGET_DIR
# shellcheck source=tools/static.sh
. tools/static.sh
# shellcheck source=tools/check-static.sh
. tools/check-static.sh

usage() {
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

triple_of() {
    for triple in $all_targets; do
        case $1 in
        "$triple" | "${triple%%-*}")
            echo "$triple"
            return 0
            ;;
        esac
    done
    echo "error: there is no target $1; there are: $all_targets" >&2
    return 1
}

profile=dist
tests=
targets=
while [ $# -gt 0 ]; do
    case $1 in
    --profile)
        [ $# -gt 1 ] || usage
        profile=$2
        shift
        ;;
    --tests) tests='agent bootstrap' ;;
    --agents) tests=agent ;;
    -*) usage ;;
    *)
        target=$(triple_of "$1")
        targets="$targets $target"
        ;;
    esac
    shift
done
targets=${targets:-$all_targets}

# Where cargo puts the programs of a target.
output() { echo "$CARGO_TARGET_DIR/$1/$profile/$2"; }

# Cargo judges members of the workspace by time, relative to the workspace: in a directory that another clone has built in, it
# would take that clone's code for this one's.
forget_other_clone() {
    [ "$(cat "$CARGO_TARGET_DIR/clone" 2>/dev/null)" != "$PWD" ] || return 0
    for triple in $all_targets; do
        rm -rf "$CARGO_TARGET_DIR/$triple"/*/.fingerprint/bootstrap-* "$CARGO_TARGET_DIR/$triple"/*/.fingerprint/targets-* \
            "$CARGO_TARGET_DIR/$triple"/*/.fingerprint/lab-*
    done
    printf '%s' "$PWD" >"$CARGO_TARGET_DIR/clone"
}

build_bootstrap() { static_build "$1" --quiet --profile "$profile" -p bootstrap; }

build_static_agent() {
    static_build "$1" --quiet --profile "$profile" -p lab --no-default-features --features agent --bin amazon-ssm-agent
}

# One architecture's part of dist/.
release() {
    arch=${1%%-*}
    file=dist/bootstrap-$arch
    step "building bootstrap for $1" build_bootstrap "$1" && cp "$(output "$1" bootstrap)" "$file" &&
        step "checking $file" check_bootstrap "$file" "$1" &&
        bill_of "$1" "$file" >"$file.cdx.json"
}

# One architecture's programs for QEMU machines. Times are kept, by which a lab knows whether packages must be made again.
for_tests() {
    arch=${1%%-*}
    place=$CARGO_TARGET_DIR/hil/$arch
    mkdir -p "$place" &&
        step "building the stand-in agent for $1" build_static_agent "$1" &&
        cp -p "$(output "$1" amazon-ssm-agent)" "$place" && check_static "$place/amazon-ssm-agent" "$1" || return
    [ "$tests" != agent ] || return 0
    step "building bootstrap for $1" build_bootstrap "$1" &&
        cp -p "$(output "$1" bootstrap)" "$place" && check_bootstrap "$place/bootstrap" "$1"
}

mkdir -p "$CARGO_TARGET_DIR"
# shellcheck disable=SC2086 # a list of targets
choose_route $targets
[ -n "$tests" ] || check_python
# It may install what the other checks take.
prepare_route
runs=$targets
[ "$tests" != agent ] || runs=
# shellcheck disable=SC2086
check_tools $runs
forget_other_clone

BOOTSTRAP_COMMIT=$(git describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null || echo unknown)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export BOOTSTRAP_COMMIT SOURCE_DATE_EPOCH

if [ -n "$tests" ]; then
    for target in $targets; do
        for_tests "$target"
    done
    exit 0
fi
# What an earlier call built would get into the digests of this one.
rm -rf dist
mkdir dist
for target in $targets; do
    release "$target"
done
(cd dist && sha256sum -- bootstrap-* >SHA256SUMS && cat SHA256SUMS)
