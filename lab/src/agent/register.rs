//! `amazon-ssm-agent -register`, with the real one's order of doing things: the vault is overwritten with a new key and
//! an empty id *before* the endpoint is asked, so a registration that fails has already destroyed the old one.

use std::io::{BufRead, Write};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use thiserror::Error;

use super::config::Config;
use super::diary::Diary;
use super::fingerprint::{self, FingerprintError};
use super::paths::Paths;
use super::proof::Proof;
use super::service::{Service, ServiceError};
use super::time::Time;
use super::vault::{Registration, Vault, VaultError};
use crate::node_key::{KeyError, NodeKey};

const SHORTEST_CODE: usize = 20;
const SHORTEST_ID: usize = 36;

/// What is needed to register.
#[derive(Debug)]
pub struct Wish {
    /// The activation's id.
    pub activation_id: String,
    /// The activation's code.
    pub activation_code: SecretString,
    /// The region to register in.
    pub region: String,
}

/// Why a registration failed. The words are the real agent's.
#[derive(Debug, Error)]
pub enum RegisterError {
    /// Id or code are too short to be sent.
    #[error("InvalidParameter: {count} validation error(s) found.\n{details}")]
    Parameters { count: usize, details: String },
    /// SSM refused, or was not reached.
    #[error("{}", .0.line())]
    Service(#[from] ServiceError),
    /// The answer has no id.
    #[error("no InstanceId in the answer")]
    NoId,
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// No key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No fingerprint.
    #[error(transparent)]
    Fingerprint(#[from] FingerprintError),
}

/// Asks whether an existing registration may go; anything but a word that starts with `y` keeps it.
pub fn may_override(input: &mut impl BufRead, output: &mut impl Write) -> bool {
    let _ = write!(
        output,
        "Instance already registered. Would you like to override existing with new registration information? \
         [Yes/No]: "
    );
    let _ = output.flush();
    let mut line = String::new();
    let _ = input.read_line(&mut line);
    line.split_whitespace().next().is_some_and(|word| word.starts_with(['y', 'Y']))
}

/// Registers this host. Returns the new node's id.
pub fn register(
    paths: &Paths,
    config: &Config,
    diary: &Diary,
    time: &Time,
    wish: &Wish,
) -> Result<String, RegisterError> {
    let vault = Vault::new(paths);
    let fingerprint = fingerprint::current(paths, &vault, diary, time)?;
    let key = NodeKey::generate()?;
    let mut registration = Registration {
        region: wish.region.clone(),
        private_key: key.to_base64()?,
        private_key_type: "Rsa".to_owned(),
        private_key_created_date: time.now().strftime("%Y-%m-%d %H:%M:%S%.9f +0000 UTC").to_string(),
        ..Registration::default()
    };
    vault.store_registration(&registration)?;

    check(wish)?;
    let request = json!({
        "ActivationCode": wish.activation_code.expose_secret(),
        "ActivationId": wish.activation_id,
        "Fingerprint": fingerprint,
        "PublicKey": key.public_base64()?,
        "PublicKeyType": "Rsa",
    });
    let service = Service::ssm(config, &wish.region)?;
    let answer = service.call(time, "RegisterManagedInstance", &request, Proof::None)?;
    let id = answer.get("InstanceId").and_then(|id| id.as_str()).ok_or(RegisterError::NoId)?;
    id.clone_into(&mut registration.instance_id);
    vault.store_registration(&registration)?;
    vault.write_registration_file(&registration)?;
    Ok(id.to_owned())
}

fn check(wish: &Wish) -> Result<(), RegisterError> {
    let mut details = Vec::new();
    if wish.activation_code.expose_secret().len() < SHORTEST_CODE {
        details.push(format!(
            "- minimum field size of {SHORTEST_CODE}, RegisterManagedInstanceInput.ActivationCode.\n"
        ));
    }
    if wish.activation_id.len() < SHORTEST_ID {
        details.push(format!(
            "- minimum field size of {SHORTEST_ID}, RegisterManagedInstanceInput.ActivationId.\n"
        ));
    }
    if details.is_empty() {
        return Ok(());
    }
    Err(RegisterError::Parameters { count: details.len(), details: details.concat() })
}

/// `-register -clear`: empties the vault's registration; the `registration` file stays, as it does with the real one.
pub fn clear(paths: &Paths) -> Result<(), VaultError> {
    Vault::new(paths).store_registration(&Registration::default())
}

#[cfg(test)]
mod tests {
    use super::may_override;

    #[test]
    fn only_a_yes_overrides() {
        for (answer, expected) in [
            ("yes\n", true),
            ("Y\n", true),
            ("  yo\n", true),
            ("no\n", false),
            ("maybe\n", false),
            ("\n", false),
            ("", false),
        ] {
            let mut output = Vec::new();
            assert_eq!(may_override(&mut answer.as_bytes(), &mut output), expected, "{answer:?}");
            assert_eq!(
                String::from_utf8(output).unwrap(),
                "Instance already registered. Would you like to override existing with new registration \
                 information? [Yes/No]: "
            );
        }
    }
}
