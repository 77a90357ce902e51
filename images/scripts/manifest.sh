#!/bin/sh
# Lists the packages of this root. Runs inside the root, before a script that hides dpkg. Usage: manifest.sh OUT
set -eu

# shellcheck disable=SC2016 # fields of dpkg-query
dpkg-query -W -f '${Package} ${Version} ${Architecture}\n' > "$1"
