//! A fleet on this machine, without machines: each host is a real sshd on a loopback address of its own, in mount, pid, uts and
//! ipc namespaces over one Debian root, with a real dpkg, sudo and login shells. What it has not is a kernel and systemd of its
//! own; those are what QEMU machines are for. A host costs some megabytes and is up in milliseconds, so that hundreds fit here.
//!
//! Needs root, for the namespaces.

mod address;
pub mod bench;
pub(crate) mod cgroup;
mod layers;
pub mod rehearsal;
mod relay;
mod stub;
pub mod trials;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt as _;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::machine::console;
use crate::wait::Deadline;
pub(crate) use address::remove_network_of;
pub use address::{MOST, Network};
pub use cgroup::Group;
pub use layers::Ground;
use layers::Layers;
pub use rehearsal::Rehearsal;

/// Hundreds of them start at once, and a busy machine takes its time.
const START_LIMIT: Duration = Duration::from_mins(5);
/// Connections that ask whether a host is up, at a time.
const ASKING: usize = 64;

/// What one host is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPlan {
    /// Its name.
    pub name: String,
    /// What is wrong with it: functions of `flaws.sh`.
    pub flaws: Vec<&'static str>,
}

impl HostPlan {
    /// So many hosts with which nothing is wrong.
    #[must_use]
    pub fn sound(count: usize) -> Vec<Self> {
        (1..=count).map(|number| Self { name: format!("host-{number}"), flaws: Vec::new() }).collect()
    }
}

/// A host that runs.
#[derive(Debug)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Where its sshd listens.
    pub address: SocketAddr,
    directory: PathBuf,
    /// The parent of the host's first process; what it runs ends with it.
    process: Child,
}

impl Host {
    /// Its root as its own processes see it; there as long as it runs.
    pub fn root(&self) -> Result<PathBuf> {
        let parent = self.process.id().context("the host has ended")?;
        let children = format!("/proc/{parent}/task/{parent}/children");
        let children = fs::read_to_string(&children).with_context(|| format!("can't read {children}"))?;
        let first = children.split_whitespace().next().context("the host has no process")?;
        Ok(format!("/proc/{first}/root").into())
    }

    /// Whether it still runs.
    fn check(&mut self) -> Result<()> {
        if let Some(status) = self.process.try_wait().context("can't ask for a host")? {
            let (sshd, start) = (self.directory.join("sshd.log"), self.directory.join("start.log"));
            bail!(
                "{} has ended ({status}): {} {}",
                self.name,
                console::tail(&start, 5),
                console::tail(&sshd, 5)
            );
        }
        Ok(())
    }
}

/// An error if we may not make what hosts live in.
pub fn check_root() -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "a fleet needs root, for its mount namespaces; run this with sudo"
    );
    Ok(())
}

/// Hosts that run. They end when it is dropped.
#[derive(Debug)]
pub struct Fleet {
    /// In the order of their plans.
    pub hosts: Vec<Host>,
    /// The CPU that all of them have used.
    pub group: Group,
    /// What ssh would write into `known_hosts` of each.
    pub host_key: String,
    /// The private key that opens all of them.
    pub identity: PathBuf,
}

impl Fleet {
    /// Starts hosts below `directory`, on addresses of `network`, and waits until each listens.
    pub async fn start(
        directory: &Path,
        ground: &Ground,
        network: &Network,
        plans: &[HostPlan],
    ) -> Result<Self> {
        check_root()?;
        ensure!(plans.len() <= MOST, "a fleet has at most {MOST} hosts");
        let layers = Layers::make(ground, &directory.join("layers")).await?;
        let group = Group::new(directory)?;
        let mut fleet = Self {
            hosts: Vec::with_capacity(plans.len()),
            group,
            host_key: layers.host_key.clone(),
            identity: layers.identity.clone(),
        };
        for (number, plan) in plans.iter().enumerate() {
            let host = start(
                &directory.join("hosts").join(&plan.name),
                &layers,
                network,
                &fleet.group,
                number,
                plan,
            )?;
            fleet.hosts.push(host);
        }
        fleet.wait().await?;
        Ok(fleet)
    }

    async fn wait(&mut self) -> Result<()> {
        let deadline = Deadline::after(START_LIMIT);
        let mut waiting: Vec<SocketAddr> = self.hosts.iter().map(|host| host.address).collect();
        while !waiting.is_empty() {
            let asked = futures_util::stream::iter(waiting).map(|address| async move {
                let up = TcpStream::connect(address).await.is_ok();
                (!up).then_some(address)
            });
            waiting = asked.buffer_unordered(ASKING).filter_map(std::future::ready).collect().await;
            for host in &mut self.hosts {
                host.check()?;
            }
            if let Some(first) = waiting.first()
                && !deadline.pause(Duration::from_millis(50)).await
            {
                bail!("{} hosts do not listen after {START_LIMIT:?}, {first} among them", waiting.len());
            }
        }
        Ok(())
    }

    /// Ends all hosts, and waits for their end.
    pub async fn stop(mut self) -> Result<()> {
        for host in &mut self.hosts {
            host.process.start_kill().context("can't end a host")?;
        }
        for host in &mut self.hosts {
            host.process.wait().await.context("can't wait for the end of a host")?;
        }
        Ok(())
    }
}

fn start(
    directory: &Path,
    layers: &Layers,
    network: &Network,
    group: &Group,
    number: usize,
    plan: &HostPlan,
) -> Result<Host> {
    fs::create_dir_all(directory).with_context(|| format!("can't create {}", directory.display()))?;
    let address = network.address(number);
    let mark = directory.join("pid");
    let log = directory.join("start.log");
    let log = fs::File::create(&log).with_context(|| format!("can't write {}", log.display()))?;
    let mut command = network.command("unshare");
    command.args(["--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "sh"]);
    command.arg(layers.script("host.sh")).args([&mark, directory]).arg(layers.lower());
    command
        .args([plan.name.as_str(), &address.ip().to_string(), &address.port().to_string()])
        .args(&plan.flaws);
    let mut command: Command = group.joined_by(&command).into();
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir("/").kill_on_drop(true);
    let process =
        command.spawn().context("can't run unshare; on Debian or Ubuntu: apt-get install util-linux")?;
    let pid = process.id().context("a host ended at once")?;
    fs::write(&mark, pid.to_string()).with_context(|| format!("can't write {}", mark.display()))?;
    Ok(Host { name: plan.name.clone(), address, directory: directory.to_owned(), process })
}
