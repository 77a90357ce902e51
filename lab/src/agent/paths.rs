//! Where the agent keeps things. Everything hangs below one root, `/` on a host and a temporary directory in tests.

use std::path::{Path, PathBuf};

/// The agent's files.
#[derive(Debug, Clone)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// Paths below `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The directory all state lies in.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.at("var/lib/amazon/ssm")
    }

    /// The vault.
    #[must_use]
    pub fn vault(&self) -> PathBuf {
        self.state().join("Vault")
    }

    /// A file of the vault's store.
    #[must_use]
    pub fn stored(&self, name: &str) -> PathBuf {
        self.vault().join("Store").join(name)
    }

    /// The vault's table of contents.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.vault().join("Manifest")
    }

    /// The registration file, which goes stale.
    #[must_use]
    pub fn registration(&self) -> PathBuf {
        self.state().join("registration")
    }

    /// What the running agent says of its identity.
    #[must_use]
    pub fn identity_config(&self) -> PathBuf {
        self.state().join("runtimeconfig/identity_config.json")
    }

    /// Where the scripts and outputs of a node's commands lie.
    #[must_use]
    pub fn orchestration(&self, node: &str) -> PathBuf {
        self.state().join(node).join("document/orchestration")
    }

    /// The configuration, absent after an install.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.at("etc/amazon/ssm/amazon-ssm-agent.json")
    }

    /// The log directory.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.at("var/log/amazon/ssm")
    }

    /// The shared credentials file the agent overwrites.
    #[must_use]
    pub fn shared_credentials(&self) -> PathBuf {
        self.at("root/.aws/credentials")
    }

    /// A file of the host itself.
    #[must_use]
    pub fn host_file(&self, path: &str) -> PathBuf {
        self.at(path.trim_start_matches('/'))
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}
