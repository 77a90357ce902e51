//! OpenSSH's client configuration, `~/.ssh/config` and `/etc/ssh/ssh_config`: what it says of a host, and what in it is not
//! followed.
//!
//! It stands apart from connecting, because it is a language of its own, with OpenSSH's source as its grammar. The way of
//! a configuration: files (`read`) into lines (`line`), statements (`statement`, from the table in `keywords`) and a tree
//! of them; then, for each host and without looking at the disk again, through all lines (`walk`, `condition`, `pattern`)
//! to its settings (`settings`), filled in (`expand`) as `options`, and the way to it (`route`).

mod condition;
mod error;
mod expand;
mod jump;
mod keywords;
mod line;
mod local;
mod options;
mod pattern;
mod read;
mod route;
mod settings;
mod statement;
#[cfg(test)]
mod tests;
mod values;
mod walk;

use std::path::Path;

pub use error::{ConfigError, Origin, Place, Unsupported};
pub use local::{Local, Variables};
pub use options::{Given, HostOptions, IdentityAgent};
pub use route::{Resolved, Route};
pub use values::{AddressFamily, HostKeyChecking};

use options::Found;
use read::{Entry, Reader};

/// The whole machine's configuration.
const SYSTEM: &str = "/etc/ssh/ssh_config";

/// A configuration, read and checked.
#[derive(Clone, Debug)]
pub struct SshConfig {
    /// In the order of their say.
    files: Vec<Vec<Entry>>,
    local: Local,
}

impl SshConfig {
    /// Reads the user's configuration and the machine's, either of which need not be there.
    pub fn load(local: Local) -> Result<Self, ConfigError> {
        let user = local.home.as_ref().map(|home| home.join(".ssh/config"));
        Self::read(user.as_deref(), Some(Path::new(SYSTEM)), true, local)
    }

    /// Reads one file and no other, as `ssh -F` does: whoever names it trusts it.
    pub fn load_file(file: &Path, local: Local) -> Result<Self, ConfigError> {
        Self::read(Some(file), None, false, local)
    }

    /// A configuration that says nothing, as `ssh -F none` has it.
    #[must_use]
    pub fn empty(local: Local) -> Self {
        Self { files: Vec::new(), local }
    }

    /// Who and where we are, as it was told.
    pub(super) fn local(&self) -> &Local {
        &self.local
    }

    fn read(
        user: Option<&Path>,
        system: Option<&Path>,
        must_be_ours: bool,
        local: Local,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(&local);
        let mut files = Vec::new();
        if let Some(file) = user {
            files.push(reader.read(file, Origin::User, must_be_ours)?);
        }
        if let Some(file) = system {
            // Root's by its place; OpenSSH does not ask either.
            files.push(reader.read(file, Origin::System, false)?);
        }
        Ok(Self { files, local })
    }

    fn find<'a>(&'a self, alias: &'a str, given: Given<'a>) -> Result<Found<'a>, ConfigError> {
        walk::walk(&self.files, &self.local, alias, given)
    }
}
