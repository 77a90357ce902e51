//! The running agent: role credentials, the empty report, the full one, then a heartbeat every five minutes; and
//! what it does when one of these fails.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::AGENT_VERSION;
use super::config::Config;
use super::credentials_file;
use super::diary::Diary;
use super::fingerprint::{self, FingerprintError};
use super::host::HostInformation;
use super::paths::Paths;
use super::schedule;
use super::service::{Proof, RoleCredentials, Service, ServiceError};
use super::time::{Ended, Time};
use super::vault::{Registration, Vault, VaultError};
use crate::node_key::{KeyError, NodeKey};
use crate::private_file;

/// Why a daemon cannot run at all; the real one logs it and exits with 0.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The vault holds no registration, or hybrid identities are switched off.
    #[error("failed to find agent identity")]
    NoIdentity,
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The key in the vault is damaged.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No fingerprint.
    #[error(transparent)]
    Fingerprint(#[from] FingerprintError),
    /// No way to call SSM.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// Runs the agent until its time ends.
pub fn run(paths: &Paths, config: &Config, diary: &Diary, time: &impl Time) -> Result<Ended, DaemonError> {
    let mut node = match Node::wake(paths, config, diary, time) {
        Err(error) => {
            diary.error(&error.to_string());
            let _ = time.pause(schedule::WITHOUT_IDENTITY);
            return Err(error);
        }
        Ok(node) => node,
    };
    let Err(ended) = node.live();
    Ok(ended)
}

enum Never {}

struct Node<'a, T> {
    paths: &'a Paths,
    config: &'a Config,
    diary: &'a Diary,
    time: &'a T,
    vault: Vault,
    registration: Registration,
    key: NodeKey,
    fingerprint: String,
    service: Service,
    credentials: Option<RoleCredentials>,
    refresh_at: Timestamp,
    token_failures: u32,
}

impl<'a, T: Time> Node<'a, T> {
    fn wake(
        paths: &'a Paths,
        config: &'a Config,
        diary: &'a Diary,
        time: &'a T,
    ) -> Result<Self, DaemonError> {
        let vault = Vault::new(paths);
        let registration =
            vault.registered()?.filter(|_| config.uses_on_prem_identity()).ok_or(DaemonError::NoIdentity)?;
        diary.info(&format!("Agent {AGENT_VERSION} starts as {}", registration.instance_id));
        let service = Service::new(config, config.region(&registration.region))?;
        Ok(Self {
            key: NodeKey::from_base64(&registration.private_key)?,
            fingerprint: fingerprint::current(paths, &vault, diary, time)?,
            paths,
            config,
            diary,
            time,
            vault,
            registration,
            service,
            credentials: None,
            refresh_at: Timestamp::MIN,
            token_failures: 0,
        })
    }

    fn live(&mut self) -> Result<Never, Ended> {
        self.credentials()?;
        self.time.pause(schedule::BEFORE_FIRST_REPORT)?;
        let mut failures = 0;
        while let Err(error) = self.report(&self.empty_report())? {
            self.diary.hibernation(&format!("Entering SSM Agent hibernate - {}", error.line()));
            self.time.pause(schedule::hibernation(failures))?;
            failures = failures.saturating_add(1);
        }
        self.time.pause(schedule::BEFORE_FULL_REPORT)?;
        self.beat("")?;
        self.time.pause(schedule::first_beat())?;
        loop {
            // Without message channels the real agent claims this one, whether it works or not.
            self.beat("ec2messages")?;
            self.time.pause(schedule::BEAT)?;
        }
    }

    fn beat(&mut self, channel: &str) -> Result<(), Ended> {
        let report = self.full_report(channel);
        match self.report(&report)? {
            Ok(()) => self.diary.info("Reported to SSM"),
            Err(error) => self.diary.error(&format!("Failed to report to SSM: {}", error.line())),
        }
        Ok(())
    }

    fn report(&mut self, report: &Value) -> Result<Result<(), ServiceError>, Ended> {
        let credentials = self.credentials()?;
        let call =
            self.service.call(self.time, "UpdateInstanceInformation", report, Proof::Role(&credentials));
        Ok(call.map(|_| ()))
    }

    /// Credentials that are good now. Old ones do while a refresh fails; without any there is nothing but to wait.
    fn credentials(&mut self) -> Result<RoleCredentials, Ended> {
        loop {
            let now = self.time.now();
            let good =
                self.credentials.clone().filter(|held| expiry(held).is_some_and(|expiry| now < expiry));
            if let Some(held) = good.clone().filter(|_| now < self.refresh_at) {
                return Ok(held);
            }
            match self.request_token() {
                Ok(fresh) => {
                    self.token_failures = 0;
                    let life = expiry(&fresh).map(|expiry| expiry.duration_since(now).unsigned_abs());
                    self.refresh_at = later(now, life.unwrap_or_default() / 2);
                    self.credentials = Some(fresh.clone());
                    self.share(&fresh);
                    return Ok(fresh);
                }
                Err(error) => {
                    self.token_failures = self.token_failures.saturating_add(1);
                    let pause = schedule::after_token_failure(error.code(), self.token_failures);
                    self.diary.error(&format!(
                        "Failed to refresh credentials: {}. Sleeping for {} s before retrying",
                        error.line(),
                        pause.as_secs()
                    ));
                    if let Some(held) = good {
                        self.refresh_at = later(now, pause);
                        return Ok(held);
                    }
                    self.time.pause(pause)?;
                }
            }
        }
    }

    fn request_token(&mut self) -> Result<RoleCredentials, ServiceError> {
        let id = self.registration.instance_id.clone();
        let body = json!({"Fingerprint": self.fingerprint});
        let answer = self.service.call(
            self.time,
            "RequestManagedInstanceRoleToken",
            &body,
            Proof::Key(&id, &self.key),
        )?;
        let credentials: RoleCredentials = serde_json::from_value(answer)?;
        if credentials.update_key_pair {
            match self.renew_key(&id) {
                Ok(()) => self.diary.info("The key pair was renewed"),
                Err(error) => self.diary.error(&format!("Failed to renew the key pair: {error}")),
            }
        }
        Ok(credentials)
    }

    /// The old key signs for the new one; the vault follows once SSM has taken it.
    fn renew_key(&mut self, id: &str) -> Result<(), DaemonError> {
        let key = NodeKey::generate()?;
        let body = json!({"NewPublicKey": key.public_base64()?, "NewPublicKeyType": "Rsa"});
        self.service.call(self.time, "UpdateManagedInstancePublicKey", &body, Proof::Key(id, &self.key))?;
        self.registration.private_key = key.to_base64()?;
        self.vault.store_registration(&self.registration)?;
        self.key = key;
        Ok(())
    }

    fn share(&self, credentials: &RoleCredentials) {
        let file = self.paths.shared_credentials();
        let shared = match self.config.shared_profile() {
            Some(profile) => credentials_file::share(&file, profile, credentials),
            None => Ok(()),
        };
        if let Err(error) = shared.and_then(|()| self.write_identity(credentials)) {
            self.diary.error(&error.to_string());
        }
    }

    fn write_identity(&self, credentials: &RoleCredentials) -> Result<(), private_file::WriteError> {
        let path = self.paths.identity_config();
        if let Some(dir) = path.parent() {
            private_file::private_dir(dir)?;
        }
        let content = json!({
            "SchemaVersion": "1.1",
            "InstanceId": self.registration.instance_id,
            "IdentityType": "OnPrem",
            "ShareFile": self.paths.shared_credentials(),
            "ShareProfile": self.config.shared_profile().unwrap_or_default(),
            "CredentialsExpiresAt": expiry(credentials).map(|time| time.to_string()),
            "CredentialsRetrievedAt": self.time.now().to_string(),
            "CredentialSource": "SSM",
        });
        private_file::write(&path, content.to_string().as_bytes())
    }

    fn empty_report(&self) -> Value {
        json!({
            "AgentName": "amazon-ssm-agent",
            "AgentVersion": AGENT_VERSION,
            "InstanceId": self.registration.instance_id,
            "PlatformType": "Linux",
        })
    }

    fn full_report(&self, channel: &str) -> Value {
        let host = HostInformation::observe(self.paths);
        json!({
            "AgentName": "amazon-ssm-agent",
            "AgentStatus": "Active",
            "AgentVersion": AGENT_VERSION,
            "AvailabilityZone": "",
            "AvailabilityZoneId": "",
            "ComputerName": host.computer_name,
            "IPAddress": host.ip_address,
            "InstanceId": self.registration.instance_id,
            "PlatformName": host.platform_name,
            "PlatformType": "Linux",
            "PlatformVersion": host.platform_version,
            "SSMConnectionChannel": channel,
        })
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a float beyond i64 saturates and is then out of range")]
fn expiry(credentials: &RoleCredentials) -> Option<Timestamp> {
    Timestamp::from_millisecond((credentials.token_expiration_date * 1000.0) as i64).ok()
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}
