//! What became of each host, and of the fleet: the one form that the final table, the JSON report
//! and the exit code are made from.

pub mod json;
pub mod machine;
pub mod table;

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    events::{RunId, Step},
    inventory::{EnvironmentName, HostName},
};

/// What became of one host.
#[derive(Clone, Debug, Serialize)]
pub struct HostReport {
    /// The host.
    pub host: HostName,
    /// Its environment.
    pub environment: EnvironmentName,
    /// How it ended.
    pub outcome: Outcome,
    /// The managed node, once the vault names one: `mi-` and 17 hex digits.
    pub node: Option<String>,
    /// Sentences of the actions that were done (or, in a dry run, would be).
    pub actions: Vec<String>,
    /// Commands that were run on the host.
    pub execs: u32,
    /// From its turn to its end.
    pub elapsed: Duration,
}

/// How a host ended. Every host of the inventory has exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// SSM says Online, proven in this run.
    Online {
        /// Something had to be done for it.
        changed: bool,
    },
    /// A dry run: this is what would be done; nothing if the actions are empty.
    Planned,
    /// Registered, but not Online within the limit.
    Registered {
        /// What SSM and the host say.
        why: String,
        /// What to do.
        hint: String,
    },
    /// A step went wrong, or the host was refused.
    Failed {
        /// Where.
        step: Step,
        /// What and why, in one sentence.
        why: String,
        /// The last lines of the command, if one failed.
        lines: Vec<String>,
        /// What to do.
        hint: String,
    },
    /// No connection came about.
    Unreachable {
        /// The true cause.
        why: String,
        /// What to do.
        hint: String,
    },
    /// Never started: the run ended before its turn.
    Skipped {
        /// Why.
        why: String,
    },
}

impl Outcome {
    /// The word for it in tables, reports and the journal.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Online { .. } => "online",
            Self::Planned => "planned",
            Self::Registered { .. } => "registered",
            Self::Failed { .. } => "failed",
            Self::Unreachable { .. } => "unreachable",
            Self::Skipped { .. } => "skipped",
        }
    }

    /// Is the host where the operator wants it (or, in a dry run, is its way there clear)?
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Online { .. } | Self::Planned)
    }
}

/// What became of the fleet.
#[derive(Clone, Debug, Serialize)]
pub struct FleetReport {
    /// The run.
    pub run: RunId,
    /// When it started.
    pub started: Timestamp,
    /// How long it took.
    pub elapsed: Duration,
    /// Nothing was to be changed.
    pub dry_run: bool,
    /// Ctrl-C, or the run's own limit, ended it early.
    pub interrupted: bool,
    /// One for each host of the inventory, in its order.
    pub hosts: Vec<HostReport>,
    /// Activations that were created and could not be deleted.
    pub activations_left: Vec<String>,
}

impl FleetReport {
    /// Hosts with this outcome, by its [`word`](Outcome::word).
    pub fn count(&self, word: &str) -> usize {
        self.hosts.iter().filter(|host| host.outcome.word() == word).count()
    }
}
