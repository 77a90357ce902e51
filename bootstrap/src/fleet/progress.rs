//! How far one host has come. It lives outside the host's task, so that a task which is dropped by a limit or a
//! second Ctrl-C leaves a report that tells what was done.

use crate::{
    events::Step,
    inventory::HostSpec,
    report::{HostReport, Outcome},
    ssm::ManagedNodeId,
};
use tokio::time::Instant;

/// How far one host has come.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) step: Step,
    /// When its turn came.
    pub(super) started: Option<Instant>,
    pub(super) node: Option<ManagedNodeId>,
    /// Sentences of what was done, or in a dry run of what would be.
    pub(super) actions: Vec<String>,
    pub(super) execs: u32,
    /// A command that changes the host was begun.
    pub(super) touched: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self { step: Step::Queue, started: None, node: None, actions: Vec::new(), execs: 0, touched: false }
    }
}

impl Progress {
    /// The report of a host that ended like this.
    pub(super) fn report(&self, host: &HostSpec, outcome: Outcome) -> HostReport {
        HostReport {
            host: host.name.clone(),
            environment: host.environment.name.clone(),
            outcome,
            node: self.node.as_ref().map(ToString::to_string),
            actions: self.actions.clone(),
            execs: self.execs,
            elapsed: self.started.map(|started| started.elapsed()).unwrap_or_default(),
        }
    }
}
