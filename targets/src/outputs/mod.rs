//! Readers of what a host's own tools print of the agent: package managers and service managers.
//!
//! Each tool has a file. They stand apart from the tables because their input comes from a machine that may be
//! broken or hostile: any text is read, and what cannot be is the least that is certain.

pub mod dpkg;
pub mod rpm;
pub mod snap;
pub mod systemd;
pub mod upstart;

use crate::AgentVersion;

/// What a package manager says of the agent's package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageState {
    /// It is not installed.
    Absent,
    /// An install or a removal did not come to its end.
    Broken,
    /// It is installed.
    Installed(AgentVersion),
}

/// What a service manager says of the agent's service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ServiceState {
    /// It runs.
    pub active: bool,
    /// It starts at boot.
    pub enabled: bool,
}
