//! AWS's words for how commands and invocations stand: `Status` for programs, `StatusDetails` for people.

use super::{Command, CommandId, Invocation, Outcome, Stage, invocations};
use crate::endpoint::estate::Estate;

/// A `Status` and its `StatusDetails`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// One of the model's enumeration.
    pub status: &'static str,
    /// The finer word.
    pub details: &'static str,
}

const fn both(word: &'static str) -> Standing {
    Standing { status: word, details: word }
}

impl Standing {
    /// Whether a `Status` filter means it: either word will do.
    #[must_use]
    pub fn is(&self, word: &str) -> bool {
        self.status == word || self.details == word
    }

    /// The `Status` of a plugin, which has fewer words than an invocation.
    #[must_use]
    pub fn of_plugin(&self) -> &'static str {
        match self.status {
            "Delayed" => "Pending",
            "Cancelling" => "InProgress",
            status => status,
        }
    }
}

impl Outcome {
    /// Whether it counts against `MaxErrors`.
    #[must_use]
    pub fn is_error(self) -> bool {
        matches!(self, Self::Failed | Self::ExecutionTimedOut)
    }

    fn standing(self) -> Standing {
        match self {
            Self::Success => both("Success"),
            Self::Failed => both("Failed"),
            Self::Cancelled => both("Cancelled"),
            Self::DeliveryTimedOut => Standing { status: "TimedOut", details: "DeliveryTimedOut" },
            Self::ExecutionTimedOut => Standing { status: "TimedOut", details: "ExecutionTimedOut" },
            Self::Undeliverable => Standing { status: "Failed", details: "Undeliverable" },
            Self::Terminated => Standing { status: "Cancelled", details: "Terminated" },
        }
    }
}

impl Invocation {
    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match (self.stage, self.cancellation) {
            (Stage::Over { outcome }, _) => outcome.standing(),
            (_, Some(_)) => both("Cancelling"),
            (Stage::Queued | Stage::Waiting { delayed: false, .. }, None) => both("Pending"),
            (Stage::Waiting { delayed: true, .. }, None) => both("Delayed"),
            (Stage::Sent { .. } | Stage::Running { .. }, None) => both("InProgress"),
        }
    }
}

/// How a command stands on its nodes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// How it stands as a whole.
    pub standing: Standing,
    /// On how many nodes it is over.
    pub completed: usize,
    /// On how many it failed or ran too long.
    pub errors: usize,
    /// To how many it was never brought.
    pub delivery_timed_out: usize,
}

/// Counts a command's invocations.
#[must_use]
pub fn tally(estate: &Estate, id: CommandId, command: &Command) -> Tally {
    let all: Vec<&Invocation> = invocations(estate, id, command).map(|(_, invocation)| invocation).collect();
    let count = |wanted: fn(Outcome) -> bool| {
        all.iter().filter(|invocation| invocation.outcome().is_some_and(wanted)).count()
    };
    let completed = count(|_| true);
    let standing = if completed < all.len() { unfinished(&all) } else { finished(command, &count) };
    Tally {
        standing,
        completed,
        errors: count(Outcome::is_error),
        delivery_timed_out: count(|outcome| outcome == Outcome::DeliveryTimedOut),
    }
}

fn unfinished(all: &[&Invocation]) -> Standing {
    let begun = |invocation: &&Invocation| !matches!(invocation.stage, Stage::Queued | Stage::Waiting { .. });
    if all.iter().any(|invocation| invocation.outcome().is_none() && invocation.cancellation.is_some()) {
        both("Cancelling")
    } else if all.iter().any(begun) {
        both("InProgress")
    } else {
        both("Pending")
    }
}

fn finished(command: &Command, count: &impl Fn(fn(Outcome) -> bool) -> usize) -> Standing {
    let allowed = command.max_errors.of_errors(command.nodes.len());
    if command.nodes.is_empty() {
        Standing { status: "Success", details: "NoInstancesInTag" }
    } else if count(|outcome| outcome == Outcome::Cancelled) > 0 {
        both("Cancelled")
    } else if count(|outcome| outcome == Outcome::Success) == command.nodes.len() {
        both("Success")
    } else if count(|outcome| outcome == Outcome::Failed) > allowed {
        both("Failed")
    } else if count(Outcome::is_error) > allowed {
        Outcome::ExecutionTimedOut.standing()
    } else if count(|outcome| outcome == Outcome::DeliveryTimedOut) > allowed {
        Outcome::DeliveryTimedOut.standing()
    } else {
        Standing { status: "Failed", details: "Incomplete" }
    }
}
