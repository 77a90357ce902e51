//! The agent's version: four numbers that compare as numbers, so that 3.3.1000.0 is newer than 3.3.987.0.

use std::fmt;
use std::str::FromStr;

/// A version of the agent, such as `3.3.987.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentVersion([u32; 4]);

/// A text that is no agent version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an agent version like 3.3.987.0")]
pub struct InvalidVersion(pub String);

impl AgentVersion {
    /// A version of its four parts.
    #[must_use]
    pub const fn new(parts: [u32; 4]) -> Self {
        Self(parts)
    }

    /// From a package's version, whose revision is no part of the agent's: `3.3.987.0-1`.
    pub fn from_package(text: &str) -> Result<Self, InvalidVersion> {
        match text.split_once('-') {
            Some((version, revision)) if !revision.is_empty() => version.parse(),
            Some(_) => Err(InvalidVersion(text.to_owned())),
            None => text.parse(),
        }
        .map_err(|_| InvalidVersion(text.to_owned()))
    }
}

impl FromStr for AgentVersion {
    type Err = InvalidVersion;

    /// Takes one to four dot-separated numbers; missing ones are 0. White space around is ignored.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidVersion(text.trim().to_owned());
        let mut parts = [0_u32; 4];
        let mut slots = parts.iter_mut();
        for number in text.trim().split('.') {
            let digits_only = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            match (slots.next(), number.parse()) {
                (Some(slot), Ok(value)) if digits_only => *slot = value,
                _ => return Err(invalid()),
            }
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for AgentVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch, build] = self.0;
        f.pad(&format!("{major}.{minor}.{patch}.{build}"))
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for AgentVersion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for AgentVersion {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> AgentVersion {
        text.parse().unwrap()
    }

    #[test]
    fn versions_compare_as_numbers_and_not_as_text() {
        assert!(version("3.3.987.0") < version("3.3.1000.0"));
        assert!(version("3.10.0.0") > version("3.9.9999.9"));
        assert!(version("2.9999.9999.9999") < version("3.0.0.0"));
        assert_eq!(version("3.3"), version("3.3.0.0"));
    }

    #[test]
    fn a_version_is_shown_as_it_was_read() {
        assert_eq!(version(" 3.3.987.0\n").to_string(), "3.3.987.0");
    }

    #[test]
    fn a_package_revision_is_left_out() {
        assert_eq!(AgentVersion::from_package("3.3.987.0-1").unwrap(), version("3.3.987.0"));
        assert_eq!(AgentVersion::from_package("3.3.987.0").unwrap(), version("3.3.987.0"));
        assert!(AgentVersion::from_package("3.3.987.0-").is_err());
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in
            ["", ".", "3.", "a.b", "3.3.987.0.1", "+3.3", "-1", "3.3.99999999999.0", "1:3.3.0.0", "3 .3"]
        {
            assert_eq!(text.parse::<AgentVersion>(), Err(InvalidVersion(text.to_owned())), "{text:?}");
        }
    }
}
