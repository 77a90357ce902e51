//! Drives the whole fleet: a task for each host that has its turn, and one place that selects over hosts, turns,
//! waves, Ctrl-C and the run's deadline. It ends with exactly one report for each host of the inventory.

mod claims;
mod crew;
mod host_run;
mod jitter;
mod passwords;
mod phase;
mod progress;
mod rollout;
mod spool;
#[cfg(test)]
mod tests;
mod waves;

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use jiff::Timestamp;
use targets::{Arch, PackageFormat};
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

use crate::{
    events::{Event, Events, RunId},
    host::Connect,
    inventory::{EnvironmentName, HostSpec},
    packages::{Package, PackageError},
    report::{FleetReport, InventoryMark},
    ssm::{Activations, ControlPlane, Lookup, Verifier},
};

pub use claims::Claims;
use crew::Crew;
pub use passwords::{Circle, PasswordSource, Passwords, collect};
use phase::{Phase, Phases};
pub use rollout::{Between, InvalidPortion, Portion, Rollout};
use rollout::{Next, Pace};
use waves::between;

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
    control_plane: Arc<B::ControlPlane>,
    /// Asks what it knows of nodes.
    lookup: Lookup<B::ControlPlane>,
    /// Waits until its nodes are Online.
    verifier: Verifier,
    /// Its packages.
    packages: Arc<B::Packages>,
    /// Places for tagging: whoever comes Online has given back its turn, and a poll may find a whole fleet Online.
    tagging: Arc<Semaphore>,
}

/// Nodes tagged at once.
const TAGGING: usize = 8;

impl<B: Backend> Site<B> {
    /// An environment's SSM and packages.
    pub fn new(control_plane: Arc<B::ControlPlane>, packages: Arc<B::Packages>) -> Self {
        let lookup = Lookup::new(control_plane.clone());
        let verifier = Verifier::start(control_plane.clone());
        Self { control_plane, lookup, verifier, packages, tagging: Arc::new(Semaphore::new(TAGGING)) }
    }
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
    /// What sudo asks for on them.
    pub passwords: Passwords,
    /// The environments of these hosts.
    pub sites: BTreeMap<EnvironmentName, Site<B>>,
    /// Their activations.
    pub activations: Activations<B::ControlPlane>,
    /// Which node and which machine each host turned out to be.
    pub claims: Claims,
    /// Who runs it and where: `alice@controller`.
    pub operator: String,
    /// Who is told.
    pub events: Events,
    /// Hosts worked on at once.
    pub concurrency: usize,
    /// Packages sent at once.
    pub uploads: Semaphore,
    /// In which waves they are started.
    pub rollout: Rollout,
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

impl<B: Backend> Run<B> {
    /// What the lock on a host says while this run is at work there.
    fn holder(&self) -> String {
        format!("run {} of {}", self.id, self.operator)
    }
}

/// Runs to the end. Each message on `interrupts` is a Ctrl-C: after the first nothing new starts and what runs
/// on a host ends; after the second everything is dropped.
pub async fn run<B: Backend>(run: Run<B>, mut interrupts: mpsc::Receiver<()>) -> FleetReport {
    let (started, clock) = (Timestamp::now(), Instant::now());
    let run = Arc::new(run);
    let phases = Phases::new();
    let turns = Arc::new(Semaphore::new(run.concurrency.max(1)));
    let mut crew = Crew::new(&run, clock);
    let mut pace = Pace::new(&run.rollout, run.hosts.len());
    // What lies between the last wave and the next, while it does.
    let mut pausing: Option<Pausing> = None;
    let mut why_not_started = "the run ended before its turn".to_owned();
    let mut asked = false;
    let deadline = run.within.map(|within| clock + within);

    loop {
        let may_start = phases.now() == Phase::Working && pace.may_start();
        if crew.is_idle() && !may_start && pausing.is_none() {
            break;
        }
        tokio::select! {
            Some(ended) = crew.next() => {
                // Nobody starts in its place before it is known what its end means.
                let (good, _turn) = crew.take(&run, ended).await;
                match pace.ended(good) {
                    Next::Wave if phases.now() == Phase::Working => {
                        let hosts = run.hosts.len();
                        pausing = Some(Box::pin(between(run.rollout.between.clone(), crew.started(), hosts)));
                    }
                    Next::Stop(why) if phases.now() == Phase::Working => {
                        why_not_started = stop(&run, &mut pace, why).await;
                    }
                    // A run that is ending starts nothing anyway, and what it cut short did not fail by itself.
                    Next::Wave | Next::Wait | Next::Stop(_) => {}
                }
            }
            Ok(turn) = turns.clone().acquire_owned(), if may_start => {
                pace.started();
                crew.start(&run, &phases, turn);
            }
            checked = over(&mut pausing) => match checked {
                Ok(()) => pace.open(),
                Err(why) => why_not_started = stop(&run, &mut pace, why).await,
            },
            Some(()) = interrupts.recv() => {
                run.events.send(Event::Interrupted).await;
                // After the deadline, too, the first Ctrl-C lets what runs end.
                if asked || phases.now() == Phase::Working {
                    phases.next();
                }
                asked = true;
                pausing = None;
                if phases.now() == Phase::Dropping {
                    crew.drop_all();
                }
            }
            () = at(deadline), if phases.now() == Phase::Working => {
                let text = "the run's limit is over; nothing new is started".to_owned();
                run.events.send(Event::Warning { host: None, text }).await;
                pausing = None;
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
        hosts: crew.reports(&run, &why_not_started).await,
        activations_left: left
            .into_iter()
            .filter(|(_, end)| end.is_err())
            .map(|(id, _)| id.to_string())
            .collect(),
    };
    run.events.send(Event::RunDone(report.clone())).await;
    report
}

/// What lies between two waves.
type Pausing = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Waits until it is over; for ever, if there is none.
async fn over(pausing: &mut Option<Pausing>) -> Result<(), String> {
    let Some(running) = pausing else { return std::future::pending().await };
    let checked = running.await;
    *pausing = None;
    checked
}

/// Nothing new starts any more; says why.
async fn stop<B: Backend>(run: &Run<B>, pace: &mut Pace, why: String) -> String {
    pace.stop();
    let text = format!("{why}; nothing new is started");
    run.events.send(Event::Warning { host: None, text }).await;
    format!("not started: {why}")
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
