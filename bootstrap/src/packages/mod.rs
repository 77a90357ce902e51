//! Agent packages on the controller: found, downloaded, read and verified, before a byte goes to a host.
//!
//! Apart from everything else because nothing here knows of hosts or AWS's API: in goes what the inventory says
//! about packages, out comes a [`Package`] that is what it claims to be, once per kind and run.

mod cache;
mod deb;
mod error;
mod fetch;
mod keyring;
mod limits;
mod local;
mod metadata;
mod openpgp;
mod rpm_header;
mod source;
mod store;

#[cfg(test)]
mod tests;

pub use error::PackageError;
pub use fetch::http_client;
pub use keyring::{Fingerprint, KeyError, KeyWarning, Keyring};
pub use limits::Limits;
pub use metadata::{Metadata, ReadError};
pub use openpgp::{SignatureError, Signed};
pub use source::{PackageSource, SourceError, Verify};
pub use store::{PackageStore, StoreSettings};

use bytes::Bytes;
use reqwest::Url;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use targets::{AgentVersion, Arch, PackageFormat};

/// A SHA-256 digest; shown and read as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256Digest([u8; 32]);

impl Sha256Digest {
    /// The digest of `content`.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no SHA-256 digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a SHA-256 digest of 64 hexadecimal digits")]
pub struct InvalidDigest(pub String);

impl FromStr for Sha256Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidDigest(text.to_owned());
        let mut digest = [0_u8; 32];
        let digits: Vec<u8> = text
            .chars()
            .map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok()))
            .collect::<Option<_>>()
            .ok_or_else(invalid)?;
        if digits.len() != 64 {
            return Err(invalid());
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |value, digit| value << 4 | digit);
        }
        Ok(Self(digest))
    }
}

/// An agent package that has been read and, as far as was asked for, verified.
#[derive(Clone)]
pub struct Package {
    /// How it is wrapped.
    pub format: PackageFormat,
    /// What it is built for, as the package itself says.
    pub arch: Arch,
    /// Its name; always the agent's.
    pub name: String,
    /// The agent's version, without the package's revision.
    pub version: AgentVersion,
    /// Digest of the whole file.
    pub sha256: Sha256Digest,
    /// Length of the file in bytes.
    pub size: u64,
    /// The file.
    pub content: Bytes,
    /// The primary key whose signature was verified; nothing where none was asked for or there.
    pub signed_by: Option<Fingerprint>,
    /// What the operator should know about that key.
    pub key_warning: Option<KeyWarning>,
    /// Where it came from, without credentials.
    pub origin: String,
    /// Where it is on the web, credentials included, if it is.
    pub url: Option<Url>,
}

impl Package {
    /// A file name that no other content has, such as `amazon-ssm-agent-3.3.987.0-0a1b2c3d4e5f.deb`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}-{:.12}.{}", self.name, self.version, self.sha256.to_string(), self.format)
    }
}

impl fmt::Debug for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Package")
            .field("file_name", &self.file_name())
            .field("arch", &self.arch)
            .field("size", &self.size)
            .field("signed_by", &self.signed_by)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
