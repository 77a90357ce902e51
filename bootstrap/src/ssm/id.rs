//! The ids AWS gives to managed nodes and activations. They come from a host's disk, from files and
//! from AWS itself, so they are checked once here and are good ever after.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The id of a managed node: `mi-` and 17 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ManagedNodeId(String);

/// The id of an activation: a UUID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActivationId(String);

/// A text that is not the id of a managed node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of a managed node, which is `mi-` and 17 lower-case hex digits")]
pub struct InvalidManagedNodeId(String);

/// A text that is not the id of an activation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{length} characters that are not an activation id, which is a UUID such as 0f2e9f5c-7d30-4b4f-9d3f-3a5f6f1c2b7e"
)]
pub struct InvalidActivationId {
    /// All that is told of it: whoever swaps id and code must not read the code in an error.
    length: usize,
}

fn lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl FromStr for ManagedNodeId {
    type Err = InvalidManagedNodeId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("mi-") {
            Some(digits) if digits.len() == 17 && lower_hex(digits) => Ok(Self(text.to_owned())),
            _ => Err(InvalidManagedNodeId(text.chars().take(40).collect())),
        }
    }
}

impl FromStr for ActivationId {
    type Err = InvalidActivationId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let groups = text.split('-');
        let lengths = groups.clone().map(str::len);
        if lengths.eq([8, 4, 4, 4, 12]) && groups.into_iter().all(lower_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidActivationId { length: text.chars().count() })
        }
    }
}

macro_rules! text_id {
    ($($id:ident or $error:ident),+) => {$(
        impl $id {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl TryFrom<String> for $id {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
        impl From<$id> for String {
            fn from(id: $id) -> Self {
                id.0
            }
        }
    )+};
}
text_id!(ManagedNodeId or InvalidManagedNodeId, ActivationId or InvalidActivationId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_managed_node_id_is_what_aws_describes_and_nothing_else() {
        assert_eq!("mi-0123456789abcdef0".parse::<ManagedNodeId>().unwrap().as_str(), "mi-0123456789abcdef0");
        for wrong in [
            "",
            "mi-",
            "i-0123456789abcdef0",
            "mi-0123456789ABCDEF0",
            "mi-0123456789abcdef",
            "mi-0123456789abcdef00",
            "mi-0123456789abcdeg0",
            " mi-0123456789abcdef0",
            "mi-ééééééééé",
        ] {
            assert!(wrong.parse::<ManagedNodeId>().is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn an_activation_id_is_a_uuid_and_nothing_else() {
        assert!("0f2e9f5c-7d30-4b4f-9d3f-3a5f6f1c2b7e".parse::<ActivationId>().is_ok());
        for wrong in [
            "",
            "----",
            "0f2e9f5c7d304b4f9d3f3a5f6f1c2b7e",
            "0F2E9F5C-7d30-4b4f-9d3f-3a5f6f1c2b7e",
            "0f2e9f5c-7d30-4b4f-9d3f-3a5f6f1c2b7e-",
        ] {
            assert!(wrong.parse::<ActivationId>().is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn a_code_in_the_place_of_an_activation_id_is_not_shown() {
        let error = "Fq3pzR8uXhJ2mN5tYv7w".parse::<ActivationId>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("Fq3"), "{error:?}");
    }

    #[test]
    fn ids_are_checked_when_they_are_read_from_json() {
        assert!(serde_json::from_str::<ManagedNodeId>("\"mi-0123456789abcdef0\"").is_ok());
        assert!(serde_json::from_str::<ManagedNodeId>("\"mi-1\"").is_err());
    }
}
