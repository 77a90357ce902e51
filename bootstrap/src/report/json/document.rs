//! The shape of the JSON: what serde writes and reads and what the JSON schema is generated from. The doc comments are the
//! schema's descriptions. Meaning is given to it at its two ends, so that nothing else of the program depends on it.

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SCHEMA, seconds};
use crate::{
    events::{RunId, Step},
    inventory::{EnvironmentName, HostName},
    report::{FleetReport, HostReport, InventoryMark, Outcome, StepTime},
};

/// What a run of bootstrap did to each host of a fleet.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(title = "bootstrap report", rename = "Report")]
pub(super) struct Document<H> {
    /// 1; it grows when a field is renamed, removed or means something else.
    #[schemars(range(min = 1, max = 1))]
    schema: u32,
    /// The run's id; of merged reports, that of the run which started first.
    run: String,
    /// The ids of the runs whose reports were merged into this one; empty for the report of one run.
    merged: Vec<String>,
    /// The inventory it is about.
    inventory: InventoryEntry,
    /// When it started, RFC 3339 in UTC.
    #[schemars(with = "String", extend("format" = "date-time"))]
    started: Timestamp,
    /// How long it took.
    #[serde(deserialize_with = "duration", serialize_with = "write_seconds")]
    #[schemars(with = "f64", range(min = 0))]
    seconds: Duration,
    /// Nothing was to be changed.
    dry_run: bool,
    /// Ctrl-C or the run's own limit ended it early.
    interrupted: bool,
    /// How many hosts ended how.
    counts: Counts,
    /// The hosts, in the inventory's order.
    hosts: Vec<H>,
    /// Ids of activations that the run created and could not delete.
    activations_left: Vec<String>,
}

/// An inventory.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Inventory")]
struct InventoryEntry {
    /// Its file, absolute, on the machine that bootstrap ran on.
    path: String,
    /// SHA-256 of the file's text: `sha256:` and 64 hexadecimal digits.
    digest: String,
    /// How many hosts are in it.
    hosts: usize,
}

/// How many hosts ended how.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Counts {
    /// In the report.
    hosts: usize,
    /// Online.
    online: usize,
    /// Changed in this run, however they ended.
    changed: usize,
    /// With a plan, in a dry run.
    planned: usize,
    /// Registered, but not Online within the limit.
    registered: usize,
    /// Failed in a step, or refused.
    failed: usize,
    /// Not connected to.
    unreachable: usize,
    /// Left as they were.
    skipped: usize,
}

/// What became of one host.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Host")]
pub(super) struct Entry {
    /// Its name in the inventory.
    host: String,
    /// Its environment.
    environment: String,
    /// How it ended.
    outcome: Word,
    /// Something on it was changed in this run; never in a dry run.
    changed: bool,
    /// The managed node's id (`mi-...`), once the host's agent has one.
    node: Option<String>,
    /// What was done; in a dry run, what would be.
    actions: Vec<String>,
    /// Where it failed.
    step: Option<Step>,
    /// Why it is not good.
    why: Option<String>,
    /// The last lines of the command that failed.
    lines: Vec<String>,
    /// What to do.
    hint: Option<String>,
    /// Commands that were run on it.
    execs: u32,
    /// From its turn to its end.
    #[serde(deserialize_with = "duration", serialize_with = "write_seconds")]
    #[schemars(with = "f64", range(min = 0))]
    seconds: Duration,
    /// Its place in the inventory, from 1.
    #[schemars(range(min = 1))]
    position: usize,
    /// The steps it went through, in order.
    timeline: Vec<StepEntry>,
}

/// A step of a host; one that it came back to is there again.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "StepTime")]
struct StepEntry {
    /// The step.
    step: Step,
    /// Seconds from the run's beginning to the step's.
    #[serde(deserialize_with = "duration", serialize_with = "write_seconds")]
    #[schemars(with = "f64", range(min = 0))]
    began: Duration,
    /// Seconds from the run's beginning to the step's end.
    #[serde(deserialize_with = "duration", serialize_with = "write_seconds")]
    #[schemars(with = "f64", range(min = 0))]
    ended: Duration,
}

/// How a host ended.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Outcome")]
enum Word {
    /// Online, proven in this run.
    Online,
    /// A dry run: it has a plan.
    Planned,
    /// Registered, but not Online within the limit.
    Registered,
    /// It failed in a step, or was refused.
    Failed,
    /// It could not be connected to.
    Unreachable,
    /// The run left it as it was.
    Skipped,
}

/// A host that was read and found to make sense; what does not is told with its line.
#[derive(Deserialize)]
#[serde(try_from = "Entry")]
pub(super) struct ReadHost(HostReport);

impl Document<Entry> {
    pub(super) fn of(report: &FleetReport) -> Self {
        let ids = |ids: &[RunId]| ids.iter().map(ToString::to_string).collect();
        Self {
            schema: SCHEMA,
            run: report.run.to_string(),
            merged: ids(&report.merged),
            inventory: InventoryEntry {
                path: report.inventory.path.to_string_lossy().into_owned(),
                digest: report.inventory.digest.clone(),
                hosts: report.inventory.hosts,
            },
            started: report.started,
            seconds: report.elapsed,
            dry_run: report.dry_run,
            interrupted: report.interrupted,
            counts: Counts {
                hosts: report.hosts.len(),
                online: report.count("online"),
                changed: report.hosts.iter().filter(|host| host.changed()).count(),
                planned: report.count("planned"),
                registered: report.count("registered"),
                failed: report.count("failed"),
                unreachable: report.count("unreachable"),
                skipped: report.count("skipped"),
            },
            hosts: report.hosts.iter().map(Entry::of).collect(),
            activations_left: report.activations_left.clone(),
        }
    }
}

impl Document<ReadHost> {
    /// The counts are made again from the hosts.
    pub(super) fn into_report(self) -> FleetReport {
        let InventoryEntry { path, digest, hosts } = self.inventory;
        FleetReport {
            run: RunId::from_text(self.run),
            merged: self.merged.into_iter().map(RunId::from_text).collect(),
            inventory: InventoryMark { path: PathBuf::from(path), digest, hosts },
            started: self.started,
            elapsed: self.seconds,
            dry_run: self.dry_run,
            interrupted: self.interrupted,
            hosts: self.hosts.into_iter().map(|ReadHost(host)| host).collect(),
            activations_left: self.activations_left,
        }
    }
}

impl Entry {
    fn of(report: &HostReport) -> Self {
        let (word, step, why, lines, hint): (_, _, _, &[String], _) = match &report.outcome {
            Outcome::Online { .. } => (Word::Online, None, None, &[], None),
            Outcome::Planned => (Word::Planned, None, None, &[], None),
            Outcome::Registered { why, hint } => (Word::Registered, None, Some(why), &[], Some(hint)),
            Outcome::Unreachable { why, hint } => (Word::Unreachable, None, Some(why), &[], Some(hint)),
            Outcome::Failed { step, why, lines, hint } => {
                (Word::Failed, Some(*step), Some(why), lines, Some(hint))
            }
            Outcome::Skipped { why } => (Word::Skipped, None, Some(why), &[], None),
        };
        let step_entry =
            |time: &StepTime| StepEntry { step: time.step, began: time.began, ended: time.ended };
        Self {
            host: report.host.to_string(),
            environment: report.environment.to_string(),
            outcome: word,
            changed: report.changed(),
            node: report.node.clone(),
            actions: report.actions.clone(),
            step,
            why: why.cloned(),
            lines: lines.to_vec(),
            hint: hint.cloned(),
            execs: report.execs,
            seconds: report.elapsed,
            position: report.position,
            timeline: report.timeline.iter().map(step_entry).collect(),
        }
    }

    fn outcome(&mut self) -> Result<Outcome, String> {
        let lacks = |field: &str, word: &str| format!("host {} is {word} without `{field}`", self.host);
        let (why, hint) = (self.why.take(), self.hint.take());
        Ok(match self.outcome {
            Word::Online => Outcome::Online { changed: self.changed },
            Word::Planned => Outcome::Planned,
            Word::Registered => Outcome::Registered {
                why: why.ok_or_else(|| lacks("why", "registered"))?,
                hint: hint.unwrap_or_default(),
            },
            Word::Unreachable => Outcome::Unreachable {
                why: why.ok_or_else(|| lacks("why", "unreachable"))?,
                hint: hint.unwrap_or_default(),
            },
            Word::Failed => Outcome::Failed {
                step: self.step.ok_or_else(|| lacks("step", "failed"))?,
                why: why.ok_or_else(|| lacks("why", "failed"))?,
                lines: std::mem::take(&mut self.lines),
                hint: hint.unwrap_or_default(),
            },
            Word::Skipped => Outcome::Skipped { why: why.ok_or_else(|| lacks("why", "skipped"))? },
        })
    }
}

impl TryFrom<Entry> for ReadHost {
    type Error = String;

    fn try_from(mut entry: Entry) -> Result<Self, String> {
        let outcome = entry.outcome()?;
        let timeline = entry.timeline.iter();
        Ok(Self(HostReport {
            host: HostName::read(&entry.host)?,
            environment: EnvironmentName::read(&entry.environment)?,
            outcome,
            node: entry.node,
            actions: entry.actions,
            execs: entry.execs,
            elapsed: entry.seconds,
            position: entry.position,
            timeline: timeline
                .map(|time| StepTime { step: time.step, began: time.began, ended: time.ended })
                .collect(),
        }))
    }
}

fn write_seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(seconds(*duration))
}

fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    // To the millisecond, as it was written: a binary fraction is seldom exact.
    Duration::try_from_secs_f64(seconds)
        .map(|exact| {
            Duration::from_millis(u64::try_from((exact.as_micros() + 500) / 1000).unwrap_or(u64::MAX))
        })
        .map_err(|_| serde::de::Error::custom(format!("{seconds} seconds are no duration")))
}
