//! What starts and supervises services on a host, and whether the agent's packages bring a unit for it.

use std::fmt;
use std::str::FromStr;

/// The service manager that a host runs as process 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum ServiceManager {
    /// systemd; the agent's packages bring a unit.
    Systemd,
    /// upstart, of Ubuntu 14.04 and Amazon Linux 1; the agent's packages bring a job.
    Upstart,
    /// OpenRC, of Alpine and Gentoo.
    OpenRc,
    /// System V init scripts.
    SysV,
    /// Nothing supervises services here, as in most containers.
    None,
}

/// A name of a service manager that we do not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("service manager {0:?} is not known")]
pub struct UnknownServiceManager(pub String);

impl ServiceManager {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Systemd, Self::Upstart, Self::OpenRc, Self::SysV, Self::None];

    /// The name as facts and reports write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Upstart => "upstart",
            Self::OpenRc => "openrc",
            Self::SysV => "sysv",
            Self::None => "none",
        }
    }

    /// Why the agent cannot be run under this service manager; nothing where it can.
    #[must_use]
    pub const fn unsupported_reason(self) -> Option<&'static str> {
        match self {
            Self::Systemd | Self::Upstart => None,
            Self::OpenRc | Self::SysV => {
                Some("the agent's packages bring a service only for systemd and upstart")
            }
            Self::None => {
                Some("no service manager runs as process 1, so nothing would keep the agent running")
            }
        }
    }
}

impl fmt::Display for ServiceManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ServiceManager {
    type Err = UnknownServiceManager;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|manager| manager.name() == text.trim())
            .ok_or_else(|| UnknownServiceManager(text.trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_manager_is_read_back_from_its_name() {
        for manager in ServiceManager::ALL {
            assert_eq!(manager.to_string().parse(), Ok(manager));
        }
        assert_eq!("runit".parse::<ServiceManager>(), Err(UnknownServiceManager("runit".to_owned())));
    }

    #[test]
    fn only_those_that_the_packages_bring_a_service_for_are_supported() {
        for manager in ServiceManager::ALL {
            let expected = matches!(manager, ServiceManager::Systemd | ServiceManager::Upstart);
            assert_eq!(manager.unsupported_reason().is_none(), expected, "{manager}");
        }
    }
}
