# What is asked of upstart, which fails where nothing is left to do. service_systemd.sh has the same functions.
# shellcheck shell=sh disable=SC2154 # $agent_unit comes before this file
agent_state() { initctl status "$agent_unit" 2>&1; }
agent_runs() { case $(agent_state) in *' start/running'*) ;; *) return 1 ;; esac }
agent_stop() {
    case $(agent_state) in
    *' stop/waiting'*) ;;
    *) initctl stop "$agent_unit" </dev/null ;;
    esac
}
agent_start() { agent_runs || initctl start "$agent_unit" </dev/null; }
agent_restart() { agent_stop && initctl start "$agent_unit" </dev/null; }
# Files about the job have changed.
agent_reread() { initctl reload-configuration </dev/null; }
# A job starts at boot by itself.
agent_enable() { :; }
