//! What `bootstrap history` prints: past runs as a list, or one of them with its hosts and what was
//! done to them, for a person or as JSON.

use std::{
    borrow::Cow,
    fmt::Write,
    path::{Path, PathBuf},
};

use comfy_table::{Cell, CellAlignment, Color};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::{ActionRecord, Counts, Ending, HostRecord, Journal, JournalError, RunRecord};
use crate::{
    display::{Paint, clean, elapsed, plural},
    report::{
        folder::Folder,
        json::{pretty, seconds},
        table::{grid, lines},
    },
};

/// How the text is to look.
#[derive(Clone, Debug)]
pub struct Look {
    /// With colours.
    pub color: bool,
    /// The terminal's columns; as wide as it needs to be without.
    pub width: Option<u16>,
    /// The zone that times are shown in.
    pub zone: TimeZone,
}

impl Look {
    fn time(&self, at: Timestamp, format: &str) -> String {
        at.to_zoned(self.zone.clone()).strftime(format).to_string()
    }
}

/// One run with all that is known of it.
#[derive(Clone, Debug)]
pub struct RunHistory {
    /// The run.
    pub run: RunRecord,
    /// Its hosts, in the inventory's order, each with what was done to it.
    pub hosts: Vec<(HostRecord, Vec<ActionRecord>)>,
    /// The directory of its report and its logs, if it is there still.
    pub report: Option<PathBuf>,
}

impl RunHistory {
    /// Reads it from the journal; none if no run has this id. Its report is looked for below `reports`.
    pub fn read(journal: &Journal, id: &str, reports: &Path) -> Result<Option<Self>, JournalError> {
        let Some(run) = journal.run(id)? else { return Ok(None) };
        let mut hosts = Vec::new();
        for host in journal.hosts_of(&run.id)? {
            let actions = journal.actions_of(&run.id, &host.host)?;
            hosts.push((host, actions));
        }
        let report = Folder::kept(reports, &run.id).map(|folder| folder.path().to_owned());
        Ok(Some(Self { run, hosts, report }))
    }

    /// The run as text.
    #[must_use]
    pub fn render(&self, look: &Look) -> String {
        let run = &self.run;
        let mut text = String::new();
        let when = look.time(run.started, "%Y-%m-%d %H:%M:%S");
        writeln!(text, "run {} of {}", run.id, run.inventory.display()).ok();
        let took = run.elapsed.map(|time| format!(" after {}", elapsed(time))).unwrap_or_default();
        let dry = if run.dry_run { ", a dry run" } else { "" };
        writeln!(text, "started {when}{dry}, {}{took}", said(run.ending)).ok();
        writeln!(text, "{}\n", summary(&plural(run.counts.hosts as usize, "host"), &run.counts)).ok();
        let header = ["HOST", "ENVIRONMENT", "OUTCOME", "CHANGES", "NODE", "TIME"];
        let mut table = grid(&header, look.width, look.color);
        for (host, _) in &self.hosts {
            table.add_row(host_row(host, run.ending));
        }
        text.push_str(&lines(table));
        for (host, actions) in &self.hosts {
            details(&mut text, host, actions, look);
        }
        if let Some(report) = &self.report {
            writeln!(text, "\nreport and logs: {}", report.display()).ok();
        }
        text
    }

    /// The run as JSON.
    #[must_use]
    pub fn json(&self) -> String {
        let hosts = self.hosts.iter().map(|(host, actions)| host_entry(host, actions)).collect();
        let report = self.report.as_ref().map(|path| path.to_string_lossy());
        let run = RunEntry { hosts: Some(hosts), report, ..run_entry(&self.run) };
        pretty(&OneRun { schema: SCHEMA, run })
    }
}

/// The list of runs as text, the newest first.
#[must_use]
pub fn render(runs: &[RunRecord], look: &Look) -> String {
    if runs.is_empty() {
        return "no runs yet\n".to_owned();
    }
    let mut table = grid(&["RUN", "STARTED", "INVENTORY", "HOSTS", "TIME", "END"], look.width, look.color);
    for run in runs {
        let color = match run.ending {
            Ending::Ended => Color::Green,
            Ending::Died => Color::Red,
            Ending::Interrupted | Ending::Running | Ending::Unknown => Color::Yellow,
        };
        let dry = if run.dry_run { ", dry run" } else { "" };
        table.add_row(vec![
            Cell::new(&run.id),
            Cell::new(look.time(run.started, "%Y-%m-%d %H:%M")),
            Cell::new(run.inventory.display()),
            Cell::new(summary(&run.counts.hosts.to_string(), &run.counts)),
            Cell::new(run.elapsed.map(elapsed).unwrap_or_default()).set_alignment(CellAlignment::Right),
            Cell::new(format!("{}{dry}", run.ending.word())).fg(color),
        ]);
    }
    lines(table)
}

/// The list of runs as JSON.
#[must_use]
pub fn json(runs: &[RunRecord]) -> String {
    pretty(&Runs { schema: SCHEMA, runs: runs.iter().map(run_entry).collect() })
}

/// As for the report of a run: docs/report.md.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Runs<'a> {
    schema: u32,
    runs: Vec<RunEntry<'a>>,
}

#[derive(Serialize)]
struct OneRun<'a> {
    schema: u32,
    run: RunEntry<'a>,
}

#[derive(Serialize)]
struct RunEntry<'a> {
    run: &'a str,
    inventory: Cow<'a, str>,
    started: Timestamp,
    seconds: Option<f64>,
    dry_run: bool,
    ending: Ending,
    counts: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<Vec<HostEntry<'a>>>,
}

#[derive(Serialize)]
struct HostEntry<'a> {
    host: &'a str,
    environment: &'a str,
    outcome: Option<&'a str>,
    changed: bool,
    node: Option<&'a str>,
    actions: Vec<ActionEntry<'a>>,
    step: Option<&'a str>,
    why: Option<&'a str>,
    hint: Option<&'a str>,
    execs: Option<u32>,
    seconds: Option<f64>,
}

#[derive(Serialize)]
struct ActionEntry<'a> {
    at: Timestamp,
    step: Option<&'a str>,
    action: &'a str,
}

fn said(ending: Ending) -> &'static str {
    match ending {
        Ending::Ended => "ended",
        Ending::Interrupted => "interrupted",
        Ending::Died => "died: its process is gone and never said that it ended",
        Ending::Running => "running",
        Ending::Unknown => "not known to have ended: it ran on another machine or in another container",
    }
}

/// How many hosts, and of these the counts that are not zero.
fn summary(hosts: &str, counts: &Counts) -> String {
    let parts = [
        (counts.online, "online"),
        (counts.planned, "planned"),
        (counts.registered, "registered"),
        (counts.failed, "failed"),
        (counts.unreachable, "unreachable"),
        (counts.skipped, "skipped"),
        (counts.unfinished, "unfinished"),
        (counts.changed, "changed"),
    ];
    let parts: Vec<_> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if parts.is_empty() { hosts.to_owned() } else { format!("{hosts}: {}", parts.join(", ")) }
}

fn host_row(host: &HostRecord, ending: Ending) -> Vec<Cell> {
    let (outcome, color) = match (host.outcome.as_deref(), host.step.as_deref()) {
        (Some(word @ ("online" | "planned")), _) => (word.to_owned(), Color::Green),
        (Some(word @ "skipped"), _) => (word.to_owned(), Color::Yellow),
        (Some(word), _) => (word.to_owned(), Color::Red),
        (None, None | Some("queue")) => ("not started".to_owned(), Color::Yellow),
        (None, Some(step)) if ending == Ending::Running => (format!("in {step}"), Color::Yellow),
        // Nobody saw whether its last step came to an end.
        (None, Some(step)) => (format!("in doubt, last in {step}"), Color::Red),
    };
    vec![
        Cell::new(&host.host),
        Cell::new(&host.environment),
        Cell::new(outcome).fg(color),
        Cell::new(if host.changed { "changed" } else { "" }),
        Cell::new(clean(host.node.as_deref().unwrap_or("-"))),
        Cell::new(host.elapsed.map(elapsed).unwrap_or_default()).set_alignment(CellAlignment::Right),
    ]
}

/// What was done to a host, and why it is not good, if there is any of either.
fn details(text: &mut String, host: &HostRecord, actions: &[ActionRecord], look: &Look) {
    if actions.is_empty() && host.why.is_none() {
        return;
    }
    writeln!(text, "\n{}:", host.host).ok();
    for action in actions {
        writeln!(text, "  {} {}", look.time(action.at, "%H:%M:%S"), clean(&action.sentence)).ok();
    }
    let paint = Paint(look.color);
    if let Some(why) = &host.why {
        let outcome = host.outcome.as_deref().unwrap_or_default();
        let step = host.step.as_deref().filter(|_| outcome == "failed");
        let step = step.map(|step| format!(" in {step}")).unwrap_or_default();
        writeln!(text, "  {}{step}: {}", paint.bad(outcome), clean(why)).ok();
    }
    if let Some(hint) = host.hint.as_deref().filter(|hint| !hint.is_empty()) {
        writeln!(text, "  {} {}", paint.note("hint:"), clean(hint)).ok();
    }
}

fn run_entry(run: &RunRecord) -> RunEntry<'_> {
    RunEntry {
        run: run.id.as_str(),
        inventory: run.inventory.to_string_lossy(),
        started: run.started,
        seconds: run.elapsed.map(seconds),
        dry_run: run.dry_run,
        ending: run.ending,
        counts: run.counts,
        report: None,
        hosts: None,
    }
}

fn host_entry<'a>(host: &'a HostRecord, actions: &'a [ActionRecord]) -> HostEntry<'a> {
    let action = |action: &'a ActionRecord| ActionEntry {
        at: action.at,
        step: action.step.as_deref(),
        action: &action.sentence,
    };
    HostEntry {
        host: &host.host,
        environment: &host.environment,
        outcome: host.outcome.as_deref(),
        changed: host.changed,
        node: host.node.as_deref(),
        actions: actions.iter().map(action).collect(),
        step: host.step.as_deref(),
        why: host.why.as_deref(),
        hint: host.hint.as_deref(),
        execs: host.execs,
        seconds: host.elapsed.map(seconds),
    }
}
