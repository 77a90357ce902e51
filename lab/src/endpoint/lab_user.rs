//! The one user of the lab's account: a random access key, kept in the state directory so that shells and
//! profiles that hold it survive a restart of the endpoint.

use std::io;
use std::path::{Path, PathBuf};

use rand::Rng as _;
use rand::distr::Alphanumeric;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::private_file;

/// The file within the state directory.
pub const FILE: &str = "lab-user.json";

/// Why the lab user cannot be had.
#[derive(Debug, Error)]
pub enum LabUserError {
    /// The file is there and cannot be read.
    #[error("cannot read the lab user from {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// The file holds something else.
    #[error("{} does not hold a lab user; remove it, and a new one is made", path.display())]
    Parse { path: PathBuf, source: serde_json::Error },
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] private_file::WriteError),
}

/// An access key of the lab's account.
#[derive(Debug, Clone)]
pub struct LabUser {
    /// The key's id, not secret.
    pub access_key_id: String,
    /// The key's secret.
    pub secret_access_key: SecretString,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stored {
    access_key_id: String,
    secret_access_key: String,
}

impl LabUser {
    /// A new random user.
    #[must_use]
    pub fn random() -> Self {
        Self { access_key_id: access_key_id("AKIA"), secret_access_key: random_text(40).into() }
    }

    /// The user kept in `state_dir`; made at the first call.
    pub fn load_or_create(state_dir: &Path) -> Result<Self, LabUserError> {
        let path = state_dir.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => {
                let stored: Stored =
                    serde_json::from_slice(&bytes).map_err(|source| LabUserError::Parse { path, source })?;
                Ok(Self {
                    access_key_id: stored.access_key_id,
                    secret_access_key: stored.secret_access_key.into(),
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let user = Self::random();
                user.store(&path)?;
                Ok(user)
            }
            Err(source) => Err(LabUserError::Read { path, source }),
        }
    }

    fn store(&self, path: &Path) -> Result<(), LabUserError> {
        let stored = Stored {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.expose_secret().to_owned(),
        };
        let bytes = serde_json::to_vec_pretty(&stored)
            .map_err(|source| LabUserError::Parse { path: path.to_owned(), source })?;
        Ok(private_file::write(path, &bytes)?)
    }
}

/// A new access key id: a prefix of AWS's (`AKIA` long-lived, `ASIA` temporary) and 16 characters.
#[must_use]
pub fn access_key_id(prefix: &str) -> String {
    format!("{prefix}{}", random_text(16).to_uppercase())
}

/// Random letters and digits.
#[must_use]
pub fn random_text(length: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(length).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::{FILE, LabUser};

    #[test]
    fn the_same_directory_gives_the_same_user() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) =
            (LabUser::load_or_create(dir.path()).unwrap(), LabUser::load_or_create(dir.path()).unwrap());
        assert_eq!(one.access_key_id, two.access_key_id);
        assert_eq!(one.secret_access_key.expose_secret(), two.secret_access_key.expose_secret());
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_debug_output_holds_no_secret() {
        let user = LabUser::random();
        assert!(!format!("{user:?}").contains(user.secret_access_key.expose_secret()));
    }

    #[test]
    fn a_damaged_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        let error = LabUser::load_or_create(dir.path()).unwrap_err().to_string();
        assert!(error.contains(FILE), "{error}");
    }
}
