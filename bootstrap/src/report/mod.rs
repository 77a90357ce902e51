//! What became of each host, and of the fleet: the one form that the final table, the JSON report
//! and the exit code are made from.

mod causes;
pub mod folder;
pub mod html;
pub mod json;
pub mod junit;
pub mod logs;
pub mod machine;
pub mod merge;
mod names;
pub mod rerun;
pub mod table;
mod words;

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;

use crate::{
    events::{RunId, Step},
    inventory::{EnvironmentName, HostName, Inventory},
};

/// What became of one host.
#[derive(Clone, Debug)]
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
    /// Its place in the inventory, from 1.
    pub position: usize,
    /// The steps it went through, in order; one it came back to is there again.
    pub timeline: Vec<StepTime>,
}

/// A step of one host, on the run's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepTime {
    /// The step.
    pub step: Step,
    /// From the run's beginning to the step's.
    pub began: Duration,
    /// From the run's beginning to the step's end.
    pub ended: Duration,
}

/// Which inventory a report is of: reports of the same one can be put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryMark {
    /// Its file, absolute.
    pub path: PathBuf,
    /// `sha256:` and 64 hex digits, of the file's text.
    pub digest: String,
    /// How many hosts are in it; a part of a fleet's report has fewer.
    pub hosts: usize,
}

impl InventoryMark {
    /// What a report says of this inventory.
    #[must_use]
    pub fn of(inventory: &Inventory) -> Self {
        Self {
            path: std::path::absolute(&inventory.path).unwrap_or_else(|_| inventory.path.clone()),
            digest: inventory.digest.clone(),
            hosts: inventory.hosts.len(),
        }
    }
}

#[cfg(test)]
impl InventoryMark {
    /// The inventory of reports in tests.
    pub(crate) fn sample(hosts: usize) -> Self {
        Self { path: "/etc/fleet/hosts.toml".into(), digest: format!("sha256:{}", "0".repeat(64)), hosts }
    }
}

/// How a host ended. Every host of the inventory has exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// What to do about a clone.
pub const CLONE_HINT: &str = "one is a clone of the other, or both are one machine: on the clone run `amazon-ssm-agent -register -clear`, then the same command again";

impl Outcome {
    /// The end of a host with the node of another one.
    pub fn clone_of(other: &HostName, node: &str, step: Step) -> Self {
        let why = format!("its vault names {node}, as the vault of {other} does");
        Self::Failed { step, why, lines: Vec::new(), hint: CLONE_HINT.to_owned() }
    }

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
#[derive(Clone, Debug)]
pub struct FleetReport {
    /// The run; of merged reports, the one that started first.
    pub run: RunId,
    /// The runs whose reports were put together; empty for the report of one run.
    pub merged: Vec<RunId>,
    /// What it was about.
    pub inventory: InventoryMark,
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
    /// Is every host where the operator wants it?
    pub fn is_good(&self) -> bool {
        self.hosts.iter().all(|host| host.outcome.is_good())
    }

    /// Hosts with this outcome, by its [`word`](Outcome::word).
    pub fn count(&self, word: &str) -> usize {
        self.hosts.iter().filter(|host| host.outcome.word() == word).count()
    }
}
