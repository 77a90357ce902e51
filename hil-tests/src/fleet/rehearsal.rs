//! A fleet with everything around it: endpoint, packages, inventory, and `bootstrap` as a user runs it, measured.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use images::Recipe;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::process::Command;

use super::{Fleet, Ground, Group, HostPlan, Network, layers, stub};
use crate::lab::inventory::{self, Host, Urls};
use crate::lab::{Endpoint, Paths, Programs, endpoint, guests, packages};
use crate::narration::Narration;
use crate::ssh::known_hosts_line;

/// How often the memory of a program is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What a command cost, and how it ended.
#[derive(Debug)]
pub struct Measured {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
    /// How long it took.
    pub wall: Duration,
    /// User and system time of the command and of all that it started here.
    pub client: Duration,
    /// That of all hosts meanwhile.
    pub hosts: Duration,
    /// The most memory that it had, in bytes.
    pub peak: u64,
}

impl Measured {
    /// Itself, if it ended with that exit code.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        ensure!(
            self.code == code,
            "exit code {} instead of {code}:\n{}\n{}",
            self.code,
            self.stdout,
            self.stderr
        );
        Ok(self)
    }

    /// Its stdout as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout)
            .with_context(|| format!("no JSON: {}\n{}", self.stdout, self.stderr))
    }
}

/// What rehearsals have in common: made once, for fleets that come and go.
#[derive(Debug)]
pub struct Stage {
    /// The programs under test.
    pub programs: Programs,
    /// What is below every host.
    pub ground: Ground,
    /// The agent's packages.
    pub packages: PathBuf,
}

impl Stage {
    /// With the stand-in agent in the packages.
    pub async fn set(directory: &Path, programs: &Programs, narration: &Narration) -> Result<Self> {
        Self::with(directory, programs.clone(), None, narration).await
    }

    /// With packages of so many bytes, which don't compress (AWS's have 30 MB), and the agent on the hosts already.
    pub async fn for_packages_of(
        bytes: usize,
        directory: &Path,
        programs: &Programs,
        narration: &Narration,
    ) -> Result<Self> {
        let mut programs = programs.clone();
        let agent = std::mem::replace(&mut programs.agent, padded_stub(directory, bytes)?);
        Self::with(directory, programs, Some(agent), narration).await
    }

    async fn with(
        directory: &Path,
        programs: Programs,
        agent: Option<PathBuf>,
        narration: &Narration,
    ) -> Result<Self> {
        let packages = packages::in_directory(&directory.join("packages"), &programs)?;
        let recipe = Recipe::builtin(layers::RECIPE)?;
        let image = tokio::task::block_in_place(|| guests::image(&packages, &recipe, narration))?;
        let ground = Ground { root: layers::root(&image).await?, agent };
        Ok(Self { programs, ground, packages })
    }
}

/// What lies behind an ELF file is no part of the program; random, so that it does not compress.
fn padded_stub(directory: &Path, padding: usize) -> Result<PathBuf> {
    use rand::{RngCore as _, SeedableRng as _};
    fs::create_dir_all(directory).with_context(|| format!("can't create {}", directory.display()))?;
    let mut program = stub::program();
    let mut bytes = vec![0; padding];
    rand::rngs::StdRng::seed_from_u64(1).fill_bytes(&mut bytes);
    program.extend(bytes);
    let path = directory.join("amazon-ssm-agent");
    fs::write(&path, program).with_context(|| format!("can't write {}", path.display()))?;
    Ok(path)
}

/// A fleet, its endpoint, and the controller's side.
#[derive(Debug)]
pub struct Rehearsal {
    /// The hosts.
    pub fleet: Fleet,
    /// Their SSM.
    pub endpoint: Endpoint,
    /// Where inventory, key and `known_hosts` are.
    pub paths: Paths,
    programs: Programs,
    controller: Group,
    // Goes after its hosts.
    _network: Network,
}

impl Rehearsal {
    /// Brings everything up below `directory`.
    pub async fn open(directory: &Path, stage: &Stage, network: Network, plans: &[HostPlan]) -> Result<Self> {
        let paths = Paths::new(directory)?;
        std::os::unix::fs::symlink(&stage.packages, paths.packages()).context("can't link the packages")?;
        let endpoint = Endpoint::start(&paths, &stage.programs, network.controller(), "localhost").await?;
        let fleet = Fleet::start(&directory.join("fleet"), &stage.ground, &network, plans).await?;
        fs::copy(&fleet.identity, paths.identity()).context("can't copy the key pair")?;
        let controller = Group::new(&directory.join("controller"))?;
        let programs = stage.programs.clone();
        let rehearsal = Self { fleet, endpoint, paths, programs, controller, _network: network };
        rehearsal.write_inventory(&rehearsal.hosts())?;
        Ok(rehearsal)
    }

    /// All hosts of the fleet, as an inventory names them.
    #[must_use]
    pub fn hosts(&self) -> Vec<(String, SocketAddr)> {
        self.fleet.hosts.iter().map(|host| (host.name.clone(), host.address)).collect()
    }

    /// Writes the inventory of these hosts, all known by the fleet's host key.
    pub fn write_inventory(&self, hosts: &[(String, SocketAddr)]) -> Result<()> {
        let mut known = String::new();
        let hosts = hosts.iter().map(|(name, address)| {
            let (name, environment) = (name.clone(), "dev".to_owned());
            let (address, port) = (address.ip().to_string(), address.port());
            known.push_str(&known_hosts_line(&address, port, &self.fleet.host_key));
            Host { name, address, port, environment }
        });
        let hosts: Vec<Host> = hosts.collect();
        let url = &self.endpoint.url;
        let text =
            inventory::text(&hosts, Urls { controller: url, agent: url, region: &self.endpoint.region })?;
        for (path, text) in [(self.paths.inventory(), text), (self.paths.known_hosts(), known)] {
            crate::private_file::write(&path, &text)
                .with_context(|| format!("can't write {}", path.display()))?;
        }
        Ok(())
    }

    /// Where `bootstrap` keeps its journal and its cache.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.paths.directory().join("home")
    }

    /// `bootstrap` on the inventory with these arguments beside it.
    pub fn bootstrap(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(&self.programs.bootstrap);
        command.arg("--inventory").arg(self.paths.inventory()).args(arguments);
        command
    }

    /// A command on the controller's side, ready to be started in the controller's group.
    pub fn command(&self, command: &std::process::Command) -> Result<Command> {
        fs::create_dir_all(self.home()).context("can't make a home for bootstrap")?;
        let mut command: Command = self.controller.joined_by(command).into();
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.home());
        command.env("AWS_ACCESS_KEY_ID", &self.endpoint.access_key_id);
        command.env("AWS_SECRET_ACCESS_KEY", self.endpoint.secret_access_key.expose_secret());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Ok(command)
    }

    /// The memory of what runs on the controller's side now, in bytes.
    pub fn resident(&self) -> Result<u64> {
        self.controller.resident()
    }

    /// Runs a command to its end.
    pub async fn measure(&self, command: &std::process::Command, limit: Duration) -> Result<Measured> {
        let (client, hosts) = (self.controller.cpu()?, self.fleet.group.cpu()?);
        let begin = Instant::now();
        let child = self.command(command)?.spawn().with_context(|| format!("can't run {command:?}"))?;
        let ended = tokio::time::timeout(limit, child.wait_with_output());
        tokio::pin!(ended);
        let mut peak = 0;
        let mut looks = tokio::time::interval(LOOK);
        let output = loop {
            tokio::select! {
                output = &mut ended => break output,
                _ = looks.tick() => peak = self.controller.resident()?.max(peak),
            }
        };
        let Ok(output) = output else { bail!("it did not end within {limit:?}: {command:?}") };
        let output = output.with_context(|| format!("can't wait for {command:?}"))?;
        Ok(Measured {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            wall: begin.elapsed(),
            client: self.controller.cpu()?.saturating_sub(client),
            hosts: self.fleet.group.cpu()?.saturating_sub(hosts),
            peak,
        })
    }

    /// Ends everything.
    pub async fn close(self) -> Result<()> {
        self.fleet.stop().await?;
        endpoint::stop(&self.paths).await;
        Ok(())
    }
}
