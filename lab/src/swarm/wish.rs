//! What a swarm is asked for.

use std::sync::Arc;
use std::time::Duration;

use super::operator::{Activation, Operator};
use super::pace::Pace;
use super::service::Address;

/// A swarm that could be.
#[derive(Debug)]
pub struct Wish {
    /// The endpoint.
    pub address: Arc<Address>,
    /// How many agents.
    pub count: u32,
    /// Over how long their starts are spread.
    pub spread: Duration,
    /// How long the swarm lives; without, until it is stopped.
    pub run_for: Option<Duration>,
    /// How each agent behaves.
    pub habits: Habits,
    /// How they register.
    pub entry: Entry,
    /// What is done before the agents leave, and by whom.
    pub farewell: Farewell,
}

/// How an agent behaves.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// The factor on its own waits.
    pub pace: Pace,
    /// Whether it answers commands; otherwise it says nothing to them.
    pub answers_commands: bool,
}

/// How agents get into the endpoint's account.
#[derive(Debug)]
pub enum Entry {
    /// By an activation that exists, with room for all.
    Activation(Arc<Activation>),
    /// By activations the swarm makes, and deletes at its end.
    Create {
        /// Who makes them.
        operator: Operator,
        /// The role of the nodes.
        iam_role: String,
    },
}

/// What is done at the end.
#[derive(Debug, Default)]
pub struct Farewell {
    /// Who asks the endpoint what it says of the agents while they are still there.
    pub census: Option<Operator>,
    /// Who deregisters the agents' nodes once they are gone.
    pub deregister: Option<Operator>,
}
