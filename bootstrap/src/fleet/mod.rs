//! Drives the whole fleet: a task for each host behind a semaphore, and one place that selects over hosts,
//! Ctrl-C and the run's deadline. It ends with exactly one report for each host of the inventory.

mod claims;
mod host_run;
mod phase;
mod progress;
mod spool;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc, time::Duration};

use jiff::Timestamp;
use targets::{Arch, PackageFormat};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::{Id, JoinError, JoinSet},
    time::Instant,
};

use crate::{
    events::{Event, Events, RunId, Step},
    host::Connect,
    inventory::{EnvironmentName, HostSpec},
    packages::{Package, PackageError},
    report::{FleetReport, HostReport, InventoryMark, Outcome},
    ssm::{Activations, ControlPlane, Verifier},
};

pub use claims::Claims;
use host_run::HostRun;
use phase::{Phase, Phases};
use progress::Progress;

/// What the engine works with: the real things in the program, models in its tests.
pub trait Backend: Send + Sync + 'static {
    /// Connects to hosts.
    type Connector: Connect;
    /// Speaks to SSM.
    type ControlPlane: ControlPlane;
    /// Has the agent's packages.
    type Packages: Packages;
}

/// Has the agent's packages.
pub trait Packages: Send + Sync + 'static {
    /// The package of a kind; the same for all who ask, fetched once.
    fn package(
        &self,
        arch: Arch,
        format: PackageFormat,
    ) -> impl Future<Output = Result<Arc<Package>, Arc<PackageError>>> + Send;
}

/// An environment as the run sees it.
pub struct Site<B: Backend> {
    /// Its SSM.
    pub control_plane: Arc<B::ControlPlane>,
    /// Waits until its nodes are Online.
    pub verifier: Verifier,
    /// Its packages.
    pub packages: Arc<B::Packages>,
}

impl<B: Backend> fmt::Debug for Site<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Site")
    }
}

/// A run over a fleet.
pub struct Run<B: Backend> {
    /// Its id.
    pub id: RunId,
    /// The inventory that they are of.
    pub inventory: InventoryMark,
    /// The hosts, in the order in which they are reported.
    pub hosts: Vec<Arc<HostSpec>>,
    /// Connects to them.
    pub connector: B::Connector,
    /// The environments of these hosts.
    pub sites: BTreeMap<EnvironmentName, Site<B>>,
    /// Their activations.
    pub activations: Activations<B::ControlPlane>,
    /// Which node and which machine each host turned out to be.
    pub claims: Claims,
    /// Who is told.
    pub events: Events,
    /// Hosts worked on at once.
    pub concurrency: usize,
    /// The limit of the whole run.
    pub within: Option<Duration>,
    /// Only observe and plan.
    pub dry_run: bool,
}

impl<B: Backend> fmt::Debug for Run<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("id", &self.id).field("hosts", &self.hosts.len()).finish_non_exhaustive()
    }
}

/// Hosts that are being worked on.
struct Crew {
    tasks: JoinSet<HostReport>,
    /// Which host a task is, and how far it has come.
    seats: BTreeMap<Id, (usize, watch::Receiver<Progress>)>,
    reports: Vec<Option<HostReport>>,
}

/// Runs to the end. Each message on `interrupts` is a Ctrl-C: after the first nothing new starts and what runs
/// on a host ends; after the second everything is dropped.
pub async fn run<B: Backend>(run: Run<B>, mut interrupts: mpsc::Receiver<()>) -> FleetReport {
    let (started, clock) = (Timestamp::now(), Instant::now());
    let run = Arc::new(run);
    let phases = Phases::new();
    let mut crew = Crew::new(&run, &phases, clock);
    let mut asked = false;
    let deadline = run.within.map(|within| clock + within);

    while !crew.tasks.is_empty() {
        tokio::select! {
            Some(ended) = crew.tasks.join_next_with_id() => crew.take(&run, ended).await,
            Some(()) = interrupts.recv() => {
                run.events.send(Event::Interrupted).await;
                // After the deadline, too, the first Ctrl-C lets what runs end.
                if asked || phases.now() == Phase::Working {
                    phases.next();
                }
                asked = true;
                if phases.now() == Phase::Dropping {
                    crew.tasks.abort_all();
                }
            }
            () = at(deadline), if phases.now() == Phase::Working => {
                let text = "the run's limit is over; nothing new is started".to_owned();
                run.events.send(Event::Warning { host: None, text }).await;
                phases.next();
            }
        }
    }
    let left = run.activations.close().await;
    let report = FleetReport {
        run: run.id.clone(),
        merged: Vec::new(),
        inventory: run.inventory.clone(),
        started,
        elapsed: clock.elapsed(),
        dry_run: run.dry_run,
        interrupted: phases.now() != Phase::Working,
        hosts: crew.reports.into_iter().flatten().collect(),
        activations_left: left
            .into_iter()
            .filter(|(_, end)| end.is_err())
            .map(|(id, _)| id.to_string())
            .collect(),
    };
    run.events.send(Event::RunDone(report.clone())).await;
    report
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Crew {
    fn new<B: Backend>(run: &Arc<Run<B>>, phases: &Phases, began: Instant) -> Self {
        let turns = Arc::new(Semaphore::new(run.concurrency.max(1)));
        let mut crew = Self { tasks: JoinSet::new(), seats: BTreeMap::new(), reports: Vec::new() };
        for (index, host) in run.hosts.iter().enumerate() {
            let (progress, seat) = watch::channel(Progress::waiting(began));
            let task = HostRun::new(run.clone(), host.clone(), phases.subscribe(), progress);
            let handle = crew.tasks.spawn(task.run(turns.clone()));
            crew.seats.insert(handle.id(), (index, seat));
            crew.reports.push(None);
        }
        crew
    }

    async fn take<B: Backend>(&mut self, run: &Run<B>, ended: Result<(Id, HostReport), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some((index, seat)) = self.seats.remove(&id) else { return };
        let Some(host) = run.hosts.get(index) else { return };
        let report = match ended {
            Ok((_, report)) => report,
            Err(error) => seat.borrow().report(host, dropped(seat.borrow().step, &error)),
        };
        // A task that was dropped has not told the last lines of its command.
        let said = seat.borrow().said.clone();
        said.tell(&host.name, &run.events).await;
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
