//! What can stand between a host and its wish. An action is a value that the plan makes and the
//! operator reads before anything happens; a file for each says why it exists, how it is said and
//! what its shell function is given. All that happens on the host shares one exec ([`apply`]).

pub mod apply;
mod configure;
mod download;
mod install;
mod proxy;
mod register;
mod start;
#[cfg(test)]
mod steps_tests;
mod tag;
mod tidy;
mod upload;
mod vault;

use secrecy::SecretString;

use crate::events::Step;

pub use apply::LAST_LINES;
pub use configure::{Configure, ConfigureError};
pub use download::Download;
pub use install::Install;
pub use proxy::{NotOurs, SetProxy};
pub use register::{Reason, Register};
pub use start::{Start, StartReason};
pub use tag::Tag;
pub use tidy::Tidy;
pub use upload::Upload;
pub use vault::SettleVault;

/// One gap and how to close it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the package.
    Upload(Upload),
    /// Let the host fetch the package.
    Download(Download),
    /// Clear up after a registration that was cut off.
    SettleVault(SettleVault),
    /// Write the agent's configuration.
    Configure(Configure),
    /// Tell the agent's service of a proxy, or of none any more.
    SetProxy(SetProxy),
    /// Install the package.
    Install(Install),
    /// Remove packages that were sent and are not to be installed.
    Tidy(Tidy),
    /// Register with an activation.
    Register(Register),
    /// Enable the agent and (re)start it.
    Start(Start),
    /// Set the managed node's tags.
    Tag(Tag),
}

impl Action {
    /// One sentence for the operator, the same before and after it is done.
    pub fn sentence(&self) -> String {
        match self {
            Self::Upload(action) => action.sentence(),
            Self::Download(action) => action.sentence(),
            Self::SettleVault(action) => action.sentence(),
            Self::Configure(action) => action.sentence(),
            Self::SetProxy(action) => action.sentence(),
            Self::Install(action) => action.sentence(),
            Self::Tidy(action) => action.sentence(),
            Self::Register(action) => action.sentence(),
            Self::Start(action) => action.sentence(),
            Self::Tag(action) => action.sentence(),
        }
    }

    /// The step that its progress and its failure are shown under.
    pub fn step(&self) -> Step {
        match self {
            Self::Upload(_) => Step::Upload,
            Self::Download(_) => Step::Download,
            Self::Configure(_) | Self::SetProxy(_) => Step::Configure,
            Self::Install(_) | Self::Tidy(_) => Step::Install,
            Self::SettleVault(_) | Self::Register(_) => Step::Register,
            Self::Start(_) => Step::Start,
            Self::Tag(_) => Step::Tag,
        }
    }

    /// What the shell is told, if this is done in the shared exec: the step's word and its arguments.
    fn shell_arguments(&self) -> Option<Vec<String>> {
        match self {
            Self::SettleVault(_) => Some(SettleVault::shell_arguments()),
            Self::Configure(_) => Some(Configure::shell_arguments()),
            Self::SetProxy(action) => Some(action.shell_arguments()),
            Self::Install(action) => Some(action.shell_arguments()),
            Self::Tidy(_) => Some(Tidy::shell_arguments()),
            Self::Register(action) => Some(action.shell_arguments()),
            Self::Start(_) => Some(Start::shell_arguments()),
            Self::Upload(action) => Some(action.shell_arguments()),
            Self::Download(action) => Some(action.shell_arguments()),
            Self::Tag(_) => None,
        }
    }

    /// What it needs on stdin, as shell variables.
    fn shell_variables(&self) -> Vec<(&'static str, SecretString)> {
        match self {
            Self::Configure(action) => action.shell_variables(),
            Self::SetProxy(action) => action.shell_variables(),
            _ => Vec::new(),
        }
    }
}
