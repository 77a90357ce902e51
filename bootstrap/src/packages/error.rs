//! Everything that can keep a package from being had: what, why, and what to do.

use super::Sha256Digest;
use super::keyring::KeyError;
use super::metadata::ReadError;
use super::openpgp::SignatureError;
use super::source::SourceError;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;
use targets::{Arch, InvalidVersion, PackageFormat};

/// Why there is no package for a host. Files and URLs are named without credentials.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The inventory's source is none.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// AWS's layout has no such package.
    #[error("AWS builds no .{format} of the agent for {arch}")]
    NotBuilt {
        /// Wanted architecture.
        arch: Arch,
        /// Wanted format.
        format: PackageFormat,
    },
    /// A file or directory cannot be read or written.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was to be done, such as "read".
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The source has no package of this kind.
    #[error("no .{format} for {arch} at the package source; looked at {}", tried.join(", "))]
    NotFound {
        /// Wanted architecture.
        arch: Arch,
        /// Wanted format.
        format: PackageFormat,
        /// Every place, with what was found there.
        tried: Vec<String>,
    },
    /// More bytes than any real package has.
    #[error("{file} is larger than {limit} bytes")]
    TooLarge {
        /// Which file.
        file: String,
        /// Largest size taken, in bytes.
        limit: u64,
    },
    /// The server refuses.
    #[error("{url} answered with HTTP status {status}")]
    Http {
        /// What was asked for.
        url: String,
        /// The status code.
        status: u16,
    },
    /// The server cannot be reached or breaks off, however often it is tried.
    #[error("cannot download {url}, tried {tries} times")]
    Network {
        /// What was asked for.
        url: String,
        /// How often.
        tries: u32,
        /// The last failure.
        #[source]
        source: Box<reqwest::Error>,
    },
    /// The server is too slow.
    #[error("downloading {url} took longer than {} s", limit.as_secs_f32())]
    TimedOut {
        /// What was asked for.
        url: String,
        /// The limit that was passed.
        limit: Duration,
    },
    /// The HTTP client cannot be made.
    #[error("cannot set up the HTTP client")]
    Client(#[source] Box<reqwest::Error>),
    /// The file is no package.
    #[error("{file} cannot be read as a package")]
    Unreadable {
        /// Which file.
        file: String,
        /// Why not.
        #[source]
        source: ReadError,
    },
    /// It is another program's package.
    #[error("{file} is a package of {name:?}, not of amazon-ssm-agent")]
    WrongPackage {
        /// Which file.
        file: String,
        /// The name it has.
        name: String,
    },
    /// It has no version of the agent.
    #[error("{file} has no version of the agent")]
    Version {
        /// Which file.
        file: String,
        /// What is wrong with it.
        #[source]
        source: InvalidVersion,
    },
    /// It is for an architecture that the agent is not built for.
    #[error("{file} is for {name:?}, which is no architecture of the agent")]
    UnknownArchitecture {
        /// Which file.
        file: String,
        /// What it says.
        name: String,
    },
    /// It is of the other format.
    #[error("{file} is a .{is}, but host wants a .{wanted}")]
    WrongFormat {
        /// Which file.
        file: String,
        /// Its format.
        is: PackageFormat,
        /// The host's format.
        wanted: PackageFormat,
    },
    /// It is for other hosts.
    #[error("{file} is for {}, but host wants {}", is.name_in(*format), wanted.name_in(*format))]
    WrongArchitecture {
        /// Which file.
        file: String,
        /// Its format, which decides what architectures are called.
        format: PackageFormat,
        /// Its architecture.
        is: Arch,
        /// The host's architecture.
        wanted: Arch,
    },
    /// It is none of those that were pinned.
    #[error("{file} has the SHA-256 digest {sha256}, which is not pinned")]
    Digest {
        /// Which file.
        file: String,
        /// Its digest.
        sha256: Sha256Digest,
    },
    /// There must be a signature and there is none.
    #[error("{file} has no signature: there is no {signature}")]
    MissingSignature {
        /// Which file.
        file: String,
        /// Where the signature was looked for.
        signature: String,
    },
    /// Its signature does not count.
    #[error("{file} is not to be trusted")]
    Signature {
        /// Which file.
        file: String,
        /// Why not.
        #[source]
        source: SignatureError,
    },
    /// The work was given up, as at the end of the program.
    #[error("reading {file} was interrupted")]
    Interrupted {
        /// Which file.
        file: String,
    },
}

impl PackageError {
    /// A short name of this kind of failure that stays the same over versions, for reports.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Source(_) => "package-source",
            Self::Key(_) => "package-key",
            Self::NotBuilt { .. } => "package-not-built",
            Self::Io { .. } => "package-io",
            Self::NotFound { .. } => "package-not-found",
            Self::TooLarge { .. } => "package-too-large",
            Self::Http { .. } => "package-http",
            Self::Network { .. } | Self::Client(_) => "package-network",
            Self::TimedOut { .. } => "package-timeout",
            Self::Unreadable { .. } => "package-unreadable",
            Self::WrongPackage { .. } => "package-wrong-name",
            Self::Version { .. } => "package-version",
            Self::UnknownArchitecture { .. } | Self::WrongArchitecture { .. } => "package-wrong-architecture",
            Self::WrongFormat { .. } => "package-wrong-format",
            Self::Digest { .. } => "package-digest",
            Self::MissingSignature { .. } => "package-unsigned",
            Self::Signature { source, .. } => match source {
                SignatureError::Bad { .. } => "package-tampered",
                SignatureError::UnknownKey { .. } => "package-unknown-key",
                SignatureError::KeyExpired { .. } | SignatureError::KeyRevoked { .. } => {
                    "package-key-expired"
                }
                _ => "package-signature",
            },
            Self::Interrupted { .. } => "package-interrupted",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Source(error) => return Some(error.hint()),
            Self::Key(error) => return Some(error.hint()),
            Self::Signature { source, .. } => return Some(source.hint()),
            Self::NotBuilt { .. } => "leave these hosts out, or give a package of your own by `source`",
            Self::Io { source, .. }
                if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
            {
                "make room on that file system; what lies in the cache may be deleted, it is downloaded again at need"
            }
            Self::Io { .. } => {
                "check that the path exists and that you may read it (or, for the cache, write to it)"
            }
            Self::NotFound { .. } => {
                "put the package there, in AWS's layout (latest/debian_amd64/amazon-ssm-agent.deb) or, in a directory, as \
                 any .deb or .rpm"
            }
            Self::TooLarge { .. } => "check what is served there: no agent package is that large",
            Self::Http { status: 401 | 407, .. } => "check the user and password in the URL or of the proxy",
            Self::Http { .. } => "open the URL from this machine; a proxy or mirror may be in between",
            Self::Network { .. } => {
                "check name resolution, firewall and HTTPS_PROXY on this machine; for a certificate that is not trusted install \
                 ca-certificates here (where SSL_CERT_FILE or SSL_CERT_DIR is set, authorities come from there alone), or name its authority in the environment's `ca_bundle`; \
                 or download the package elsewhere and give its path as `source`"
            }
            Self::TimedOut { .. } => {
                "try again, use a mirror nearby, or give the path of a downloaded package as `source`"
            }
            Self::Client(_) => "check the CA bundle: it must be certificates in PEM format",
            Self::Unreadable { .. } => "download it again, and compare its size with the original's",
            Self::WrongPackage { .. } | Self::Version { .. } => {
                "give the agent's own package: amazon-ssm-agent.deb or .rpm"
            }
            Self::WrongFormat { .. } | Self::UnknownArchitecture { .. } | Self::WrongArchitecture { .. } => {
                "give a directory with a package for each kind of host as `source`, or set it per environment"
            }
            Self::Digest { .. } => "if this package is the one you want, add its digest to `sha256`",
            Self::MissingSignature { .. } => {
                "put the .sig file beside the package; or pin its `sha256` and set `verify = \"if-present\"`"
            }
            Self::Interrupted { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
