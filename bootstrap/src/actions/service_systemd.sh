# What is asked of systemd. service_upstart.sh has the same functions; one of the two is sent.
# shellcheck shell=sh disable=SC2154 # $agent_unit comes before this file
agent_state() { systemctl is-active "$agent_unit" 2>/dev/null; }
agent_runs() { [ "$(agent_state)" = active ]; }
agent_stop() { systemctl stop "$agent_unit" </dev/null; }
agent_start() { systemctl start "$agent_unit" </dev/null; }
agent_restart() { systemctl restart "$agent_unit" </dev/null; }
# Files about the unit have changed.
agent_reread() { systemctl daemon-reload </dev/null; }
# The package has mostly done it, and to do it again makes systemd read all units again: seconds, on a Pi.
agent_enable() {
    [ "$(systemctl is-enabled "$agent_unit" 2>/dev/null)" = enabled ] || systemctl enable "$agent_unit" </dev/null
}
