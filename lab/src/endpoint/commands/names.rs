//! What commands and their messages are called: the id of a command, and the name of the message that brings it to one
//! node, which is also the key of what became of it there.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::ids::{BadId, ManagedNodeId};

/// A text that names no command or message.
#[derive(Debug, Error)]
pub enum BadName {
    /// No UUID of 36 characters.
    #[error("`{0}` is not a command id (a UUID)")]
    Command(String),
    /// Not of the form that the agent knows.
    #[error("`{0}` is not a message id (aws.ssm.<command id>.<managed node id>)")]
    Message(String),
    /// A message for no managed node.
    #[error(transparent)]
    Node(#[from] BadId),
}

/// The id of a command: a UUID, written with hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommandId(Uuid);

impl CommandId {
    /// The id before all others.
    pub const FIRST: Self = Self(Uuid::nil());

    /// Reads an id.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        match Uuid::try_parse(text) {
            Ok(id) if text.len() == 36 => Ok(Self(id)),
            _ => Err(BadName::Command(text.to_owned())),
        }
    }

    /// A new id that no other command has.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

/// The name of a message to a node, `aws.ssm.<command id>.<managed node id>`: the `JobId` of the control channel and the
/// `MessageId` of ec2messages. They sort by node, so that what waits for one node is found together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageName {
    /// Whom it is for.
    pub node: ManagedNodeId,
    /// The command; a request to cancel one has an id of its own.
    pub command: CommandId,
}

impl MessageName {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let (command, node) = text
            .strip_prefix("aws.ssm.")
            .and_then(|rest| rest.split_once('.'))
            .ok_or_else(|| BadName::Message(text.to_owned()))?;
        Ok(Self { node: ManagedNodeId::parse(node)?, command: CommandId::parse(command)? })
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Display for MessageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "aws.ssm.{}.{}", self.command, self.node)
    }
}

macro_rules! text_of {
    ($name:ty) => {
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                Self::parse(&text)
            }
        }
    };
}

text_of!(CommandId);
text_of!(MessageName);

#[cfg(test)]
mod tests {
    use super::MessageName;

    #[test]
    fn a_message_is_named_as_the_agent_takes_it_apart() {
        let text = "aws.ssm.2b196342-d7d4-436e-8f09-3883a1116ac3.mi-0123456789abcdef0";
        let name = MessageName::parse(text).unwrap();
        assert_eq!(name.node.as_str(), "mi-0123456789abcdef0");
        assert_eq!(name.command.to_string(), "2b196342-d7d4-436e-8f09-3883a1116ac3");
        assert_eq!(name.to_string(), text);
    }

    #[test]
    fn what_names_no_message_is_refused() {
        for bad in [
            "",
            "aws.ssm.",
            "aws.ssm.x.mi-0123456789abcdef0",
            "aws.ssm.2b196342d7d4436e8f093883a1116ac3.mi-0123456789abcdef0",
            "aws.ssm.2b196342-d7d4-436e-8f09-3883a1116ac3.i-0123456789abcdef0",
            "aws.ssm.2b196342-d7d4-436e-8f09-3883a1116ac3.mi-0123456789abcdef0.more",
        ] {
            assert!(MessageName::parse(bad).is_err(), "{bad}");
        }
    }
}
