//! `snap list amazon-ssm-agent`, `snap services amazon-ssm-agent`, and the `meta/snap.yaml` that every snap holds.
//! The commands print a header and a row, in columns that have changed over time but for the first ones.

use super::ServiceState;
use crate::{AgentVersion, agent::PACKAGE};

/// The version in the agent's row of `snap list`: `Name Version Rev Tracking Publisher Notes`. With `--all`, older
/// revisions that are kept have rows, too, and are `disabled`.
#[must_use]
pub fn listed_version(text: &str) -> Option<AgentVersion> {
    let is_agents = |line: &&str| line.split(' ').next() == Some(PACKAGE);
    let mut rows = text.lines().filter(is_agents);
    let row = rows.clone().find(|row| !row.contains("disabled")).or_else(|| rows.next())?;
    row.split_whitespace().nth(1)?.parse().ok()
}

/// The version that `meta/snap.yaml` names; for hosts where `snap` is gone or does not answer.
#[must_use]
pub fn version_in_meta(text: &str) -> Option<AgentVersion> {
    let value = text.lines().find_map(|line| line.strip_prefix("version:"))?;
    value.trim().trim_matches(['\'', '"']).parse().ok()
}

/// The agent's row of `snap services`: `Service Startup Current Notes`.
#[must_use]
pub fn service_state(text: &str) -> ServiceState {
    let mut rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.find_map(|row| match row.as_slice() {
        [service, startup, current, ..] if service.starts_with(PACKAGE) => {
            Some(ServiceState { active: *current == "active", enabled: *startup == "enabled" })
        }
        _ => None,
    })
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "Name              Version    Rev    Tracking         Publisher  Notes\n\
                        amazon-ssm-agent  3.3.987.0  9881   latest/stable/…  aws✓       classic\n";

    #[test]
    fn the_version_is_in_the_second_column() {
        assert_eq!(listed_version(LIST), Some(AgentVersion::new([3, 3, 987, 0])));
        let all = "amazon-ssm-agent  3.1.1188.0     5656   latest/stable/…  aws✓          disabled,classic\n\
                   amazon-ssm-agent  3.1.1732.0     6312   latest/stable/…  aws✓          classic\n";
        assert_eq!(listed_version(all), Some(AgentVersion::new([3, 1, 1732, 0])));
        assert_eq!(listed_version("error: no matching snaps installed\n"), None);
        assert_eq!(listed_version("amazon-ssm-agent-other  1.0  1  -  x  -\n"), None);
        assert_eq!(listed_version("amazon-ssm-agent\n"), None);
    }

    #[test]
    fn the_snap_itself_names_its_version() {
        let meta = "name: amazon-ssm-agent\nversion: 3.3.987.0\nsummary: Agent\n";
        assert_eq!(version_in_meta(meta), Some(AgentVersion::new([3, 3, 987, 0])));
        assert_eq!(version_in_meta("version: '3.3.987.0'\n"), Some(AgentVersion::new([3, 3, 987, 0])));
        assert_eq!(version_in_meta("name: amazon-ssm-agent\n"), None);
    }

    #[test]
    fn startup_and_current_are_told_apart() {
        let services = |row: &str| {
            service_state(&format!("Service                            Startup   Current   Notes\n{row}\n"))
        };
        let state = |active, enabled| ServiceState { active, enabled };
        assert_eq!(services("amazon-ssm-agent.amazon-ssm-agent  enabled   active    -"), state(true, true));
        assert_eq!(services("amazon-ssm-agent.amazon-ssm-agent  disabled  inactive  -"), state(false, false));
        assert_eq!(services("amazon-ssm-agent.amazon-ssm-agent  enabled   inactive  -"), state(false, true));
        assert_eq!(service_state(""), state(false, false));
    }
}
