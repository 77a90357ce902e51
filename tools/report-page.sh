#!/bin/sh
# The page of a large fleet's report in a real browser, headless: what it shows, whether hostile text stays text, and how
# long a search takes. HOSTS= for another number than 1000; SHOTS=DIR keeps pictures. Each check is a line that begins with `ok: `.
set -eu
cd "$(dirname "$0")/.."
tools/setup.sh --browser
bootstrap=${BOOTSTRAP:-${CARGO_TARGET_DIR:-target}/debug/bootstrap}
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
python3 tools/report-sample.py "${HOSTS:-1000}" >"$room/report.json"
"$bootstrap" report show "$room/report.json" --output html >"$room/report.html"
python3 tools/report-page.py "$room/report.html" "${HOSTS:-1000}" ${SHOTS:+"$SHOTS"}
