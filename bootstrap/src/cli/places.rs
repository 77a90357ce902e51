//! Where the program keeps what outlives a run, by the XDG base directories.

use std::path::{Path, PathBuf};

use crate::{
    failure::{Exit, Failure},
    inventory::home,
};

/// Options that say where state and cache are.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Places {
    /// Directory of the journal and of the last reports [default: `$XDG_STATE_HOME/bootstrap` or `~/.local/state/bootstrap`]
    #[arg(long, value_name = "DIR", env = "BOOTSTRAP_STATE_DIR", hide_env_values = true)]
    state_dir: Option<PathBuf>,
}

impl Places {
    /// The journal's file.
    pub(super) fn journal(&self) -> Result<PathBuf, Failure> {
        Ok(self.state()?.join("journal.db"))
    }

    /// Where the reports of the last runs are kept.
    pub(super) fn reports(&self) -> Result<PathBuf, Failure> {
        Ok(self.state()?.join("reports"))
    }

    /// The directory that was asked for, if one was.
    pub(super) fn state_dir(&self) -> Option<&Path> {
        self.state_dir.as_deref()
    }

    fn state(&self) -> Result<PathBuf, Failure> {
        match &self.state_dir {
            Some(directory) => Ok(directory.clone()),
            None => base("XDG_STATE_HOME", ".local/state"),
        }
    }
}

/// Where downloaded packages are kept.
pub(super) fn cache() -> Result<PathBuf, Failure> {
    base("XDG_CACHE_HOME", ".cache")
}

fn base(variable: &str, below_home: &str) -> Result<PathBuf, Failure> {
    // The specification ignores relative values.
    let given = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let directory = given.or_else(|| home().map(|home| home.join(below_home)));
    directory.map(|directory| directory.join("bootstrap")).ok_or_else(|| {
        Failure::new(Exit::CannotStart, format!("neither {variable} nor HOME says where to keep files"))
            .hint(format!("set {variable}"))
    })
}
