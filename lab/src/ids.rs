//! The identifiers that travel between the endpoint and the agent, checked once where they come in.

use std::fmt;

use rand::Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text that is not the identifier it should be.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not {expected}")]
pub struct BadId {
    text: String,
    expected: &'static str,
}

/// The id of a managed node: `mi-` and 17 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ManagedNodeId(String);

impl ManagedNodeId {
    const DIGITS: usize = 17;

    /// Reads an id, refusing whatever `DeregisterManagedInstance` would refuse.
    pub fn parse(text: &str) -> Result<Self, BadId> {
        match text.strip_prefix("mi-") {
            Some(digits) if digits.len() == Self::DIGITS && is_lower_hex(digits) => Ok(Self(text.to_owned())),
            _ => Err(BadId {
                text: text.to_owned(),
                expected: "a managed node id (mi- and 17 lower-case hexadecimal digits)",
            }),
        }
    }

    /// A new id that no other node has.
    #[must_use]
    pub fn random() -> Self {
        let mut digits = hex::encode(rand::rng().random::<[u8; 9]>());
        digits.truncate(Self::DIGITS);
        Self(format!("mi-{digits}"))
    }

    /// The id as AWS writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of a hybrid activation: a lower-case UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActivationId(String);

impl ActivationId {
    /// Reads an id of the form `8-4-4-4-12`.
    pub fn parse(text: &str) -> Result<Self, BadId> {
        let groups: Vec<&str> = text.split('-').collect();
        let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
        if lengths == [8, 4, 4, 4, 12] && groups.iter().all(|group| is_lower_hex(group)) {
            return Ok(Self(text.to_owned()));
        }
        Err(BadId { text: text.to_owned(), expected: "an activation id (a lower-case UUID)" })
    }

    /// A new id that no other activation has.
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().hyphenated().to_string())
    }

    /// The id as AWS writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

macro_rules! text_of {
    ($id:ty) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$id> for String {
            fn from(id: $id) -> Self {
                id.0
            }
        }

        impl TryFrom<String> for $id {
            type Error = BadId;

            fn try_from(text: String) -> Result<Self, BadId> {
                Self::parse(&text)
            }
        }
    };
}

text_of!(ManagedNodeId);
text_of!(ActivationId);

#[cfg(test)]
mod tests {
    use super::{ActivationId, ManagedNodeId};

    #[test]
    fn a_node_id_has_seventeen_lower_case_digits() {
        assert!(ManagedNodeId::parse("mi-0123456789abcdef0").is_ok());
        for bad in ["mi-0123456789ABCDEF0", "mi-0123456789abcdef", "i-0123456789abcdef0", "mi-", ""] {
            assert!(ManagedNodeId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_activation_id_is_a_lower_case_uuid() {
        assert!(ActivationId::parse("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0").is_ok());
        for bad in ["0F1E2D3C-4b5a-6978-8796-a5b4c3d2e1f0", "0f1e2d3c4b5a69788796a5b4c3d2e1f0", ""] {
            assert!(ActivationId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn random_ids_are_ids_and_differ() {
        let (one, two) = (ManagedNodeId::random(), ManagedNodeId::random());
        assert!(ManagedNodeId::parse(one.as_str()).is_ok());
        assert_ne!(one, two);
        assert!(ActivationId::parse(ActivationId::random().as_str()).is_ok());
    }
}
