//! What a fleet costs: ours beside the shell loop that people write, on the same hosts, in turns, as ratios. And what one host
//! costs us as fleets grow, and over a long way.

mod distance;
mod plot;
mod scale;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_ssm::types::Tag;
use serde_json::{Value, json};

use super::rehearsal::{Measured, Stage};
use super::{HostPlan, Network, Rehearsal};
use crate::lab::Programs;
use crate::narration::Narration;
pub use distance::distance;
pub use scale::{connections, scale};

/// A fleet of two hundred, thirty megabytes each, on two busy cores.
const LIMIT: Duration = Duration::from_mins(30);
const BASELINE: &str = include_str!("baseline.sh");
const MIB: f64 = 1_048_576.0;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Options {
    /// Hosts.
    pub hosts: usize,
    /// How often both are run, in turns.
    pub rounds: usize,
    /// How large packages are, in bytes: one comparison for each.
    pub sizes: Vec<usize>,
    /// The programs.
    pub programs: Programs,
    /// Where all of it happens.
    pub directory: PathBuf,
    /// Where progress goes.
    pub narration: Narration,
}

/// One round: ours on bare hosts, ours on the same hosts again, the loop on bare hosts.
#[derive(Debug)]
struct Round {
    fresh: Measured,
    again: Measured,
    baseline: Measured,
    execs: (u64, u64),
}

/// Runs all rounds; the table.
pub async fn compare(options: &Options) -> Result<String> {
    let mut text = String::new();
    for (case, size) in options.sizes.iter().enumerate() {
        let place = options.directory.join(format!("case-{case}"));
        let stage = Stage::for_packages_of(*size, &place, &options.programs, &options.narration).await?;
        let mut rounds = Vec::new();
        for number in 1..=options.rounds {
            let what = format!("round {number} of {} with {} MB", options.rounds, size / 1_000_000);
            let directory = place.join(format!("round-{number}"));
            rounds.push(options.narration.step_async(&what, round(options, &stage, &directory)).await?);
            fs::remove_dir_all(&directory)
                .with_context(|| format!("can't delete {}", directory.display()))?;
        }
        describe(&mut text, options, *size, &rounds);
    }
    Ok(text)
}

async fn round(options: &Options, stage: &Stage, directory: &Path) -> Result<Round> {
    let plans = HostPlan::sound(options.hosts);
    let ours = Rehearsal::open(&directory.join("ours"), stage, Network::loopback(), &plans).await?;
    let arguments = ["--concurrency", "50", "--output", "json", "--quiet"];
    let fresh = ours.measure(&ours.bootstrap(&arguments), LIMIT).await?.expect_code(0)?;
    let again = ours.measure(&ours.bootstrap(&arguments), LIMIT).await?.expect_code(0)?;
    let execs = (most_execs(&fresh.json()?)?, most_execs(&again.json()?)?);
    check(&ours, options.hosts).await?;
    ours.close().await?;

    let theirs = Rehearsal::open(&directory.join("theirs"), stage, Network::loopback(), &plans).await?;
    let baseline = baseline(&theirs, stage, options.hosts).await?;
    check(&theirs, options.hosts).await?;
    theirs.close().await?;
    Ok(Round { fresh, again, baseline, execs })
}

fn most_execs(report: &Value) -> Result<u64> {
    let hosts = report["hosts"].as_array().context("a report without hosts")?;
    hosts.iter().filter_map(|host| host["execs"].as_u64()).max().context("a report without execs")
}

/// Every host is a node that has pinged, and there are no others.
async fn check(rehearsal: &Rehearsal, hosts: usize) -> Result<()> {
    let nodes = rehearsal.endpoint.live_nodes().await?;
    ensure!(nodes.len() == hosts, "{} nodes for {hosts} hosts", nodes.len());
    // The loop doesn't wait for them.
    let deadline = crate::wait::Deadline::after(Duration::from_mins(2));
    loop {
        let nodes = rehearsal.endpoint.live_nodes().await?;
        let online = nodes.iter().filter(|node| node["ping_status"] == "Online").count();
        if online == hosts {
            return Ok(());
        }
        ensure!(deadline.pause(Duration::from_millis(200)).await, "{online} of {hosts} nodes are Online");
    }
}

async fn baseline(rehearsal: &Rehearsal, stage: &Stage, hosts: usize) -> Result<Measured> {
    let directory = rehearsal.paths.directory();
    let tag = Tag::builder().key("by").value("baseline").build().context("no tag")?;
    let limit = i32::try_from(hosts).unwrap_or(i32::MAX);
    let created =
        rehearsal.endpoint.client().create_activation().iam_role("LabRole").registration_limit(limit);
    let created = created.tags(tag).send().await.context("no activation for the loop")?;
    let (id, code) = (created.activation_id.context("no id")?, created.activation_code.context("no code")?);

    let (region, url) = (&rehearsal.endpoint.region, &rehearsal.endpoint.url);
    let configuration = json!({
        "Agent": {"Region": region}, "Identity": {"ConsumptionOrder": ["OnPrem"]},
        "Ssm": {"Endpoint": url}, "Mds": {"Endpoint": url}, "Mgs": {"Endpoint": url, "Region": region},
    });
    let lines =
        rehearsal.fleet.hosts.iter().map(|host| format!("{} {}\n", host.address.ip(), host.address.port()));
    let (list, script, secret) =
        (directory.join("list"), directory.join("baseline.sh"), directory.join("code"));
    for (path, text) in
        [(&list, lines.collect::<String>()), (&script, BASELINE.to_owned()), (&secret, code + "\n")]
    {
        crate::private_file::write(path, &text).with_context(|| format!("can't write {}", path.display()))?;
    }
    let mut command = Command::new("sh");
    command.args(["-c", "exec sh \"$@\" <\"$0\""]).arg(&secret).arg(&script).arg(&list).arg("admin");
    command.args([rehearsal.paths.identity(), rehearsal.paths.known_hosts(), deb(&stage.packages)?]);
    command.args([configuration.to_string(), region.clone(), id.clone()]);
    let measured = rehearsal.measure(&command, LIMIT).await?.expect_code(0)?;
    ensure!(
        measured.stdout.trim() == "0",
        "the loop failed on {} hosts: {}",
        measured.stdout.trim(),
        measured.stderr
    );
    let deleting = rehearsal.endpoint.client().delete_activation().activation_id(id);
    deleting.send().await.context("the loop's activation can't be deleted")?;
    Ok(measured)
}

/// The package for hosts like these.
fn deb(packages: &Path) -> Result<PathBuf> {
    let mut directories = vec![packages.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in
            fs::read_dir(&directory).with_context(|| format!("can't read {}", directory.display()))?.flatten()
        {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.ends_with("debian_amd64/amazon-ssm-agent.deb") {
                return Ok(path);
            }
        }
    }
    anyhow::bail!("no debian_amd64/amazon-ssm-agent.deb in {}", packages.display())
}

fn describe(text: &mut String, options: &Options, size: usize, rounds: &[Round]) {
    let seconds = |of: fn(&Round) -> Duration| median(rounds.iter().map(|round| of(round).as_secs_f64()));
    let ratio = |of: fn(&Round) -> f64| median(rounds.iter().map(of));
    let mib = |of: fn(&Round) -> u64| {
        #[expect(clippy::cast_precision_loss, reason = "a memory of 2^53 bytes is far away")]
        let bytes = median(rounds.iter().map(|round| of(round) as f64));
        bytes / MIB
    };
    let execs = rounds.iter().map(|round| round.execs).max().unwrap_or_default();
    // A string takes every line.
    let _ = writeln!(
        text,
        "{} hosts x {} MB, medians of {} rounds\n\
         {:34}{:>10}{:>12}{:>10}\n\
         {:34}{:>10.2}{:>12.2}{:>10.1}\n\
         {:34}{:>10.2}{:>12.2}{:>10.1}\n\
         {:34}{:>10.2}{:>12.2}{:>10.1}\n\
         client CPU, shell loop / ours      {:>6.1}\n\
         all CPU, ours / our hosts'         {:>6.3}\n\
         all CPU, ours / shell loop         {:>6.3}\n\
         most commands on a host            {} fresh, {} converged\n",
        options.hosts,
        size / 1_000_000,
        rounds.len(),
        "",
        "client s",
        "hosts s",
        "peak MiB",
        "bootstrap, bare hosts",
        seconds(|round| round.fresh.client),
        seconds(|round| round.fresh.hosts),
        mib(|round| round.fresh.peak),
        "bootstrap, converged hosts",
        seconds(|round| round.again.client),
        seconds(|round| round.again.hosts),
        mib(|round| round.again.peak),
        "shell loop, bare hosts",
        seconds(|round| round.baseline.client),
        seconds(|round| round.baseline.hosts),
        mib(|round| round.baseline.peak),
        ratio(|round| round.baseline.client.as_secs_f64() / round.fresh.client.as_secs_f64()),
        ratio(|round| total(&round.fresh) / round.fresh.hosts.as_secs_f64()),
        ratio(|round| total(&round.fresh) / total(&round.baseline)),
        execs.0,
        execs.1,
    );
}

fn total(measured: &Measured) -> f64 {
    (measured.client + measured.hosts).as_secs_f64()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
