//! The id of a session: the name of who started it and 17 hexadecimal digits, which is what lets a policy say "your own
//! sessions".

use std::fmt;

use rand::Rng as _;
use serde::{Deserialize, Serialize};
use thiserror::Error;

const DIGITS: usize = 17;
/// The model's limit, less the hyphen and the digits.
const LONGEST_NAME: usize = 96 - 1 - DIGITS;

/// A text that is no session's id.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a session id (a name, a hyphen and 17 lower-case hexadecimal digits)")]
pub struct BadSessionId(String);

/// A session's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

impl SessionId {
    /// A new id for a session of this user.
    #[must_use]
    pub fn random(user: &str) -> Self {
        let name: String = user.chars().filter(|letter| is_name(*letter)).take(LONGEST_NAME).collect();
        let name = if name.is_empty() { "session" } else { &name };
        let mut digits = hex::encode(rand::rng().random::<[u8; 9]>());
        digits.truncate(DIGITS);
        Self(format!("{name}-{digits}"))
    }

    /// Reads an id.
    pub fn parse(text: &str) -> Result<Self, BadSessionId> {
        let is_id = text.rsplit_once('-').is_some_and(|(name, digits)| {
            (1..=LONGEST_NAME).contains(&name.len())
                && name.chars().all(is_name)
                && digits.len() == DIGITS
                && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
        if is_id { Ok(Self(text.to_owned())) } else { Err(BadSessionId(text.chars().take(96).collect())) }
    }

    /// The id as AWS writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The letters of names in IAM; all of them may stand in a path.
fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter)
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl TryFrom<String> for SessionId {
    type Error = BadSessionId;

    fn try_from(text: String) -> Result<Self, BadSessionId> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::SessionId;

    #[test]
    fn an_id_begins_with_the_name_of_its_user() {
        let id = SessionId::random("ana.b@lab");
        assert!(id.as_str().starts_with("ana.b@lab-"), "{id}");
        assert_eq!(SessionId::parse(id.as_str()), Ok(id));
    }

    #[test]
    fn any_name_gives_an_id_within_the_model() {
        for name in ["", "a/b?c d", &"x".repeat(200)] {
            let id = SessionId::random(name);
            assert!(id.as_str().len() <= 96);
            assert_eq!(SessionId::parse(id.as_str()), Ok(id));
        }
    }

    #[test]
    fn other_texts_are_no_ids() {
        for bad in ["", "-0123456789abcdef0", "ana-0123456789ABCDEF0", "ana-0123", "a/b-0123456789abcdef0"] {
            assert!(SessionId::parse(bad).is_err(), "{bad}");
        }
    }
}
