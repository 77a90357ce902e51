//! The stand-in agent as real packages, signed and laid out as AWS publishes the real ones: what a downloader, a
//! verifier, dpkg and rpm meet is what they would meet with AWS's.

pub mod agent;
pub mod deb;
pub mod host_base;
pub mod payload;
pub mod rpm_package;
pub mod signing;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use targets::{Arch, PackageFormat};
use thiserror::Error;

use crate::private_file;
use agent::{Agent, AgentError};
use payload::Payload;
use signing::SigningKey;

/// The version packages get unless told otherwise; the one the stand-in reports.
pub const DEFAULT_VERSION: &str = "3.3.3000.0";

/// Times inside the packages, so that the same input gives the same bytes: 2026-01-01.
pub(crate) const SOURCE_DATE: u32 = 1_767_225_600;

/// Why the packages cannot be built.
#[derive(Debug, Error)]
pub enum PackageError {
    /// An agent is not what it should be.
    #[error(transparent)]
    Agent(#[from] AgentError),
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
    /// The agents' binaries, one for each architecture.
    pub agents: Vec<Agent>,
    /// The directory that becomes AWS's bucket.
    pub out: PathBuf,
    /// The version.
    pub version: String,
}

/// What the packages in a directory were made from and what they are; the same again means nothing to do.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    input: String,
    outputs: Vec<(PathBuf, String)>,
}

impl Build {
    /// Builds what is missing or made from something else. Nothing is written unless every agent is what it should be.
    pub fn run(&self) -> Result<Outcome, PackageError> {
        let numbers: Vec<_> = self.version.split('.').map(str::parse::<u32>).collect();
        if numbers.len() != 4 || numbers.iter().any(Result::is_err) {
            return Err(PackageError::Version(self.version.clone()));
        }
        let mut outcome = Outcome::Unchanged;
        for (architecture, agent) in agent::read_all(&self.agents)? {
            let payload = Payload { agent: &agent, version: &self.version, architecture };
            let input = payload.digest();
            if !self.is_up_to_date(architecture, &input) {
                self.build(&payload, input)?;
                outcome = Outcome::Built;
            }
        }
        Ok(outcome)
    }

    fn build(&self, payload: &Payload<'_>, input: String) -> Result<(), PackageError> {
        let key = SigningKey::load_or_create(&self.out)?;
        let latest = self.out.join("latest");
        let mut outputs = Vec::new();
        for format in PackageFormat::ALL {
            let Some(artifact) = payload.architecture.artifact(format) else { continue };
            let path = latest.join(artifact.directory).join(artifact.file_name);
            let package = match format {
                PackageFormat::Deb => deb::build(payload)?,
                PackageFormat::Rpm => rpm_package::build(payload)?,
            };
            outputs.push((path.with_added_extension("sig"), key.sign(&package)?));
            outputs.push((path, package));
        }
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
        private_file::replace(
            &self.stamp_path(payload.architecture),
            &serde_json::to_vec_pretty(&stamp)?,
            0o644,
        )?;
        Ok(())
    }

    fn stamp_path(&self, architecture: Arch) -> PathBuf {
        self.out.join(format!(".stamp-{}.json", architecture.name_in(PackageFormat::Deb)))
    }

    fn is_up_to_date(&self, architecture: Arch, input: &str) -> bool {
        let stamp = self.stamp_path(architecture);
        let read_stamp = || serde_json::from_slice::<Stamp>(&std::fs::read(stamp).ok()?).ok();
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

fn make_dir(path: &Path) -> Result<(), PackageError> {
    std::fs::create_dir_all(path).map_err(|source| PackageError::Directory { path: path.to_owned(), source })
}
