//! What a host is, as one command found it. Facts are plain values: who reads them asks the host nothing more.

mod parse;
#[cfg(test)]
mod probe_tests;
#[cfg(test)]
mod root_tests;

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use targets::{
    AgentVersion, Arch, OsRelease, PackageFormat, PackageTool, ServiceManager,
    agent::{Installation, PACKAGED, SNAP, UPSTART},
    outputs::ServiceState,
};

use crate::{
    host::{Command, Script},
    inventory::Escalation,
    ssm::ManagedNodeId,
};

pub use parse::FactsError;

/// The probe: one exec collects everything and changes nothing.
pub static PROBE: Script =
    Script { name: "probe", text: concat!(include_str!("premise.sh"), include_str!("probe.sh")) };

/// What a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether commands can have root's rights.
    pub root: Root,
    /// Who is at work on the host, in the words of the lock there, if it did not end in time.
    pub held_by: Option<String>,
    /// `os-release`.
    pub os: OsRelease,
    /// `uname -m`; the kernel's architecture, which need not be the userland's.
    pub kernel_machine: String,
    /// `getconf LONG_BIT`, of the userland.
    pub userland_bits: Option<u8>,
    /// `dpkg --print-architecture`, where there is a dpkg.
    pub dpkg_arch: Option<String>,
    /// rpm's `%{_arch}`, where there is an rpm.
    pub rpm_arch: Option<String>,
    /// Packages that dpkg left half done.
    pub unfinished: Vec<String>,
    /// The programs that install packages and are there.
    pub package_tools: Vec<PackageTool>,
    /// What runs as process 1.
    pub service: ServiceManager,
    /// The agent's package.
    pub agent: Agent,
    /// Whose hold the agent's package is on: it is not to be changed.
    pub package_hold: Option<PackageTool>,
    /// The agent's unit or job.
    pub unit: ServiceState,
    /// The registration that the agent's vault holds.
    pub registration: Option<Registration>,
    /// The vault was written within the last five minutes: SSM may have heard nothing of the node yet.
    pub registered_lately: bool,
    /// What an interrupted registration left saved beside the vault.
    pub saved_vault: SavedVault,
    /// The node for which the agent's credentials are still good: some account's SSM knows it.
    pub credentials_of: Option<ManagedNodeId>,
    /// The EC2 instance (`i-...`), or whatever else is no managed node, for which the agent's credentials are still good: SSM
    /// serves the host as that.
    pub served_as: Option<String>,
    /// What a plan of these facts rests on, in one word that changes with it; known to root only.
    pub premise: Option<String>,
    /// `machine-id`, which two hosts share only if one was cloned from the other.
    pub machine_id: Option<String>,
    /// `amazon-ssm-agent.json`, if it exists.
    pub config: Option<String>,
    /// What adds to the environment of the agent's service: the file where ours is, if it exists.
    pub environment: Option<String>,
    /// Free space.
    pub free: FreeSpace,
    /// How what the agent keeps lies in memory, if it does.
    pub memory: Option<Memory>,
    /// How far the host's clock is ahead of the controller's, in seconds.
    pub clock_ahead_seconds: i64,
    /// Packages that were sent and not installed yet, by file name.
    pub staged: Vec<String>,
}

/// Whether commands can have root's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// They can.
    Yes,
    /// The login user is not root and may not become it by the inventory.
    NotRoot,
    /// The program that the inventory names is not there, but maybe the other one.
    Missing {
        /// `sudo` or `doas`.
        other: Option<String>,
    },
    /// The program said no; its own words.
    Refused(String),
    /// It asks for a password; its own words.
    NeedsPassword(String),
    /// It did not take the password that it was given; its own words.
    WrongPassword(String),
}

/// The agent's package as installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// There is none.
    Absent,
    /// An install or removal did not come to its end.
    Broken,
    /// Installed by dpkg or rpm.
    Installed(AgentVersion),
    /// Installed as a snap; without a version if neither `snap` nor the snap itself names one.
    Snap(Option<AgentVersion>),
}

/// Why an installed agent is not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    /// Its package is on hold.
    Held(PackageTool),
    /// It is part of an image that nothing is installed on.
    InImage,
}

/// What the vault says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The managed node.
    pub node: ManagedNodeId,
    /// The Region it is registered in.
    pub region: String,
}

/// What an interrupted registration left beside the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavedVault {
    /// Nothing; the normal case.
    None,
    /// A saved vault, with the registration in it, if there is one.
    Left(Option<Registration>),
}

/// How what the agent keeps lies in memory, which forgets it at the next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// It is on a file system of memory, such as tmpfs.
    FileSystem,
    /// It is on an overlay that writes to memory, over a disk that is not written to.
    Overlay,
}

/// Free space, in KiB; `None` where df(1) did not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FreeSpace {
    /// Of the file system with `/var/lib`.
    pub state_kib: Option<u64>,
    /// Of the file system with `/usr`.
    pub system_kib: Option<u64>,
}

impl Facts {
    /// The command that collects them, with the password for sudo if it asks for one. For a run that is at work on the host it waits as long as `patience`, which must be
    /// shorter than `limit`, and [tells](Self::waits_for) so.
    pub fn probe(
        escalation: Escalation,
        password: Option<&SecretString>,
        limit: Duration,
        patience: Duration,
    ) -> Command {
        let escalation = escalation.program().unwrap_or("none");
        let patience = patience.as_secs().to_string();
        let arguments = [escalation, PACKAGED.unit, SNAP.unit, UPSTART.unit, &patience].map(str::to_owned);
        let probe = Command::new(&PROBE, arguments.to_vec(), limit).as_login_user().telling_facts();
        match password {
            Some(password) => probe.with_secret("become_password", password.clone()),
            None => probe,
        }
    }

    /// Whom the probe waits for, if this line of it says so.
    pub fn waits_for(line: &str) -> Option<&str> {
        line.strip_prefix("held.now=")
    }

    /// Reads what the probe printed; `now` is the controller's time when its answer was complete.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, FactsError> {
        parse::facts(text, now)
    }

    /// The registration that counts: the vault's, or the saved one where the vault names none.
    pub fn standing_registration(&self) -> Option<&Registration> {
        match (&self.registration, &self.saved_vault) {
            (Some(registration), _) | (None, SavedVault::Left(Some(registration))) => Some(registration),
            (None, _) => None,
        }
    }

    /// What the agent's unit, binary and files are called here, installed or once it is.
    pub fn installation(&self) -> &'static Installation {
        match (self.agent, self.service) {
            (Agent::Snap(_), _) => &SNAP,
            (_, ServiceManager::Upstart) => &UPSTART,
            _ => &PACKAGED,
        }
    }

    /// The installed version, if it is older than `wanted` and nothing here replaces it, and why.
    pub fn stays_below(&self, wanted: AgentVersion) -> Option<(AgentVersion, Stays)> {
        let Agent::Installed(version) = self.agent else { return None };
        let why = match self.package_hold {
            Some(by) => Stays::Held(by),
            None => self.os.distribution().is_err().then_some(Stays::InImage)?,
        };
        (version < wanted).then_some((version, why))
    }

    /// What installs a package here.
    pub fn package_tool(&self) -> Result<PackageTool, targets::Unsupported> {
        self.os.package_tool().map(|own| own.among(&self.package_tools))
    }

    /// The userland's architecture, by its package manager: a 64-bit kernel may carry a 32-bit userland.
    pub fn arch(&self, format: PackageFormat) -> Option<Arch> {
        match format {
            PackageFormat::Deb => Arch::from_dpkg(self.dpkg_arch.as_deref()?).ok(),
            PackageFormat::Rpm => Arch::from_rpm(self.rpm_arch.as_deref()?).ok(),
        }
    }
}
