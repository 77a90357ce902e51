//! `rpm -q amazon-ssm-agent`, plain or with `--qf '%{VERSION}\n'`: a line for each installed package of the name.

use super::PackageState;
use crate::{AgentVersion, agent::PACKAGE};

/// What rpm says of the agent's package.
///
/// Two versions at once are what an interrupted upgrade leaves in the database.
#[must_use]
pub fn package_state(text: &str) -> PackageState {
    let mut packages = text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_remark(line));
    match (packages.next(), packages.next()) {
        (None, _) => PackageState::Absent,
        (Some(package), None) => version(package).map_or(PackageState::Broken, PackageState::Installed),
        (Some(_), Some(_)) => PackageState::Broken,
    }
}

/// "package amazon-ssm-agent is not installed" is printed where packages are; Debian's rpm adds remarks of its own.
fn is_remark(line: &str) -> bool {
    line.contains("is not installed")
        || ["rpm: ", "error: ", "warning: "].iter().any(|sign| line.starts_with(sign))
}

/// Of `3.3.987.0`, or of a full name such as `amazon-ssm-agent-3.3.987.0-1.x86_64`.
fn version(package: &str) -> Option<AgentVersion> {
    let rest = package.strip_prefix(PACKAGE).map_or(package, |rest| rest.trim_start_matches('-'));
    AgentVersion::from_package(rest).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_and_a_full_name_say_the_same() {
        let installed = PackageState::Installed(AgentVersion::new([3, 3, 987, 0]));
        for text in ["3.3.987.0", "3.3.987.0\n", "amazon-ssm-agent-3.3.987.0-1.x86_64\n"] {
            assert_eq!(package_state(text), installed, "{text:?}");
        }
    }

    #[test]
    fn rpm_says_in_a_sentence_that_there_is_none() {
        assert_eq!(package_state("package amazon-ssm-agent is not installed\n"), PackageState::Absent);
        assert_eq!(package_state(""), PackageState::Absent);
    }

    #[test]
    fn two_versions_at_once_are_an_upgrade_that_was_cut_off() {
        assert_eq!(package_state("3.3.987.0\n3.3.1000.0\n"), PackageState::Broken);
        assert_eq!(package_state("no version"), PackageState::Broken);
    }
}
