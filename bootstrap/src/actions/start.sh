# A restart also wakes an agent that hibernates or sleeps after errors.
# shellcheck shell=sh
step_start() { agent_enable 2>&1 && agent_restart 2>&1; }
