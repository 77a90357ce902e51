#!/bin/sh
# The tests of the lab by unmodified clients: boto3, the AWS CLI, and an agent and a plugin that share no code with it.
# Arguments go to pytest. The lab under test is $SSM_LAB, by default the debug build.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=tools/step.sh
. tools/step.sh

clients=lab/tests/clients
cache=${XDG_CACHE_HOME:-$HOME/.cache}/bootstrap
SSM_LAB=${SSM_LAB:-${CARGO_TARGET_DIR:-$cache/target}/debug/ssm-lab}
if [ ! -x "$SSM_LAB" ]; then
    echo "error: there is no $SSM_LAB; build it with: cargo build -p lab --bin ssm-lab" >&2
    exit 1
fi

# An environment is for one list of packages and one interpreter, and is never changed.
key=$({ cat "$clients/requirements.txt" && python3 --version; } | sha256sum | cut -c1-16)
venv=$cache/clients/$key

# shellcheck disable=SC2317 # called by way of step
make_venv() {
    rm -rf "$venv"
    python3 -m venv "$venv" &&
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --only-binary :all: \
            --requirement "$clients/requirements.txt" &&
        touch "$venv/complete"
}
[ -e "$venv/complete" ] || step 'installing boto3, the AWS CLI and pytest' make_venv

# No setting of the user's, AWS's above all, reaches the clients.
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
status=0
env -i PATH="$PATH" HOME="$home" TMPDIR="$home" LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 AWS_EC2_METADATA_DISABLED=true \
    SSM_LAB="$SSM_LAB" "$venv/bin/python" -m pytest -c "$clients/pytest.ini" "${@:-$clients}" || status=$?
exit "$status"
