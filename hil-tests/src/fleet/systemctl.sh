#!/bin/sh
# Stands for systemctl on hosts that have no systemd, for the one unit they are about. With /etc/fleet-agent-seconds an agent
# ends by itself after so many seconds: thousands of them would not fit into one machine's memory.
state=/run/fleet-agent
agent=/usr/bin/amazon-ssm-agent

running() { [ -s "$state.pid" ] && kill -0 "$(cat "$state.pid")" 2>/dev/null; }

start() {
    running && return 0
    [ -x $agent ] || {
        echo "Failed to start amazon-ssm-agent.service: Unit amazon-ssm-agent.service not found." >&2
        return 5
    }
    seconds=$(cat /etc/fleet-agent-seconds 2>/dev/null)
    # As by systemd, it has nothing of whoever asks for it: neither a session nor a file, of which one may be a lock.
    setsid ${seconds:+timeout "$seconds"} $agent </dev/null >>/var/log/fleet-agent.log 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
    echo $! >"$state.pid"
}

stop() {
    running || return 0
    pid=$(cat "$state.pid")
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    rm -f "$state.pid"
}

enabled() { [ -e /etc/systemd/system/multi-user.target.wants/amazon-ssm-agent.service ]; }

verb=
for word in "$@"; do
    case $word in
    -*) ;;
    *)
        verb=$word
        break
        ;;
    esac
done
case $verb in
show)
    running && echo ActiveState=active || echo ActiveState=inactive
    enabled && echo UnitFileState=enabled || echo UnitFileState=disabled
    ;;
is-active)
    if running; then echo active; else
        echo inactive
        exit 3
    fi
    ;;
is-enabled)
    if enabled; then echo enabled; else
        echo disabled
        exit 1
    fi
    ;;
start) start ;;
stop) stop ;;
restart | try-restart) stop && start ;;
enable)
    mkdir -p /etc/systemd/system/multi-user.target.wants
    ln -sf /lib/systemd/system/amazon-ssm-agent.service /etc/systemd/system/multi-user.target.wants/
    ;;
disable) rm -f /etc/systemd/system/multi-user.target.wants/amazon-ssm-agent.service ;;
*) ;;
esac
