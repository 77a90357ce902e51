//! The hosts that are being worked on, and what became of those that were. Each has a task of its own; whatever becomes of
//! the task, there is one report.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    task::{Id, JoinError, JoinSet},
    time::Instant,
};

use super::{Backend, Run, host_run::HostRun, phase::Phases, progress::Progress};
use crate::{
    events::{Event, Step},
    report::{HostReport, Outcome},
};

/// A host's end: its report, and its turn if it still had it.
type End = (HostReport, Option<OwnedSemaphorePermit>);

/// Hosts that are being worked on.
pub(super) struct Crew {
    tasks: JoinSet<End>,
    /// Which host a task is, and how far it has come.
    seats: BTreeMap<Id, (usize, watch::Receiver<Progress>)>,
    reports: Vec<Option<HostReport>>,
    /// How many hosts have been started, in the inventory's order.
    started: usize,
    /// When the run began.
    began: Instant,
}

impl Crew {
    pub(super) fn new<B: Backend>(run: &Run<B>, began: Instant) -> Self {
        let reports = run.hosts.iter().map(|_| None).collect();
        Self { tasks: JoinSet::new(), seats: BTreeMap::new(), reports, started: 0, began }
    }

    /// Is nobody at work?
    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn started(&self) -> usize {
        self.started
    }

    /// Starts the next host.
    pub(super) fn start<B: Backend>(
        &mut self,
        run: &Arc<Run<B>>,
        phases: &Phases,
        turn: OwnedSemaphorePermit,
    ) {
        let Some(host) = run.hosts.get(self.started) else { return };
        let (progress, seat) = watch::channel(Progress::waiting(self.began));
        let task = HostRun::new(run.clone(), host.clone(), phases.subscribe(), progress, turn);
        let handle = self.tasks.spawn(task.run());
        self.seats.insert(handle.id(), (self.started, seat));
        self.started += 1;
    }

    /// The end of the next host to end; none if nobody is at work.
    pub(super) async fn next(&mut self) -> Option<Result<(Id, End), JoinError>> {
        self.tasks.join_next_with_id().await
    }

    /// Takes note of a host's end; whether it was a good one, and its turn.
    pub(super) async fn take<B: Backend>(
        &mut self,
        run: &Run<B>,
        ended: Result<(Id, End), JoinError>,
    ) -> (bool, Option<OwnedSemaphorePermit>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some((index, seat)) = self.seats.remove(&id) else { return (true, None) };
        let Some(host) = run.hosts.get(index) else { return (true, None) };
        let (report, turn) = match ended {
            Ok((_, end)) => end,
            Err(error) => (seat.borrow().report(host, dropped(seat.borrow().step, &error)), None),
        };
        // A task that was dropped has not told the last lines of its command, nor all that was done.
        let (said, untold) = {
            let progress = seat.borrow();
            (progress.said.clone(), progress.untold.clone())
        };
        said.tell(&host.name, &run.events).await;
        for (step, action) in untold {
            run.events.send(Event::Done { host: host.name.clone(), step, action }).await;
        }
        let good = report.outcome.is_good();
        self.keep(run, index, report).await;
        (good, turn)
    }

    /// Drops everything at once.
    pub(super) fn drop_all(&mut self) {
        self.tasks.abort_all();
    }

    /// One report for each host; for those that never started, this is why.
    pub(super) async fn reports<B: Backend>(
        mut self,
        run: &Run<B>,
        why_not_started: &str,
    ) -> Vec<HostReport> {
        for (index, host) in run.hosts.iter().enumerate().skip(self.started) {
            let skipped = Outcome::Skipped { why: why_not_started.to_owned() };
            self.keep(run, index, Progress::waiting(self.began).report(host, skipped)).await;
        }
        self.reports.into_iter().flatten().collect()
    }

    async fn keep<B: Backend>(&mut self, run: &Run<B>, index: usize, report: HostReport) {
        run.events.send(Event::HostDone(report.clone())).await;
        if let Some(place) = self.reports.get_mut(index) {
            *place = Some(report);
        }
    }
}

/// The outcome of a host whose task did not come to its end.
fn dropped(step: Step, error: &JoinError) -> Outcome {
    if error.is_panic() {
        Outcome::Failed {
            step,
            why: "bootstrap itself failed on this host".to_owned(),
            lines: Vec::new(),
            hint: "this is a bug; please report it with the text above".to_owned(),
        }
    } else if step == Step::Queue {
        Outcome::Skipped { why: "interrupted before its turn".to_owned() }
    } else {
        Outcome::Failed {
            step,
            why: "dropped by the second Ctrl-C; the host is in doubt, what ran there may still be running"
                .to_owned(),
            lines: Vec::new(),
            hint: "run the same command again: it looks at what is there and goes on from it".to_owned(),
        }
    }
}
