//! The engine and one host's way through it, on machines and an SSM that are models, under paused time.

mod endings;
mod fault;
mod hosts;
mod machine;
mod passwords;
mod proving;
mod retrying;
mod telling;
mod waves;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use targets::{Arch, PackageFormat};
use tokio::sync::{Semaphore, mpsc};

use self::machine::{Machine, Network};
use super::{Backend, Claims, Packages, Passwords, Rollout, Run, Site, collect, run};
use crate::{
    events::{Event, Events, Reader, RunId},
    inventory::{HostSpec, Tags},
    journal::Holder,
    packages::{Package, PackageError, Sha256Digest},
    report::{FleetReport, InventoryMark, Outcome},
    ssm::{ActivationPool, Activations, fake::FakeControlPlane},
};

struct Model;

impl Backend for Model {
    type Connector = Network;
    type ControlPlane = FakeControlPlane;
    type Packages = Shelf;
}

/// One package for everyone, after a while.
struct Shelf(Duration);

const VERSION: &str = "3.3.1000.0";

impl Packages for Shelf {
    async fn package(&self, arch: Arch, format: PackageFormat) -> Result<Arc<Package>, Arc<PackageError>> {
        tokio::time::sleep(self.0).await;
        Ok(Arc::new(Package {
            format,
            arch,
            name: "amazon-ssm-agent".to_owned(),
            version: VERSION.parse().unwrap(),
            sha256: Sha256Digest::of(b"package"),
            size: 7,
            content: b"package".as_slice().into(),
            signed_by: None,
            key_warning: None,
            origin: "a shelf".to_owned(),
            url: Some("https://me:hunter2@shelf.example/a.deb".parse().unwrap()),
        }))
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Event>>>);

impl Reader for Log {
    fn read(&mut self, _at: Timestamp, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// A fleet of machines of environment `dev`, with everything around it.
struct World {
    cloud: FakeControlPlane,
    machines: BTreeMap<String, Machine>,
    /// What whoever is asked for passwords says, by prompt; without it nobody is asked.
    passwords: Option<Vec<(Option<&'static str>, &'static str)>>,
    asked: passwords::Asked,
    concurrency: usize,
    uploads: usize,
    rollout: Rollout,
    within: Option<Duration>,
    /// How long a package takes to come.
    download: Duration,
    dry_run: bool,
    /// What earlier runs have seen.
    holders: Vec<Holder>,
    edit: fn(&mut HostSpec),
    log: Log,
}

impl World {
    fn new<const N: usize>(names: [&str; N]) -> Self {
        let cloud = FakeControlPlane::new();
        let machines = names.iter().map(|name| ((*name).to_owned(), Machine::new(&cloud))).collect();
        let log = Log::default();
        Self {
            cloud,
            machines,
            passwords: None,
            asked: passwords::Asked::default(),
            concurrency: 50,
            uploads: 16,
            rollout: Rollout::default(),
            within: None,
            download: Duration::ZERO,
            dry_run: false,
            holders: Vec::new(),
            edit: |_| {},
            log,
        }
    }

    fn machine(&self, name: &str) -> &Machine {
        &self.machines[name]
    }

    async fn run(&self) -> FleetReport {
        let (_sender, interrupts) = mpsc::channel(1);
        self.run_with(interrupts).await
    }

    async fn run_with(&self, interrupts: mpsc::Receiver<()>) -> FleetReport {
        let (events, readers) = Events::start(vec![Box::new(self.log.clone())]);
        let hosts: Vec<_> = self
            .machines
            .keys()
            .map(|name| {
                let mut host = HostSpec::for_test(name, "dev");
                (self.edit)(&mut host);
                Arc::new(host)
            })
            .collect();
        let mut passwords = Passwords::default();
        if let Some(known) = &self.passwords {
            let network = Arc::new(Network(self.machines.clone()));
            let mut source = passwords::Person { known: known.clone(), log: self.asked.clone() };
            let mut looking = |looked, all| self.asked.lock().unwrap().push(format!("{looked} of {all}"));
            passwords = collect(&network, &hosts, 2, &mut source, &mut looking).await;
            for machine in self.machines.values() {
                machine.state().execs.clear();
            }
        }
        let environment = hosts[0].environment.clone();
        let control_plane = Arc::new(self.cloud.clone());
        let id = RunId::new(Timestamp::now());
        let pool = ActivationPool {
            environment: environment.clone(),
            control_plane: control_plane.clone(),
            hosts: hosts.len(),
            tags: Tags::new(),
            patience: Duration::from_mins(30),
        };
        let activations = Activations::new(&id, [pool], |_| async {});
        let site = Site::new(control_plane, Arc::new(Shelf(self.download)));
        let report = run::<Model>(
            Run {
                id,
                inventory: InventoryMark::sample(hosts.len()),
                hosts,
                connector: Network(self.machines.clone()),
                passwords,
                sites: BTreeMap::from([(environment.name.clone(), site)]),
                activations,
                claims: Claims::after(self.holders.clone()),
                operator: "alice@controller".to_owned(),
                events,
                concurrency: self.concurrency,
                uploads: Semaphore::new(self.uploads),
                rollout: self.rollout.clone(),
                within: self.within,
                dry_run: self.dry_run,
            },
            interrupts,
        )
        .await;
        readers.await.unwrap();
        report
    }

    fn events(&self) -> Vec<Event> {
        self.log.0.lock().unwrap().clone()
    }
}

fn outcomes(report: &FleetReport) -> Vec<&'static str> {
    report.hosts.iter().map(|host| host.outcome.word()).collect()
}
