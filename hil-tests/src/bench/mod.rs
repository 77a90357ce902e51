//! Where a scenario runs: one machine, a local SSM endpoint of its own, and `bootstrap` as a user would run it. A bench
//! serves many scenarios, one after the other; before each it brings machine and endpoint to where the scenario starts.

mod admin;
mod controller;
mod invariants;
mod prepare;
mod record;
mod registration;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use secrecy::ExposeSecret as _;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::kinds::Kind;
use crate::lab::inventory::{self, Host, Urls};
use crate::lab::{Endpoint, Paths, Programs, endpoint};
use crate::machine::Machine;
use crate::report::Mark;
use crate::scenarios::Start;
pub use controller::{Ran, Running};
pub use invariants::Ending;
pub use prepare::Stock;
pub use record::Record;

/// The name of the machine in the inventory.
pub const HOST: &str = "host-1";
/// The name of the second machine, where a scenario has one.
pub const SECOND: &str = "host-2";

/// A machine with everything that a scenario needs around it.
#[derive(Debug)]
pub struct Bench {
    kind: &'static Kind,
    machine: Box<dyn Machine>,
    second: Option<Box<dyn Machine>>,
    stock: Arc<Stock>,
    paths: Paths,
    endpoint: Option<Endpoint>,
    standing: Option<Start>,
    record: Record,
    logs: Vec<(&'static str, PathBuf, u64)>,
    seed: u64,
    runs: u32,
    undisturbed: Option<Duration>,
    /// Where the journal of a board whose disk stays was when its endpoint began.
    journal: Option<String>,
    /// Ended with the bench.
    _timekeeper: JoinSet<()>,
}

impl Bench {
    /// The machine under test.
    #[must_use]
    pub fn machine(&self) -> &dyn Machine {
        &*self.machine
    }

    /// What kind of machine it is.
    #[must_use]
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// The second machine, where the scenario asked for one.
    pub fn second(&self) -> Result<&dyn Machine> {
        self.second.as_deref().context("this scenario asked for no second machine")
    }

    /// The programs under test.
    #[must_use]
    pub fn programs(&self) -> &Programs {
        &self.stock.programs
    }

    /// The files of its endpoint and inventory.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Random choices of this scenario: the same for the same seed.
    #[must_use]
    pub fn random(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }

    /// How long a run over this bare machine takes when nothing happens, if that was measured.
    #[must_use]
    pub fn undisturbed(&self) -> Option<Duration> {
        self.undisturbed
    }

    /// Measures it. The machine is a managed node afterwards.
    pub async fn measure_undisturbed(&mut self) -> Result<Duration> {
        let begin = Instant::now();
        self.enrol().await?.expect_code(0)?;
        Ok(*self.undisturbed.insert(begin.elapsed()))
    }

    /// Notes in the timeline that something happens now.
    pub fn mark(&self, what: impl Into<String>) {
        self.record.mark(what);
    }

    /// The timeline of this scenario so far.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        self.record.marks()
    }

    /// Keeps what the logs of machine and endpoint have grown by in this scenario.
    pub fn keep_logs(&self) {
        for (name, path, length) in &self.logs {
            self.record.keep(name, path, *length);
        }
    }

    /// Remembers how long every log is now.
    fn watch_logs(&mut self) {
        let logs = [
            ("console.log", self.machine.console()),
            ("endpoint.log", self.paths.endpoint_log()),
            ("qmp.log", self.machine.console().with_file_name("qmp.log")),
        ];
        let length = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
        self.logs = logs.into_iter().map(|(name, path)| (name, path.clone(), length(&path))).collect();
    }

    /// The endpoint, which must be up.
    pub fn endpoint(&self) -> Result<&Endpoint> {
        self.endpoint.as_ref().context("the endpoint is down")
    }

    /// Takes the endpoint away: a service that is not reachable.
    pub async fn stop_endpoint(&mut self) {
        self.mark("the endpoint goes away");
        endpoint::stop(&self.paths).await;
        self.endpoint = None;
    }

    /// Brings the endpoint back, where it was.
    pub async fn start_endpoint(&mut self) -> Result<()> {
        let address = self.machine.controller_address();
        let name = self.machine.host_seen_from_inside();
        self.endpoint = Some(Endpoint::start(&self.paths, &self.stock.programs, address, name).await?);
        self.mark("the endpoint is up");
        Ok(())
    }

    /// A command as root on the machine; its stdout.
    pub async fn root(&self, command: &[&str]) -> Result<String> {
        Ok(self.machine.login("root").run(command).await?)
    }

    /// A script of one line as root on the machine; its stdout.
    pub async fn root_sh(&self, script: &str) -> Result<String> {
        self.root(&["sh", "-c", script]).await
    }

    /// Makes the machine trust the endpoint's authority. Into the bundle that agents read: update-ca-certificates runs
    /// openssl for each of all the others, for minutes on an emulated machine.
    pub async fn trust_endpoint(&self) -> Result<()> {
        let ca = self.endpoint()?.ca.clone().context("the endpoint serves no TLS")?;
        self.machine.login("root").copy_in(&ca, "/root/lab.crt").await?;
        self.root_sh("cat /root/lab.crt >> /etc/ssl/certs/ca-certificates.crt").await?;
        Ok(())
    }

    /// The inventory with this machine alone.
    #[must_use]
    pub fn inventory(&self) -> PathBuf {
        self.paths.inventory()
    }

    /// A copy of the inventory, changed, beside it.
    pub fn changed_inventory(&self, change: impl FnOnce(String) -> String) -> Result<PathBuf> {
        let text = fs::read_to_string(self.paths.inventory()).context("can't read the inventory")?;
        let path = self.paths.directory().join("changed.toml");
        fs::write(&path, change(text)).context("can't write the changed inventory")?;
        Ok(path)
    }

    /// An inventory with both machines, in `dev` and `prod`.
    pub fn inventory_of_both(&self) -> Result<PathBuf> {
        let text =
            inventory_text(self.kind, self.endpoint()?, &[(HOST, self.machine()), (SECOND, self.second()?)])?;
        let known = [self.machine(), self.second()?].map(known_hosts_line);
        let known: String = known.into_iter().collect::<Result<_>>()?;
        crate::private_file::write(&self.paths.known_hosts(), &known).context("can't write known_hosts")?;
        let path = self.paths.directory().join("both.toml");
        fs::write(&path, text).context("can't write the inventory of both")?;
        Ok(path)
    }

    /// `bootstrap` on the inventory, to its end.
    pub async fn enrol(&mut self) -> Result<Ran> {
        let inventory = self.inventory();
        self.enrol_by(&inventory).await
    }

    /// `bootstrap` on another inventory, to its end.
    pub async fn enrol_by(&mut self, inventory: &Path) -> Result<Ran> {
        self.start_enrolling(inventory)?.finish(self).await
    }

    /// `bootstrap` on an inventory, going on.
    pub fn start_enrolling(&mut self, inventory: &Path) -> Result<Started> {
        self.start(&["--inventory", &inventory.to_string_lossy(), "--output", "json"])
    }

    /// `bootstrap` with these arguments, to its end.
    pub async fn run(&mut self, arguments: &[&str]) -> Result<Ran> {
        self.start(arguments)?.finish(self).await
    }

    /// `bootstrap` with these arguments, going on.
    pub fn start(&mut self, arguments: &[&str]) -> Result<Started> {
        self.runs += 1;
        self.mark(format!("bootstrap {}", arguments.join(" ")));
        let running = Running::start(self.command(arguments)?)?;
        Ok(Started { running, number: self.runs })
    }

    /// Where `bootstrap` of this scenario keeps its journal and its cache.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.paths.directory().join("home")
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        fs::create_dir_all(self.home()).context("can't make a home for bootstrap")?;
        let mut command = Command::new(&self.stock.programs.bootstrap);
        command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.home());
        if let Some(endpoint) = &self.endpoint {
            command.env("AWS_ACCESS_KEY_ID", &endpoint.access_key_id);
            command.env("AWS_SECRET_ACCESS_KEY", endpoint.secret_access_key.expose_secret());
        }
        Ok(command)
    }

    /// Writes inventory and known hosts for the machine as it is reached now.
    fn write_inventory(&self) -> Result<()> {
        let text = inventory_text(self.kind, self.endpoint()?, &[(HOST, self.machine())])?;
        crate::private_file::write(&self.paths.inventory(), &text).context("can't write the inventory")?;
        let known = known_hosts_line(self.machine())?;
        crate::private_file::write(&self.paths.known_hosts(), &known).context("can't write known_hosts")?;
        let identity = self.machine.login("admin").identity;
        fs::copy(&identity, self.paths.identity()).context("can't copy the key pair")?;
        Ok(())
    }
}

/// A `bootstrap` that goes on, and its number in the scenario.
#[derive(Debug)]
pub struct Started {
    running: Running,
    number: u32,
}

impl Started {
    /// What goes on.
    pub fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    /// SIGKILL. What it said is kept.
    pub async fn kill(self, bench: &Bench) -> Result<()> {
        bench.keep(self.number, "stderr", &self.running.said());
        bench.mark("bootstrap is killed");
        self.running.kill().await
    }

    /// Waits for its end; all that it said is kept.
    pub async fn finish(self, bench: &Bench) -> Result<Ran> {
        let ran = self.running.end().await?;
        bench.keep(self.number, "stdout", &ran.stdout);
        bench.keep(self.number, "stderr", &ran.stderr);
        bench.mark(format!("bootstrap ended with exit code {}", ran.code));
        Ok(ran)
    }
}

impl Bench {
    fn keep(&self, number: u32, stream: &str, text: &str) {
        let path = self.record.directory().join(format!("bootstrap-{number}.{stream}"));
        // A log that can't be kept must not change how the scenario ends.
        let _ = fs::write(path, text);
    }
}

fn inventory_text(kind: &Kind, endpoint: &Endpoint, machines: &[(&str, &dyn Machine)]) -> Result<String> {
    let [(_, first), ..] = machines else { bail!("an inventory of no machine") };
    let agent = endpoint.url_seen_from(*first);
    let environments = ["dev", "prod"];
    let hosts: Vec<Host> = machines
        .iter()
        .zip(environments)
        .map(|((name, machine), environment)| {
            let login = machine.login("admin");
            let (name, environment) = ((*name).to_owned(), environment.to_owned());
            Host { name, address: login.address, port: login.port, environment }
        })
        .collect();
    let urls = Urls { controller: &endpoint.url, agent: &agent, region: &endpoint.region };
    // What a run leaves behind is to be seen before the next try mends it. A login by way of an emulated Pi's USB network takes 20 s.
    let connect = if kind.slow { "90s" } else { "15s" };
    let limits = format!("[defaults]\nlimits.retries = 0\nlimits.connect = \"{connect}\"");
    Ok(inventory::text(&hosts, urls)?.replace("[defaults]", &limits))
}

fn known_hosts_line(machine: &dyn Machine) -> Result<String> {
    let login = machine.login("admin");
    Ok(crate::ssh::known_hosts_line(&login.address, login.port, &machine.host_key()?))
}
