//! The stand-in agent as real packages, signed and laid out as AWS publishes the real ones: what a downloader, a
//! verifier, dpkg and rpm meet is what they would meet with AWS's.

pub mod deb;
pub mod host_base;
pub mod payload;
pub mod rpm_package;
pub mod signing;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::private_file;
use payload::Payload;
use signing::SigningKey;

/// The version packages get unless told otherwise; the one the stand-in reports.
pub const DEFAULT_VERSION: &str = "3.3.3000.0";

/// Times inside the packages, so that the same input gives the same bytes: 2026-01-01.
pub(crate) const SOURCE_DATE: u32 = 1_767_225_600;

/// An architecture packages are built for, in its three spellings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Intel and AMD, 64 bits.
    #[default]
    Amd64,
    /// ARM, 64 bits.
    Arm64,
}

impl Architecture {
    /// Debian's word, also AWS's.
    #[must_use]
    pub fn deb(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// RPM's word.
    #[must_use]
    pub fn rpm(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }
}

/// Why the packages cannot be built.
#[derive(Debug, Error)]
pub enum PackageError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A directory cannot be made.
    #[error("cannot make {}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] private_file::WriteError),
    /// The .deb cannot be put together.
    #[error("cannot put the .deb together")]
    Deb(#[source] io::Error),
    /// The .rpm cannot be put together.
    #[error("cannot put the .rpm together")]
    Rpm(#[from] rpm::Error),
    /// The signing key is no use.
    #[error(transparent)]
    Signing(#[from] signing::SigningError),
    /// The stamp cannot be written.
    #[error("cannot write the stamp of the packages")]
    Stamp(#[from] serde_json::Error),
    /// Nothing dpkg or rpm would compare.
    #[error("`{0}` is not a version of the agent; write four numbers like {DEFAULT_VERSION}")]
    Version(String),
}

/// Whether there was anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The packages are new.
    Built,
    /// The packages were there, from the same input.
    Unchanged,
}

/// An order for packages.
#[derive(Debug, Clone)]
pub struct Build {
    /// The agent's binary.
    pub agent: PathBuf,
    /// The directory that becomes AWS's bucket.
    pub out: PathBuf,
    /// The version.
    pub version: String,
    /// The architecture.
    pub architecture: Architecture,
}

/// What the packages in a directory were made from and what they are; the same again means nothing to do.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    input: String,
    outputs: Vec<(PathBuf, String)>,
}

impl Build {
    /// Builds what is missing or made from something else.
    pub fn run(&self) -> Result<Outcome, PackageError> {
        let numbers: Vec<_> = self.version.split('.').map(str::parse::<u32>).collect();
        if numbers.len() != 4 || numbers.iter().any(Result::is_err) {
            return Err(PackageError::Version(self.version.clone()));
        }
        let agent = read(&self.agent)?;
        let payload = Payload { agent: &agent, version: &self.version, architecture: self.architecture };
        let input = payload.digest();
        if self.is_up_to_date(&input) {
            return Ok(Outcome::Unchanged);
        }
        let key = SigningKey::load_or_create(&self.out)?;
        let latest = self.out.join("latest");
        let word = self.architecture.deb();
        let mut outputs = vec![
            (latest.join(format!("debian_{word}/amazon-ssm-agent.deb")), deb::build(&payload)?),
            (latest.join(format!("linux_{word}/amazon-ssm-agent.rpm")), rpm_package::build(&payload)?),
        ];
        let signatures = outputs
            .iter()
            .map(|(path, content)| Ok((path.with_added_extension("sig"), key.sign(content)?)))
            .collect::<Result<Vec<_>, PackageError>>()?;
        outputs.extend(signatures);
        outputs.push((latest.join("VERSION"), format!("{}\n", self.version).into_bytes()));
        outputs.push((self.out.join("rpm-host-base.rpm"), host_base::build()?));

        let mut stamp = Stamp { input, outputs: Vec::new() };
        for (path, content) in outputs {
            if let Some(dir) = path.parent() {
                make_dir(dir)?;
            }
            private_file::replace(&path, &content, 0o644)?;
            stamp.outputs.push((path.strip_prefix(&self.out).unwrap_or(&path).to_owned(), digest(&content)));
        }
        private_file::replace(&self.stamp_path(), &serde_json::to_vec_pretty(&stamp)?, 0o644)?;
        Ok(Outcome::Built)
    }

    fn stamp_path(&self) -> PathBuf {
        self.out.join(format!(".stamp-{}.json", self.architecture.deb()))
    }

    fn is_up_to_date(&self, input: &str) -> bool {
        let read_stamp = || serde_json::from_slice::<Stamp>(&std::fs::read(self.stamp_path()).ok()?).ok();
        SigningKey::is_usable(&self.out)
            && read_stamp().is_some_and(|stamp| {
                stamp.input == input
                    && stamp.outputs.iter().all(|(path, expected)| {
                        std::fs::read(self.out.join(path)).is_ok_and(|content| digest(&content) == *expected)
                    })
            })
    }
}

fn digest(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

fn read(path: &Path) -> Result<Vec<u8>, PackageError> {
    std::fs::read(path).map_err(|source| PackageError::Read { path: path.to_owned(), source })
}

fn make_dir(path: &Path) -> Result<(), PackageError> {
    std::fs::create_dir_all(path).map_err(|source| PackageError::Directory { path: path.to_owned(), source })
}
