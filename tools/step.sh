# Sourced by the scripts beside it: says what is being done, and how long it took.
# shellcheck shell=sh

# step TEXT COMMAND...
step() {
    step_text=$1
    shift
    printf '==> %s\n' "$step_text" >&2
    step_start=$(date +%s)
    step_status=0
    "$@" || step_status=$?
    step_took=$(($(date +%s) - step_start))
    if [ "$step_status" -eq 0 ]; then
        printf '    done in %s s\n' "$step_took" >&2
    else
        printf '    FAILED after %s s (exit code %s)\n' "$step_took" "$step_status" >&2
    fi
    return "$step_status"
}

# The stand-in agent, beside the other binaries: small and static, since it must run in any guest.
build_agent() {
    host=$(rustc -vV | sed -n 's/^host: //p')
    flags=CARGO_TARGET_$(printf %s "$host" | tr 'a-z-' 'A-Z_')_RUSTFLAGS
    env "$flags=-C target-feature=+crt-static" cargo build --locked --quiet --release -p lab \
        --no-default-features --features agent --bin amazon-ssm-agent --target "$host" &&
        mkdir -p "$CARGO_TARGET_DIR/debug/agent" &&
        cp -p "$CARGO_TARGET_DIR/$host/release/amazon-ssm-agent" "$CARGO_TARGET_DIR/debug/agent/amazon-ssm-agent"
}
