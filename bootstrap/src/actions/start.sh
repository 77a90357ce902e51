# A restart also wakes an agent that hibernates or sleeps after errors.
# shellcheck shell=sh disable=SC2154 # variables come before this file
step_start() {
    systemctl enable "$agent_unit" </dev/null 2>&1 || return
    systemctl restart "$agent_unit" </dev/null 2>&1
}
