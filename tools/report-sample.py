"""Prints the report of a fleet that never was, as JSON: most hosts good, some with every kind of trouble, and one that is hostile."""

import json
import random
import sys

HOSTILE = "</pre></script></details><script>window.hostile = 1</script><img src=x onerror='window.hostile = 1'>\x1b[31m"
FRESH = ["connect", "observe", "fetch", "plan", "upload", "configure", "install", "register", "start", "check", "online", "tag"]
LASTS = {"connect": 0.4, "observe": 0.9, "fetch": 0.1, "plan": 0.3, "upload": 6, "configure": 0.2, "install": 9, "register": 3,
         "start": 2, "check": 0.8, "online": 25, "tag": 0.6}
DONE = ["write /etc/amazon/ssm/amazon-ssm-agent.json", "install amazon-ssm-agent 3.3.987.0", "register (not registered)",
        "start and enable the agent"]


def trouble(kind, number):
    """Outcome, step, why, lines, hint, and the last step that it came to."""
    address = f"10.{number // 60000}.{number // 250 % 240}.{number % 250}:22"
    return {
        "timeout": ("unreachable", None, f"connection to {address} timed out after 15 s", [],
                    "is the host switched on, and is a firewall between?", "connect"),
        "refused": ("unreachable", None, f"connection to {address} was refused", [], "is sshd running there, on this port?", "connect"),
        "host key": ("failed", "connect", "the host key has changed: known_hosts line 17 has another one", [],
                     "if the host was installed anew, remove the old key with `ssh-keygen -R`", "connect"),
        "disk": ("failed", "install", "`install` ended with exit code 1",
                 ["Unpacking amazon-ssm-agent (3.3.987.0-1) ...",
                  "dpkg: error processing archive amazon-ssm-agent.deb (--install):",
                  " cannot copy extracted data for './usr/bin/ssm-agent-worker': failed to write (No space left on device)"],
                 "free some space on the host and run the same command again", "install"),
        "sudo": ("failed", "plan", "sudo asks for a password", [], "give admin a rule with NOPASSWD, or log in as root", "plan"),
        "offline": ("registered", None, f"SSM says ConnectionLost of mi-{number:017x} after 5m; the host says: dial tcp: i/o timeout",
                    [], "the host cannot reach the SSM endpoint; check its route, DNS, proxy and firewall for port 443 outbound", "online"),
        "hostile": ("failed", "install", HOSTILE, [HOSTILE, "a second line"], HOSTILE, "install"),
    }[kind]


def host(number, began, chance):
    bad = {3: "hostile"}.get(number)
    if bad is None and chance.random() < 0.06:
        bad = chance.choice(["timeout", "timeout", "refused", "host key", "disk", "sudo", "offline"])
    converged = bad is None and chance.random() < 0.5
    outcome, step, why, lines, hint, last = trouble(bad, number) if bad else ("online", None, None, [], None, "tag")
    steps = ["connect", "observe", "fetch", "plan"] if converged else FRESH[: FRESH.index(last) + 1]
    at, timeline = began, []
    for name in steps:
        took = 15 if bad == "timeout" else LASTS[name] * chance.uniform(0.6, 1.8)
        timeline.append({"step": name, "began": round(at, 3), "ended": round(at + took, 3)})
        at += took
    done = 0 if converged else sum(FRESH.index(name) <= FRESH.index(last) for name in ["install", "register", "start", "check"])
    return {
        "host": f"{'pi' if number % 3 else 'rack'}-{number:04}.{['berlin', 'ulm', 'oslo'][number % 3]}",
        "environment": "prod" if number % 4 else "dev", "outcome": outcome, "changed": done > 0,
        "node": f"mi-{chance.getrandbits(68):017x}" if outcome in ("online", "registered") else None,
        "actions": DONE[:done], "step": step, "why": why, "lines": lines, "hint": hint,
        "execs": 0 if outcome == "unreachable" else 1 if converged else 4,
        "seconds": round(at - began, 3), "position": number, "timeline": timeline,
    }, at


def main():
    count, chance = int(sys.argv[1]), random.Random(7)
    workers, hosts = [0.02 * slot for slot in range(100)], []
    for number in range(1, count + 1):
        began = min(workers)
        entry, ended = host(number, began, chance)
        workers[workers.index(began)] = ended
        hosts.append(entry)
    counts = {word: sum(entry["outcome"] == word for entry in hosts)
              for word in ["online", "planned", "registered", "failed", "unreachable", "skipped"]}
    print(json.dumps({
        "schema": 1, "run": "20261122T103105Z-5f3a", "merged": [],
        "inventory": {"path": "/etc/fleet/hosts.toml", "digest": "sha256:" + "0" * 64, "hosts": count},
        "started": "2026-11-22T10:31:05Z", "seconds": round(max(entry["timeline"][-1]["ended"] for entry in hosts) + 1, 3),
        "dry_run": False, "interrupted": False,
        "counts": {"hosts": count, "changed": sum(entry["changed"] for entry in hosts), **counts},
        "hosts": hosts, "activations_left": [],
    }, indent=1))


main()
