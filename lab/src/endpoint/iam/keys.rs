//! Access keys, and the two files that keep them in the state directory: `users.json`, so that shells and profiles
//! survive a restart of the endpoint, and `credentials`, which AWS's tools read as `AWS_SHARED_CREDENTIALS_FILE`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use rand::Rng as _;
use rand::distr::Alphanumeric;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::private_file;

/// The file of random keys within the state directory.
pub const USERS_FILE: &str = "users.json";
/// The file of profiles within the state directory.
pub const CREDENTIALS_FILE: &str = "credentials";

/// Why keys cannot be kept.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file is there and cannot be read.
    #[error("cannot read the users' keys from {}; make it readable, or remove it, and new keys are made", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// The file holds something else. What the parser says is left out: it may quote a secret.
    #[error("{}:{line}:{column}: this is no list of users and keys; remove the file, and new keys are made", path.display())]
    Parse { path: PathBuf, line: usize, column: usize },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] private_file::WriteError),
}

/// An access key.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// Its id, not secret.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
}

impl AccessKey {
    /// A new long-lived key.
    #[must_use]
    pub fn random() -> Self {
        Self { id: access_key_id("AKIA"), secret: random_text(40).into() }
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

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Stored {
    access_key_id: String,
    secret_access_key: String,
}

/// The random keys of all users there ever were: a user that is back in the config has the old key back.
pub(super) struct KeyStore {
    path: PathBuf,
    keys: BTreeMap<String, Stored>,
    changed: bool,
}

impl KeyStore {
    /// Reads the keys kept in `state_dir`; none at the first start.
    pub(super) fn load(state_dir: &Path) -> Result<Self, KeyError> {
        let path = state_dir.join(USERS_FILE);
        let keys = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| KeyError::Parse {
                path: path.clone(),
                line: error.line(),
                column: error.column(),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(KeyError::Read { path, source }),
        };
        Ok(Self { path, keys, changed: false })
    }

    /// The user's key, made if there was none.
    pub(super) fn key_of(&mut self, user: &str) -> AccessKey {
        if let Some(stored) = self.keys.get(user) {
            return AccessKey {
                id: stored.access_key_id.clone(),
                secret: stored.secret_access_key.clone().into(),
            };
        }
        let key = AccessKey::random();
        let stored = Stored {
            access_key_id: key.id.clone(),
            secret_access_key: key.secret.expose_secret().to_owned(),
        };
        self.keys.insert(user.to_owned(), stored);
        self.changed = true;
        key
    }

    /// Writes what is new.
    pub(super) fn store(&self) -> Result<(), KeyError> {
        if !self.changed {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&self.keys).map_err(|_| KeyError::Parse {
            path: self.path.clone(),
            line: 0,
            column: 0,
        })?;
        Ok(private_file::write(&self.path, &text)?)
    }
}

/// Writes the profiles, each a name and its key, in the order given.
pub(super) fn write_profiles<'a>(
    state_dir: &Path,
    profiles: impl IntoIterator<Item = (&'a str, &'a str, &'a SecretString)>,
) -> Result<(), KeyError> {
    let mut text = String::from("# Written by ssm-lab at every start.\n");
    for (name, id, secret) in profiles {
        let secret = secret.expose_secret();
        // Writing to a string does not fail.
        let _ = write!(text, "\n[{name}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    }
    Ok(private_file::write(&state_dir.join(CREDENTIALS_FILE), text.as_bytes())?)
}
