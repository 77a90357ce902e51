//! The filters of `ListCommands` and `ListCommandInvocations`.

use jiff::Timestamp;
use serde::Deserialize;

use crate::endpoint::commands::status::Standing;
use crate::endpoint::commands::{Command, shell_script};
use crate::endpoint::error::ApiError;

/// A filter as the request has it.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    key: Key,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Key {
    InvokedAfter,
    InvokedBefore,
    Status,
    ExecutionStage,
    DocumentName,
}

impl Filter {
    /// Whether a command, or an invocation of it, passes.
    pub(super) fn fits(&self, command: &Command, standing: Standing) -> bool {
        let time = || self.value.parse::<Timestamp>().ok();
        match self.key {
            Key::InvokedAfter => time().is_some_and(|time| command.requested >= time),
            Key::InvokedBefore => time().is_some_and(|time| command.requested < time),
            Key::Status => standing.is(&self.value),
            Key::ExecutionStage => command.over == (self.value == "Complete"),
            Key::DocumentName => self.value == shell_script::NAME,
        }
    }

    /// Refuses values that mean nothing, and keys that the operation has not.
    pub(super) fn check(&self, of_commands: bool) -> Result<(), ApiError> {
        let bad = match self.key {
            Key::InvokedAfter | Key::InvokedBefore => self.value.parse::<Timestamp>().is_err(),
            Key::ExecutionStage if of_commands => !["Executing", "Complete"].contains(&self.value.as_str()),
            Key::ExecutionStage => {
                let message = "ExecutionStage filters commands, not invocations; use Status";
                return Err(ApiError::client("InvalidFilterKey", message));
            }
            Key::Status | Key::DocumentName => false,
        };
        if bad {
            return Err(ApiError::validation(format!("{} is no value of {:?}", self.value, self.key)));
        }
        Ok(())
    }
}
