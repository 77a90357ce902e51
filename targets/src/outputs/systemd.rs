//! `systemctl show -p ActiveState -p UnitFileState UNIT`: a `Key=value` line for each property, in any order. A unit
//! that is not there has properties, too.

use super::ServiceState;

/// What systemd says of a unit.
#[must_use]
pub fn service_state(text: &str) -> ServiceState {
    let value = |key: &str| {
        let of_line = |line: &str| Some(line.trim().strip_prefix(key)?.strip_prefix('=')?.to_owned());
        text.lines().find_map(of_line).unwrap_or_default()
    };
    ServiceState {
        // `reloading` runs; `activating` waits for its next start or has not come up yet.
        active: matches!(value("ActiveState").as_str(), "active" | "reloading"),
        // `enabled-runtime` ends with the next boot.
        enabled: value("UnitFileState") == "enabled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_runs_and_starts_at_boot_independently() {
        let cases = [
            ("ActiveState=active\nUnitFileState=enabled\n", (true, true)),
            ("UnitFileState=disabled\nActiveState=active\n", (true, false)),
            ("ActiveState=inactive\nUnitFileState=enabled\n", (false, true)),
            ("ActiveState=failed\nUnitFileState=enabled-runtime\n", (false, false)),
            ("ActiveState=activating\nUnitFileState=masked\n", (false, false)),
            // A unit that is not there; systemd of RHEL 7 leaves the empty property out.
            ("ActiveState=inactive\nUnitFileState=\n", (false, false)),
            ("ActiveState=inactive\n", (false, false)),
            ("", (false, false)),
        ];
        for (text, (active, enabled)) in cases {
            assert_eq!(service_state(text), ServiceState { active, enabled }, "{text:?}");
        }
    }
}
