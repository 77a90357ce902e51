//! The role credentials of one agent: asked for by the node's key, held until half of their life is over.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::node::Identity;
use super::service::{CallError, Service};
use super::signing::{AccessKeys, Proof};
use super::tally::Tally;
use super::wish::Habits;
use crate::agent::schedule;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Issued {
    access_key_id: String,
    secret_access_key: SecretString,
    session_token: SecretString,
    token_expiration_date: f64,
    #[serde(rename = "UpdateKeyPair")]
    _update_key_pair: bool,
}

#[derive(Debug)]
struct Held {
    keys: AccessKeys,
    refresh_at: Timestamp,
    expires: Timestamp,
}

/// One agent's credentials. Whoever needs them first while they are stale fetches them for all.
#[derive(Debug, Default)]
pub(super) struct Role {
    held: Mutex<Option<Held>>,
}

impl Role {
    /// Keys that are good now. Old ones do while a refresh fails; without any there is nothing but to wait.
    pub(super) async fn keys(
        &self,
        service: &Service,
        identity: &Identity,
        habits: &Habits,
        tally: &Tally,
    ) -> AccessKeys {
        let mut held = self.held.lock().await;
        let mut failures = 0;
        loop {
            let now = Timestamp::now();
            if let Some(held) = held.as_ref().filter(|held| now < held.refresh_at) {
                return held.keys.clone();
            }
            let error = match request(service, identity).await {
                Ok(issued) => {
                    let fresh = hold(issued);
                    let keys = fresh.keys.clone();
                    *held = Some(fresh);
                    return keys;
                }
                Err(error) => error,
            };
            tally.complain(&error);
            failures += 1;
            let pause = schedule::after_token_failure(error.code(), failures);
            if let Some(held) = held.as_mut().filter(|held| now < held.expires) {
                held.refresh_at = later(now, habits.pace.scaled(pause)).min(held.expires);
                return held.keys.clone();
            }
            habits.pace.pause(pause).await;
        }
    }
}

async fn request(service: &Service, identity: &Identity) -> Result<Issued, CallError> {
    let body = json!({"Fingerprint": identity.fingerprint});
    let proof = Proof::Node(&identity.id, &identity.key);
    service.call("RequestManagedInstanceRoleToken", &body, proof).await
}

fn hold(issued: Issued) -> Held {
    let now = Timestamp::now();
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a float beyond i64 saturates and is then out of range"
    )]
    let expires =
        Timestamp::from_millisecond((issued.token_expiration_date * 1000.0) as i64).unwrap_or(now).max(now);
    Held {
        keys: AccessKeys {
            id: issued.access_key_id,
            secret: issued.secret_access_key,
            session_token: Some(issued.session_token),
        },
        refresh_at: later(now, expires.duration_since(now).unsigned_abs() / 2),
        expires,
    }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use secrecy::SecretString;

    use super::{Issued, hold};

    #[test]
    fn credentials_are_renewed_at_half_of_their_life() {
        let token = |life: i64| {
            let expires = Timestamp::now() + SignedDuration::from_secs(life);
            #[allow(clippy::cast_precision_loss, reason = "seconds of this century are exact")]
            let token_expiration_date = expires.as_second() as f64;
            let text = || SecretString::from(String::new());
            let access_key_id = "ASIA".to_owned();
            let (secret_access_key, session_token) = (text(), text());
            Issued {
                access_key_id,
                secret_access_key,
                session_token,
                token_expiration_date,
                _update_key_pair: false,
            }
        };
        let held = hold(token(3600));
        let left = held.expires.duration_since(held.refresh_at);
        assert!((1798..=1802).contains(&left.as_secs()), "{left:?}");
        let stale = hold(token(-3600));
        assert_eq!(
            stale.refresh_at, stale.expires,
            "a token of the past is asked for again, and not at once good"
        );
    }
}
