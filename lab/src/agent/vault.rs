//! The agent's vault: the registration with its private key, and the fingerprint. The truth about whether a host
//! is registered is the `instanceID` in here and nothing else.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;

use super::fingerprint::SavedFingerprint;
use super::paths::Paths;
use crate::private_file;

const REGISTRATION: &str = "RegistrationKey";
const FINGERPRINT: &str = "InstanceFingerprint";

/// Why the vault cannot be used.
#[derive(Debug, Error)]
pub enum VaultError {
    /// A file cannot be read.
    #[error("unable to read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file is damaged.
    #[error("{} is not what the vault wrote", path.display())]
    Parse { path: PathBuf, source: serde_json::Error },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] private_file::WriteError),
}

/// `Store/RegistrationKey`.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "members of the real agent's file")]
pub struct Registration {
    #[serde(rename = "instanceID")]
    pub instance_id: String,
    pub region: String,
    pub instance_type: String,
    pub availability_zone: String,
    pub private_key: String,
    pub public_key: String,
    pub private_key_type: String,
    pub private_key_created_date: String,
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registration")
            .field("instance_id", &self.instance_id)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// The vault of one host.
#[derive(Debug, Clone)]
pub struct Vault {
    paths: Paths,
}

impl Vault {
    /// The vault below these paths; it need not exist.
    #[must_use]
    pub fn new(paths: &Paths) -> Self {
        Self { paths: paths.clone() }
    }

    /// The registration, if the file is there; its instance id may be empty.
    pub fn registration(&self) -> Result<Option<Registration>, VaultError> {
        read(&self.paths.stored(REGISTRATION))
    }

    /// The id and all, if the host is registered.
    pub fn registered(&self) -> Result<Option<Registration>, VaultError> {
        Ok(self.registration()?.filter(|registration| !registration.instance_id.is_empty()))
    }

    /// Replaces the registration. A backup, if wanted, is the caller's duty; the real agent makes none.
    pub fn store_registration(&self, registration: &Registration) -> Result<(), VaultError> {
        self.store(REGISTRATION, registration)
    }

    /// The fingerprint, if one was ever made.
    pub fn fingerprint(&self) -> Result<Option<SavedFingerprint>, VaultError> {
        read(&self.paths.stored(FINGERPRINT))
    }

    /// Replaces the fingerprint.
    pub fn store_fingerprint(&self, fingerprint: &SavedFingerprint) -> Result<(), VaultError> {
        self.store(FINGERPRINT, fingerprint)
    }

    /// Writes the `registration` file. Only a successful registration does, so it goes stale.
    pub fn write_registration_file(&self, registration: &Registration) -> Result<(), VaultError> {
        let content =
            json!({"ManagedInstanceID": registration.instance_id, "Region": registration.region}).to_string();
        Ok(private_file::write(&self.paths.registration(), content.as_bytes())?)
    }

    fn store(&self, name: &str, value: &impl Serialize) -> Result<(), VaultError> {
        let path = self.paths.stored(name);
        if let Some(store) = path.parent() {
            private_file::private_dir(store)?;
        }
        let bytes =
            serde_json::to_vec(value).map_err(|source| VaultError::Parse { path: path.clone(), source })?;
        private_file::write(&path, &bytes)?;
        self.write_manifest()
    }

    fn write_manifest(&self) -> Result<(), VaultError> {
        let entries: serde_json::Map<_, _> = [FINGERPRINT, REGISTRATION]
            .into_iter()
            .map(|name| (name.to_owned(), self.paths.stored(name)))
            .filter(|(_, path)| path.exists())
            .map(|(name, path)| (name, json!(path)))
            .collect();
        let content = serde_json::Value::Object(entries).to_string();
        Ok(private_file::write(&self.paths.manifest(), content.as_bytes())?)
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, VaultError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| VaultError::Parse { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(VaultError::Read { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Paths, Registration, Vault};

    #[test]
    fn the_vault_has_the_files_and_modes_of_the_real_agent() {
        let root = tempfile::tempdir().unwrap();
        let vault = Vault::new(&Paths::new(root.path()));
        assert!(vault.registration().unwrap().is_none());
        vault
            .store_registration(&Registration { instance_id: "mi-1".into(), ..Registration::default() })
            .unwrap();
        let dir = root.path().join("var/lib/amazon/ssm/Vault");
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&dir.join("Store/RegistrationKey")), 0o600);
        assert_eq!(mode(&dir.join("Manifest")), 0o600);
        let manifest: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.join("Manifest")).unwrap()).unwrap();
        assert_eq!(
            manifest["RegistrationKey"],
            dir.join("Store/RegistrationKey").to_str().unwrap(),
            "the manifest names files by path"
        );
        let key: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.join("Store/RegistrationKey")).unwrap()).unwrap();
        assert_eq!(key["instanceID"], "mi-1");
        assert!(key["privateKeyCreatedDate"].is_string());
    }

    #[test]
    fn an_empty_instance_id_is_no_registration() {
        let root = tempfile::tempdir().unwrap();
        let vault = Vault::new(&Paths::new(root.path()));
        vault.store_registration(&Registration::default()).unwrap();
        assert!(vault.registration().unwrap().is_some());
        assert!(vault.registered().unwrap().is_none());
    }
}
