//! What can go wrong with a fleet and with its controller: sixty hosts of which twenty are bad, each in its own way; a controller
//! that is killed at any instant; four controllers that share a fleet; hosts that fetch the package by themselves.

mod bad_hosts;
mod killed;
mod pulled;
mod shards;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Rehearsal;
use super::rehearsal::Stage;
use crate::narration::Narration;

/// A trial: a name, what must hold, and how often it is repeated by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Trial {
    /// Of sixty hosts the good ones come Online, and every bad one is named with its true cause.
    BadHosts,
    /// After a SIGKILL of the controller at a random instant the next run converges and nothing is left.
    Killed,
    /// Four shards, merged, give the report of one run.
    Shards,
    /// Hosts download the package by themselves, with whatever they have for that.
    Pulled,
}

impl Trial {
    /// As on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BadHosts => "bad-hosts",
            Self::Killed => "killed",
            Self::Shards => "shards",
            Self::Pulled => "pulled",
        }
    }
}

/// How trials go.
#[derive(Debug, Clone, Copy)]
pub struct Chances {
    /// Of what is chosen at random.
    pub seed: u64,
    /// How often the controller is killed.
    pub kills: u32,
}

impl Trial {
    /// Runs it below `directory`.
    pub async fn run(
        self,
        directory: &Path,
        stage: &Stage,
        chances: Chances,
        narration: &Narration,
    ) -> Result<()> {
        match self {
            Self::BadHosts => bad_hosts::run(directory, stage).await,
            Self::Killed => killed::run(directory, stage, chances, narration).await,
            Self::Shards => shards::run(directory, stage).await,
            Self::Pulled => pulled::run(directory, stage).await,
        }
    }
}

/// A fleet of a few hundred on two busy cores.
const LIMIT: Duration = Duration::from_mins(15);

/// What must hold after every run that ended: one registration for each vault, no activation, no file of ours.
async fn check_invariants(rehearsal: &Rehearsal, hosts: &[&str]) -> Result<()> {
    let live = rehearsal.endpoint.live_activations().await?;
    ensure!(live == 0, "{live} activations are left");
    let nodes = rehearsal.endpoint.live_nodes().await?;
    let mut known: Vec<&str> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
    known.sort_unstable();
    let mut held = Vec::new();
    for host in rehearsal.fleet.hosts.iter().filter(|host| hosts.contains(&host.name.as_str())) {
        let root = host.root()?;
        held.push(instance(&root).with_context(|| format!("the vault of {}", host.name))?);
        let left =
            Command::new("find").arg(root.join("var/lib/bootstrap")).output().context("can't run find")?;
        ensure!(left.stdout.is_empty(), "left on {}: {}", host.name, String::from_utf8_lossy(&left.stdout));
    }
    held.sort_unstable();
    ensure!(known == held, "SSM knows {known:?}, and the hosts hold {held:?}");
    Ok(())
}

/// The node in a host's vault.
fn instance(root: &Path) -> Result<String> {
    let path = root.join("var/lib/amazon/ssm/Vault/Store/RegistrationKey");
    let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    let vault: serde_json::Value = serde_json::from_str(&text).context("no JSON")?;
    vault["instanceID"].as_str().map(str::to_owned).context("it names no node")
}
