//! What an inventory wishes of the agent's package.

use std::path::PathBuf;

use serde::Serialize;

/// Which agent package to install, and how far it must be proven.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageWish {
    /// `None`: AWS's own bucket for the environment's Region. Else a file, a directory or an `http(s)://` URL;
    /// relative paths are already resolved against the inventory's directory.
    pub source: Option<String>,
    /// `None`: required for URLs, if present for files and directories.
    pub verify: Option<VerifyWish>,
    /// Armored OpenPGP public keys trusted besides AWS's.
    pub keys: Vec<PathBuf>,
    /// The package's digest, if the operator pins it: 64 lower-case hex digits.
    pub sha256: Option<String>,
}

impl PackageWish {
    /// Whether the source is something that hosts can reach as the controller does.
    #[must_use]
    pub fn is_on_the_web(&self) -> bool {
        self.source.as_deref().is_none_or(|source| {
            source == "aws" || ["aws:", "http://", "https://"].iter().any(|start| source.starts_with(start))
        })
    }

    /// Whether the operator chose the package: by its digest, its version, or a source of their own. AWS's newest is
    /// no choice but what there is.
    #[must_use]
    pub fn is_chosen(&self) -> bool {
        let newest = [None, Some("aws"), Some("aws:latest"), Some("aws:stable")];
        self.sha256.is_some() || !newest.contains(&self.source.as_deref())
    }
}

/// How far a package must be proven by an OpenPGP signature.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum VerifyWish {
    /// No signature, no install.
    Required,
    /// A signature that is there must be good.
    IfPresent,
    /// Signatures are not looked at.
    Off,
}
