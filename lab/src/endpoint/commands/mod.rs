//! Commands sent to managed nodes: what was asked, and what became of it on each node. The API over them is in
//! `operations`; here are their life ([`progress`]), the way to the agent and back ([`delivery`], [`reply`]) and the words
//! AWS has for how they stand ([`status`]).

pub mod delivery;
pub mod names;
pub mod progress;
mod rate;
pub mod reply;
pub mod shell_script;
pub mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::estate::Estate;
use crate::ids::ManagedNodeId;

pub use delivery::{acknowledged, deliver_pending, replied};
pub use names::{CommandId, MessageName};
pub use rate::Rate;

/// How long AWS keeps commands.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// More commands than these are not kept, so that they cannot fill the memory; the oldest finished go first.
const MOST_KEPT: usize = 5000;

/// A command, as it was asked for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Command {
    /// The version of the document, as asked for.
    pub document_version: String,
    /// What the document is to be run with.
    pub parameters: Parameters,
    /// Free text.
    pub comment: Option<String>,
    /// The nodes named one by one.
    pub instance_ids: Vec<ManagedNodeId>,
    /// How else nodes were picked.
    pub targets: Vec<Target>,
    /// The nodes it is for.
    pub nodes: Vec<ManagedNodeId>,
    /// On how many of them at a time.
    pub max_concurrency: Rate,
    /// After how many errors it is not begun on more.
    pub max_errors: Rate,
    /// How long it may wait for the agent, `TimeoutSeconds`.
    pub delivery_seconds: u32,
    /// How long it may run on a node.
    pub execution_seconds: u32,
    /// When it was asked for.
    pub requested: Timestamp,
    /// Whether it is over on all nodes.
    pub over: bool,
}

/// Parameters of a document. AWS calls them sensitive; they are shown to those who may ask, and not in `Debug`.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parameters(pub BTreeMap<String, Vec<String>>);

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Picks nodes by a tag or by id.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Target {
    /// `tag:<key>`, `tag-key` or `InstanceIds`.
    pub key: String,
    /// Any of these will do.
    #[serde(default)]
    pub values: Vec<String>,
}

/// What became of a command on one node.
#[derive(Debug, Serialize, Deserialize)]
pub struct Invocation {
    /// How far it is.
    pub stage: Stage,
    /// The request to the agent to end it, if one was made.
    pub cancellation: Option<Cancellation>,
    /// What the agent told of it.
    pub result: Option<PluginResult>,
    /// What the agent told of the document as a whole.
    pub trace: String,
}

/// The stages of an invocation, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Other nodes come first.
    Queued,
    /// It is this node's turn, and its agent was not there to take it.
    Waiting {
        /// When its turn came.
        since: Timestamp,
        /// Whether an attempt to reach the node failed.
        delayed: bool,
    },
    /// It was sent to the agent, which has not acknowledged it.
    Sent {
        /// When its turn came.
        since: Timestamp,
        /// Until when `GetMessages` does not show it again.
        hidden_until: Timestamp,
    },
    /// The agent has it.
    Running {
        /// When it acknowledged.
        since: Timestamp,
    },
    /// It ended.
    Over {
        /// How.
        outcome: Outcome,
    },
}

/// How an invocation can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "AWS's words, explained by AWS")]
pub enum Outcome {
    Success,
    Failed,
    DeliveryTimedOut,
    ExecutionTimedOut,
    Undeliverable,
    Cancelled,
    Terminated,
}

/// The message that asks an agent to end a command.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Cancellation {
    /// Its own id: to the agent it is a job like any other.
    pub id: CommandId,
    /// When it was asked for.
    pub requested: Timestamp,
    /// Until when `GetMessages` does not show it again, once it was sent.
    pub hidden_until: Option<Timestamp>,
    /// Whether the agent has it.
    pub taken: bool,
}

/// What the agent told of the one plugin of the document, cut to what AWS keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginResult {
    /// The exit code.
    pub code: i32,
    /// Both outputs in one, as the agent puts them together.
    pub output: String,
    /// The first 24,000 characters.
    pub standard_output: String,
    /// The first 8,000 characters.
    pub standard_error: String,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

impl Invocation {
    fn queued() -> Self {
        Self { stage: Stage::Queued, cancellation: None, result: None, trace: String::new() }
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.stage {
            Stage::Over { outcome } => Some(outcome),
            _ => None,
        }
    }
}

/// Takes up a new command; nothing is sent yet.
pub fn add(estate: &mut Estate, id: CommandId, command: Command) {
    forget_old(estate, command.requested);
    for node in &command.nodes {
        estate.invocations.insert(MessageName { node: node.clone(), command: id }, Invocation::queued());
    }
    estate.commands.insert(id, command);
}

/// The invocations of a command, by node.
pub fn invocations<'a>(
    estate: &'a Estate,
    id: CommandId,
    command: &'a Command,
) -> impl Iterator<Item = (MessageName, &'a Invocation)> {
    command.nodes.iter().filter_map(move |node| {
        let name = MessageName { node: node.clone(), command: id };
        let invocation = estate.invocations.get(&name)?;
        Some((name, invocation))
    })
}

fn forget_old(estate: &mut Estate, now: Timestamp) {
    let mut finished: Vec<(Timestamp, CommandId)> = estate
        .commands
        .iter()
        .filter(|(_, command)| command.over)
        .map(|(id, command)| (command.requested, *id))
        .collect();
    finished.sort_unstable();
    let beyond = (estate.commands.len() + 1).saturating_sub(MOST_KEPT);
    for (place, (requested, id)) in finished.into_iter().enumerate() {
        if place >= beyond && now.duration_since(requested) < KEPT {
            break;
        }
        if let Some(command) = estate.commands.remove(&id) {
            for node in command.nodes {
                estate.invocations.remove(&MessageName { node, command: id });
            }
        }
    }
}

/// Whether there is room for one more command; those that are not over are never forgotten.
#[must_use]
pub fn has_room(estate: &Estate) -> bool {
    estate.commands.len() < MOST_KEPT || estate.commands.iter().any(|(_, command)| command.over)
}
