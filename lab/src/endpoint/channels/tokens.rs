//! The tokens that open channels: random, good once and for minutes, one per channel end. They live in memory only and
//! are never shown but to whom they are issued.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};

use crate::endpoint::iam::keys::random_text;
use crate::endpoint::sessions::SessionId;
use crate::ids::ManagedNodeId;
use crate::sigv4::same_signature;

/// Long enough for an agent in an emulated guest to come back with it.
const LIFE: SignedDuration = SignedDuration::from_mins(5);
/// More than a fleet of the lab opens within the life of a token.
const MOST: usize = 10_000;
const LENGTH: usize = 64;

/// What a token opens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The control channel of a node.
    Control(ManagedNodeId),
    /// The agent's end of a session.
    Agent(SessionId),
    /// The client's end of a session.
    Client(SessionId),
}

/// The tokens that were issued and not yet used.
#[derive(Debug, Default)]
pub struct Tokens(Mutex<HashMap<Purpose, Issued>>);

#[derive(Debug)]
struct Issued {
    token: SecretString,
    expires: Timestamp,
}

impl Tokens {
    /// Issues a token; an older one for the same purpose is void. `None` if there are too many.
    pub fn issue(&self, purpose: Purpose, now: Timestamp) -> Option<SecretString> {
        let mut issued = self.lock();
        if issued.len() >= MOST {
            issued.retain(|_, issued| now < issued.expires);
        }
        if issued.len() >= MOST {
            return None;
        }
        let token = SecretString::from(random_text(LENGTH));
        let expires = now.saturating_add(LIFE).unwrap_or(now);
        issued.insert(purpose, Issued { token: token.clone(), expires });
        Some(token)
    }

    /// Whether this is the token issued for the purpose; it is used up then.
    pub fn redeem(&self, purpose: &Purpose, token: &SecretString, now: Timestamp) -> bool {
        let mut tokens = self.lock();
        let holds = tokens.get(purpose).is_some_and(|issued| {
            now < issued.expires && same_signature(issued.token.expose_secret(), token.expose_secret())
        });
        if holds {
            tokens.remove(purpose);
        }
        holds
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Purpose, Issued>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use secrecy::{ExposeSecret as _, SecretString};

    use super::{Purpose, Tokens};
    use crate::ids::ManagedNodeId;

    #[test]
    fn a_token_opens_its_own_channel_once() {
        let (tokens, now) = (Tokens::default(), Timestamp::now());
        let (one, other) =
            (Purpose::Control(ManagedNodeId::random()), Purpose::Control(ManagedNodeId::random()));
        let token = tokens.issue(one.clone(), now).unwrap();
        tokens.issue(other.clone(), now).unwrap();
        assert!(!tokens.redeem(&other, &token, now));
        assert!(!tokens.redeem(&one, &SecretString::from(String::new()), now));
        assert!(tokens.redeem(&one, &token, now), "a wrong guess before does no harm");
        assert!(!tokens.redeem(&one, &token, now), "it is used up");
    }

    #[test]
    fn a_newer_token_voids_the_older_and_minutes_void_both() {
        let (tokens, now) = (Tokens::default(), Timestamp::now());
        let purpose = Purpose::Control(ManagedNodeId::random());
        let old = tokens.issue(purpose.clone(), now).unwrap();
        let new = tokens.issue(purpose.clone(), now).unwrap();
        assert_ne!(old.expose_secret(), new.expose_secret());
        assert!(!tokens.redeem(&purpose, &old, now));
        assert!(!tokens.redeem(&purpose, &new, now + SignedDuration::from_mins(6)));
    }

    #[test]
    fn tokens_are_bounded_in_number_until_they_expire() {
        let (tokens, now) = (Tokens::default(), Timestamp::now());
        let issue = |now| tokens.issue(Purpose::Control(ManagedNodeId::random()), now);
        assert_eq!((0..20_000).filter(|_| issue(now).is_some()).count(), 10_000);
        assert!(issue(now + SignedDuration::from_mins(6)).is_some());
    }
}
