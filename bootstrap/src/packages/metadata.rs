//! What a package says of itself, and the checks that it is the agent, in the right wrapping, for the right host.

use super::{PackageError, deb, rpm_header};
use targets::{AgentVersion, Arch, PackageFormat, agent};

/// What a package says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// How it is wrapped.
    pub format: PackageFormat,
    /// Its name.
    pub name: String,
    /// Its version as written, with the revision.
    pub version: String,
    /// Its architecture as written.
    pub architecture: String,
}

/// Why a file cannot be read as a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It starts like neither format.
    #[error("it is neither a .deb nor an .rpm")]
    UnknownFormat,
    /// It ends before what it announces.
    #[error("it is cut off: {0}")]
    CutOff(&'static str),
    /// It is not made as the format demands.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// A part is larger than any real package's.
    #[error("its {part} is larger than {limit} bytes")]
    TooLarge {
        /// Which part.
        part: &'static str,
        /// Largest size taken, in bytes.
        limit: u64,
    },
    /// Something we don't read.
    #[error("its control archive is {0:?}, which is not .tar, .tar.gz, .tar.xz or .tar.zst")]
    Compression(String),
    /// A field that must be there is not.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// Its content does not have the digest it announces.
    #[error("its payload does not have the digest that its header announces")]
    PayloadDigest,
}

/// A package's own words, checked to be those of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AgentMetadata {
    pub(super) format: PackageFormat,
    pub(super) arch: Arch,
    pub(super) name: String,
    pub(super) version: AgentVersion,
}

impl Metadata {
    /// Reads a package, of either format; memory stays bounded whatever the content.
    pub fn read(content: &[u8]) -> Result<Self, ReadError> {
        if content.starts_with(deb::MAGIC) {
            deb::read(content)
        } else if content.starts_with(rpm_header::MAGIC) {
            rpm_header::read(content)
        } else {
            Err(ReadError::UnknownFormat)
        }
    }
}

impl AgentMetadata {
    /// Reads a package, which must be one of the agent. `file` names it in errors.
    pub(super) fn read(file: &str, content: &[u8]) -> Result<Self, PackageError> {
        let metadata = Metadata::read(content)
            .map_err(|source| PackageError::Unreadable { file: file.to_owned(), source })?;
        if metadata.name != agent::PACKAGE {
            return Err(PackageError::WrongPackage { file: file.to_owned(), name: metadata.name });
        }
        let version = AgentVersion::from_package(&metadata.version)
            .map_err(|source| PackageError::Version { file: file.to_owned(), source })?;
        let arch = Arch::from_package(metadata.format, &metadata.architecture).map_err(|_| {
            PackageError::UnknownArchitecture { file: file.to_owned(), name: metadata.architecture.clone() }
        })?;
        Ok(Self { format: metadata.format, arch, name: metadata.name, version })
    }

    /// Checks that a host of `arch` that installs `format` can take this package.
    pub(super) fn expect(&self, file: &str, arch: Arch, format: PackageFormat) -> Result<(), PackageError> {
        let file = file.to_owned();
        if self.format != format {
            return Err(PackageError::WrongFormat { file, is: self.format, wanted: format });
        }
        if self.arch != arch {
            return Err(PackageError::WrongArchitecture { file, format, is: self.arch, wanted: arch });
        }
        Ok(())
    }
}
