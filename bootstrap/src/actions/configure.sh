# $config is the whole new file; it was merged on the controller from what was found here.
# shellcheck shell=sh disable=SC2154 # variables come before this file
step_configure() {
    directory=/etc/amazon/ssm
    mkdir -p $directory || return
    part=$directory/.amazon-ssm-agent.json.bootstrap
    # Keeps owner and mode.
    if [ -e "$directory/amazon-ssm-agent.json" ]; then
        cp -p "$directory/amazon-ssm-agent.json" "$part" || return
    fi
    printf '%s\n' "$config" >"$part" && sync && mv "$part" $directory/amazon-ssm-agent.json
}
