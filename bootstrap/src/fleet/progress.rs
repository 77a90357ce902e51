//! How far one host has come. It lives outside the host's task, so that a task which is dropped by a limit or a
//! second Ctrl-C leaves a report that tells what was done.

use std::{collections::VecDeque, sync::Arc};

use jiff::Timestamp;
use tokio::time::Instant;

use super::spool::Spool;
use crate::{
    events::Step,
    inventory::HostSpec,
    report::{HostReport, Outcome, StepTime},
    ssm::ManagedNodeId,
};

/// A (re)start of an agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restart {
    /// All of its pings are newer than that, by AWS's clock.
    pub(super) since: Timestamp,
    /// Older ones only are of the agent before; where the connection was lost first, that is not known.
    pub(super) heard: bool,
}

/// How far one host has come.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) step: Step,
    /// Every step it has entered, and when.
    entered: Vec<(Step, Instant)>,
    /// When the run began.
    run_began: Instant,
    /// When its turn came.
    pub(super) started: Option<Instant>,
    pub(super) node: Option<ManagedNodeId>,
    /// Sentences of what was done, or in a dry run of what would be.
    pub(super) actions: Vec<String>,
    /// What of it nobody was told yet, and the steps it was done in.
    pub(super) untold: VecDeque<(Step, String)>,
    pub(super) execs: u32,
    /// A command that changes the host was begun.
    pub(super) touched: bool,
    /// Where the first command that changes it began, or was lost: from then on what the host holds is known only of a
    /// host that is seen again.
    pub(super) in_doubt: Option<Step>,
    /// The last (re)start of its agent.
    pub(super) restarted: Option<Restart>,
    /// What commands printed on it.
    pub(super) said: Arc<Spool>,
}

impl Progress {
    /// A host of a run that began then, waiting for its turn.
    pub(super) fn waiting(run_began: Instant) -> Self {
        Self {
            step: Step::Queue,
            entered: Vec::new(),
            run_began,
            started: None,
            node: None,
            actions: Vec::new(),
            untold: VecDeque::new(),
            execs: 0,
            touched: false,
            in_doubt: None,
            restarted: None,
            said: Arc::default(),
        }
    }

    /// Notes that it entered a step; false if it is in it already.
    pub(super) fn enter(&mut self, step: Step) -> bool {
        let is_new = self.step != step;
        if is_new {
            self.entered.push((step, Instant::now()));
            self.step = step;
        }
        is_new
    }

    /// The report of a host that ended like this.
    pub(super) fn report(&self, host: &HostSpec, outcome: Outcome) -> HostReport {
        HostReport {
            host: host.name.clone(),
            environment: host.environment.name.clone(),
            outcome: self.doubted(outcome),
            node: self.node.as_ref().map(ToString::to_string),
            actions: self.actions.clone(),
            execs: self.execs,
            elapsed: self.started.map(|started| started.elapsed()).unwrap_or_default(),
            position: host.position,
            timeline: self.timeline(),
        }
    }

    /// A host that was lost while it was being changed or after, and could not be looked at again, is in doubt from that
    /// step on, whatever the last try said: it may have registered, and the journal goes by the step.
    fn doubted(&self, outcome: Outcome) -> Outcome {
        let Some(step) = self.in_doubt else { return outcome };
        match outcome {
            Outcome::Unreachable { why, hint } => Outcome::Failed { step, why, lines: Vec::new(), hint },
            Outcome::Skipped { why } => {
                let hint = "run the same command again: it goes on from here".to_owned();
                Outcome::Failed { step, why, lines: Vec::new(), hint }
            }
            Outcome::Failed { step: at, why, lines, hint } if at < Step::Upload => {
                Outcome::Failed { step, why, lines, hint }
            }
            other => other,
        }
    }

    fn timeline(&self) -> Vec<StepTime> {
        let ends = self.entered.iter().skip(1).map(|(_, at)| *at).chain([Instant::now()]);
        let step = |(&(step, began), ended): (&(Step, Instant), Instant)| StepTime {
            step,
            began: began.duration_since(self.run_began),
            ended: ended.duration_since(self.run_began),
        };
        self.entered.iter().zip(ends).map(step).collect()
    }
}
