//! The node's role credentials, shared by all threads: fetched with the node's key, renewed at half their life, and
//! the key pair renewed when SSM asks for it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::daemon::DaemonError;
use super::node::Node;
use super::proof::{Proof, RoleCredentials};
use super::schedule;
use super::service::{Service, ServiceError};
use super::time::Ended;
use super::vault::{Registration, Vault};
use super::{credentials_file, fingerprint};
use crate::node_key::NodeKey;
use crate::private_file;

/// The time that Go writes for none.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The role of one node.
#[derive(Debug)]
pub struct Role<'a> {
    node: &'a Node,
    ssm: &'a Service,
    fingerprint: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    vault: Vault,
    registration: Registration,
    key: NodeKey,
    credentials: Option<RoleCredentials>,
    refresh_at: Timestamp,
    failures: u32,
}

impl<'a> Role<'a> {
    /// The role of the registered node; nothing is asked for yet.
    pub fn new(
        node: &'a Node,
        ssm: &'a Service,
        vault: Vault,
        registration: Registration,
    ) -> Result<Self, DaemonError> {
        let key = NodeKey::from_base64(&registration.private_key)?;
        let fingerprint = fingerprint::current(&node.paths, &vault, &node.diary, &node.time)?;
        let state =
            State { vault, registration, key, credentials: None, refresh_at: Timestamp::MIN, failures: 0 };
        Ok(Self { node, ssm, fingerprint, state: Mutex::new(state) })
    }

    /// Credentials that are good now. Old ones do while a refresh fails; without any there is nothing but to wait.
    pub fn credentials(&self) -> Result<RoleCredentials, Ended> {
        // One thread asks, the others wait for what it gets.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let node = self.node;
        loop {
            node.time.check()?;
            let now = node.time.now();
            let good =
                state.credentials.clone().filter(|held| expiry(held).is_some_and(|expiry| now < expiry));
            if let Some(held) = good.clone().filter(|_| now < state.refresh_at) {
                return Ok(held);
            }
            match self.request_token(&mut state) {
                Ok(fresh) => {
                    state.failures = 0;
                    let life = expiry(&fresh).map(|expiry| expiry.duration_since(now).unsigned_abs());
                    state.refresh_at = later(now, life.unwrap_or_default() / 2);
                    state.credentials = Some(fresh.clone());
                    self.share(&fresh);
                    return Ok(fresh);
                }
                Err(error) => {
                    state.failures = state.failures.saturating_add(1);
                    let pause = schedule::after_token_failure(error.code(), state.failures);
                    node.diary.error(&format!(
                        "Failed to refresh credentials: {}. Sleeping for {} s before retrying",
                        error.line(),
                        pause.as_secs()
                    ));
                    if let Some(held) = good {
                        state.refresh_at = later(now, node.time.scaled(pause));
                        return Ok(held);
                    }
                    node.time.pause(pause)?;
                }
            }
        }
    }

    fn request_token(&self, state: &mut State) -> Result<RoleCredentials, ServiceError> {
        let node = self.node;
        let answer = self.ssm.call(
            &node.time,
            "RequestManagedInstanceRoleToken",
            &json!({"Fingerprint": self.fingerprint}),
            Proof::Key(&node.id, &state.key),
        )?;
        let credentials: RoleCredentials = serde_json::from_value(answer)?;
        if credentials.update_key_pair {
            match self.renew_key(state) {
                Ok(()) => node.diary.info("The key pair was renewed"),
                Err(error) => node.diary.error(&format!("Failed to renew the key pair: {error}")),
            }
        }
        Ok(credentials)
    }

    /// The old key signs for the new one; the vault follows once SSM has taken it.
    fn renew_key(&self, state: &mut State) -> Result<(), DaemonError> {
        let node = self.node;
        let key = NodeKey::generate()?;
        let body = json!({"NewPublicKey": key.public_base64()?, "NewPublicKeyType": "Rsa"});
        let proof = Proof::Key(&node.id, &state.key);
        self.ssm.call(&node.time, "UpdateManagedInstancePublicKey", &body, proof)?;
        state.registration.private_key = key.to_base64()?;
        state.vault.store_registration(&state.registration)?;
        state.key = key;
        Ok(())
    }

    fn share(&self, credentials: &RoleCredentials) {
        let file = self.node.paths.shared_credentials();
        let shared = match self.node.config.shared_profile() {
            Some(profile) => credentials_file::share(&file, profile, credentials),
            None => Ok(()),
        };
        if let Err(error) = shared.and_then(|()| self.write_identity(credentials)) {
            self.node.diary.error(&error.to_string());
        }
    }

    fn write_identity(&self, credentials: &RoleCredentials) -> Result<(), private_file::WriteError> {
        let node = self.node;
        let path = node.paths.identity_config();
        if let Some(dir) = path.parent() {
            private_file::private_dir(dir)?;
        }
        let (file, expires, retrieved, source) = match node.config.shared_profile() {
            Some(_) => {
                let expires = expiry(credentials).map(|time| time.to_string());
                let file = node.paths.shared_credentials().display().to_string();
                (file, expires, node.time.now().to_string(), "SSM")
            }
            // Then the worker holds them by itself, and nobody notes how long they are good.
            None => (String::new(), Some(NEVER.to_owned()), NEVER.to_owned(), ""),
        };
        let content = json!({
            "SchemaVersion": "1.1",
            "InstanceId": node.id,
            "IdentityType": "OnPrem",
            "ShareFile": file,
            "ShareProfile": node.config.shared_profile().unwrap_or_default(),
            "CredentialsExpiresAt": expires,
            "CredentialsRetrievedAt": retrieved,
            "CredentialSource": source,
        });
        private_file::write(&path, content.to_string().as_bytes())
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a float beyond i64 saturates and is then out of range")]
fn expiry(credentials: &RoleCredentials) -> Option<Timestamp> {
    Timestamp::from_millisecond((credentials.token_expiration_date * 1000.0) as i64).ok()
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}
