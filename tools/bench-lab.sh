#!/bin/sh
# A thousand simulated agents at the real agent's pace on one endpoint: what that costs the endpoint. See docs/performance.md.
#   tools/bench-lab.sh [AGENTS] [MINUTES]
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=tools/step.sh
. tools/step.sh

agents=${1:-1000}
minutes=${2:-6}
most_kib=307200 # 300 MB
most_percent=20 # of one core
ticks=$(getconf CLK_TCK)
# Each agent holds an HTTP connection and its control channel.
# shellcheck disable=SC3045 # every sh on Linux has it
ulimit -n $((agents * 2 + 500))

step 'building ssm-lab' cargo build --release --locked --quiet -p lab --bin ssm-lab
lab=${CARGO_TARGET_DIR:-target}/release/ssm-lab

dir=$(mktemp -d)
endpoint=
swarm=
stop() {
    [ -z "$swarm" ] || kill "$swarm" 2>/dev/null || true
    [ -z "$endpoint" ] || kill "$endpoint" 2>/dev/null || true
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT TERM

"$lab" serve --tls-listen 127.0.0.1:0 --state-dir "$dir/state" --ready-file "$dir/ready.json" >/dev/null 2>"$dir/log" &
endpoint=$!
while [ ! -e "$dir/ready.json" ]; do
    kill -0 "$endpoint" 2>/dev/null || {
        cat "$dir/log" >&2
        exit 1
    }
    sleep 0.1
done
url=$(sed -n 's/.*"tls_endpoint": "\([^"]*\)".*/\1/p' "$dir/ready.json")
empty_kib=$(awk '/^VmRSS:/ {print $2}' "/proc/$endpoint/status")

env -u AWS_REGION -u SSM_STANDIN_TIME_FACTOR \
    "$lab" swarm --endpoint "$url" --state-dir "$dir/state" --count "$agents" --spread 30s --create-activation \
    --run-for "${minutes}m" --census >"$dir/table" 2>"$dir/progress" &
swarm=$!
began=$(date +%s)

# User and system time of the endpoint in clock ticks; the command's name, which may hold blanks, is cut off.
cpu() { sed 's/.*) //' "/proc/$endpoint/stat" | awk '{print $12 + $13}'; }

start_up=
while kill -0 "$swarm" 2>/dev/null; do
    if [ -z "$start_up" ] && grep -q "online $agents, connected $agents," "$dir/progress"; then
        start_up=$(($(date +%s) - began))
        start_cpu=$(cpu)
        # The steady state begins once the storm is over.
        sleep 10
        steady_cpu=$(cpu)
        steady_from=$(date +%s)
    fi
    if [ -n "$start_up" ]; then
        # The census at the end is no steady state: the last sample before the swarm's time is up counts.
        now=$(date +%s)
        if [ $((now - began)) -lt $((minutes * 60 - 2)) ]; then
            last_cpu=$(cpu)
            last=$now
        fi
    fi
    sleep 1
done
failed=0
wait "$swarm" || failed=$?
swarm=
peak_kib=$(awk '/^VmHWM:/ {print $2}' "/proc/$endpoint/status")
rss_kib=$(awk '/^VmRSS:/ {print $2}' "/proc/$endpoint/status")

cat "$dir/table"
[ "$failed" -eq 0 ] || {
    echo "error: the swarm was not complete" >&2
    cat "$dir/progress" >&2
    exit "$failed"
}
[ "${last:-0}" -gt "${steady_from:-0}" ] || {
    echo "error: no steady state within $minutes minutes" >&2
    exit 1
}
percent=$(awk -v t=$((last_cpu - steady_cpu)) -v hz="$ticks" -v s=$((last - steady_from)) 'BEGIN {printf "%.2f", 100 * t / hz / s}')
start_seconds=$(awk -v t="$start_cpu" -v hz="$ticks" 'BEGIN {printf "%.1f", t / hz}')
cat <<END
endpoint: memory when empty      $((empty_kib / 1024)) MiB
endpoint: memory at its peak     $((peak_kib / 1024)) MiB (limit $((most_kib / 1024)))
endpoint: memory at the end      $((rss_kib / 1024)) MiB
endpoint: CPU time of start-up   $start_seconds s
endpoint: CPU in steady state    $percent % of one core (limit $most_percent), over $((last - steady_from)) s
all agents online and connected  $start_up s after the swarm's start (30 s of them the spread)
END
if [ "$peak_kib" -ge "$most_kib" ] || awk -v p="$percent" -v most="$most_percent" 'BEGIN {exit p < most}'; then
    echo "error: beyond the limit" >&2
    exit 1
fi
