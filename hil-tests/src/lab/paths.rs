//! Where the files of a lab lie. Apart, so that program, tests and documentation agree on the names.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The directory of a lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    directory: PathBuf,
}

impl Paths {
    /// An absolute directory, made if it is not there.
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("can't create the lab's directory {}", directory.display()))?;
        let directory = directory
            .canonicalize()
            .with_context(|| format!("can't resolve the lab's directory {}", directory.display()))?;
        Ok(Self { directory })
    }

    /// The directory of a lab that has been up once.
    pub(crate) fn existing(directory: &Path) -> Result<Self> {
        let directory = directory.canonicalize().with_context(|| {
            format!("there is no lab in {}; bring one up with `hil lab up`", directory.display())
        })?;
        Ok(Self { directory })
    }

    /// `$XDG_STATE_HOME/bootstrap/lab`, else `~/.local/state/bootstrap/lab`.
    pub fn default_directory() -> Result<PathBuf> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state =
            absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        Ok(state
            .context("no place for the lab: set XDG_STATE_HOME or HOME, or give --dir")?
            .join("bootstrap/lab"))
    }

    /// The directory itself.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The inventory that `bootstrap --inventory` takes.
    #[must_use]
    pub fn inventory(&self) -> PathBuf {
        self.directory.join("hosts.toml")
    }

    /// Host keys of the guests.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.directory.join("known_hosts")
    }

    /// Private key of the lab key pair.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.directory.join("id_ed25519")
    }

    /// Credentials for the endpoint, as a file for the shell.
    #[must_use]
    pub fn environment(&self) -> PathBuf {
        self.directory.join("env")
    }

    /// The agent's packages in AWS's layout.
    #[must_use]
    pub fn packages(&self) -> PathBuf {
        self.directory.join("packages")
    }

    /// What the endpoint and its programs print.
    #[must_use]
    pub fn endpoint_log(&self) -> PathBuf {
        self.directory.join("endpoint.log")
    }

    pub(crate) fn packages_stamp(&self) -> PathBuf {
        self.directory.join("packages.stamp")
    }

    pub(crate) fn endpoint_state(&self) -> PathBuf {
        self.directory.join("endpoint")
    }

    /// What the endpoint knows of the guests' registrations.
    pub(crate) fn endpoint_database(&self) -> PathBuf {
        self.endpoint_state().join("state.db")
    }

    pub(crate) fn endpoint_ready(&self) -> PathBuf {
        self.directory.join("endpoint.json")
    }

    pub(crate) fn guest(&self, name: &str) -> PathBuf {
        self.directory.join("guests").join(name)
    }

    pub(crate) fn guests(&self) -> PathBuf {
        self.directory.join("guests")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.directory.join("lock")
    }

    /// Everything that `up` makes, for `--fresh`; the lock stays, it is held.
    pub(crate) fn made(&self) -> [PathBuf; 11] {
        let public = self.identity().with_added_extension("pub");
        [
            self.inventory(),
            self.known_hosts(),
            self.identity(),
            public,
            self.environment(),
            self.packages(),
            self.packages_stamp(),
            self.endpoint_log(),
            self.endpoint_state(),
            self.endpoint_ready(),
            self.guests(),
        ]
    }
}
