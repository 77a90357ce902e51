//! `dpkg-query -W -f '${db:Status-Status} ${Version}' amazon-ssm-agent`, or what of `${Status} ${Version}` follows the first
//! two words: one line, such as `installed 3.3.987.0-1`.

use super::PackageState;
use crate::AgentVersion;

/// What dpkg says of the agent's package; it prints nothing for a package that it has never heard of.
#[must_use]
pub fn package_state(text: &str) -> PackageState {
    let text = text.trim();
    let (status, version) = text.split_once(' ').unwrap_or((text, ""));
    match status {
        "installed" => {
            AgentVersion::from_package(version.trim()).map_or(PackageState::Broken, PackageState::Installed)
        }
        "" | "not-installed" | "config-files" => PackageState::Absent,
        // half-installed, unpacked, half-configured, triggers-awaited, triggers-pending
        _ => PackageState::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_installed_package_has_a_version() {
        let installed = PackageState::Installed(AgentVersion::new([3, 3, 987, 0]));
        assert_eq!(package_state("installed 3.3.987.0-1"), installed);
        assert_eq!(package_state("installed 3.3.987.0\n"), installed);
        for text in ["", "\n", "not-installed ", "config-files 3.3.987.0-1"] {
            assert_eq!(package_state(text), PackageState::Absent, "{text:?}");
        }
    }

    #[test]
    fn what_dpkg_did_not_bring_to_its_end_is_broken() {
        for status in ["half-installed", "unpacked", "half-configured", "triggers-awaited", "installed"] {
            assert_eq!(package_state(&format!("{status} ")), PackageState::Broken, "{status}");
        }
    }
}
