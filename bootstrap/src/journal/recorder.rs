//! The reader that writes a run into the journal. It never fails a run: what it could not write it
//! keeps and tries again, and what is missing at the end is the journal's [`trouble`](super::Journal::trouble).
//!
//! Activations, and that one is about to be asked for, are written at once and through to the disk, because a killed run must
//! not forget them. All else waits for a second or so, so that a fleet costs a transaction a second, and of the steps that a host
//! went through meanwhile only the last one is written.

use std::{
    collections::{BTreeMap, VecDeque},
    path::absolute,
};

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

use super::{InventoryKey, Journal, process::Process};
use crate::{
    events::{Event, Reader, RunId, Step},
    inventory::HostName,
    report::{FleetReport, HostReport, Outcome},
};

/// What is kept at most while the journal can't be written: some events of each of thousands of hosts.
const KEPT: usize = 65_536;
/// Ticks between two times when all that waits is written; about a second.
const TICKS: u32 = 8;

/// Writes a run into the journal.
#[derive(Debug)]
pub struct Recorder {
    journal: Journal,
    inventory: InventoryKey,
    waiting: VecDeque<(Timestamp, Event)>,
    /// The last step of each host, if it is not written yet.
    steps: BTreeMap<HostName, Step>,
    ticks: u32,
    run: Option<RunId>,
    failing: bool,
    lost: usize,
}

impl Recorder {
    pub(super) fn new(journal: Journal, inventory: InventoryKey) -> Self {
        Self {
            journal,
            inventory,
            waiting: VecDeque::new(),
            steps: BTreeMap::new(),
            ticks: 0,
            run: None,
            failing: false,
            lost: 0,
        }
    }

    /// Forgets the oldest event that the others do without: the start makes the run that they are of, and what is said of
    /// activations must not be lost.
    fn make_room(&mut self) {
        if self.waiting.len() < KEPT {
            return;
        }
        let oldest = self
            .waiting
            .iter()
            .position(|(_, event)| !is_of_activations(event) && !matches!(event, Event::RunStarted { .. }));
        if oldest.and_then(|oldest| self.waiting.remove(oldest)).is_some() {
            self.lost += 1;
        }
    }

    fn flush(&mut self, to_disk: bool) {
        let Some(run) = &self.run else { return };
        if self.waiting.is_empty() && self.steps.is_empty() {
            return;
        }
        let result =
            write(&mut self.journal.lock(), (run, self.inventory), &self.steps, &self.waiting, to_disk);
        self.failing = result.is_err();
        let trouble = match result {
            Ok(()) => {
                self.waiting.clear();
                self.steps.clear();
                (self.lost > 0).then(|| format!("{} events are missing in it", self.lost))
            }
            Err(error) => Some(error.to_string()),
        };
        let path = self.journal.path().display().to_string();
        let trouble = trouble.map(|why| format!("journal {path} is incomplete: {why}"));
        self.journal.note_trouble(trouble);
    }
}

fn is_of_activations(event: &Event) -> bool {
    matches!(
        event,
        Event::ActivationRequested { .. }
            | Event::ActivationCreated { .. }
            | Event::ActivationDeleted { .. }
            | Event::ActivationLeft { .. }
    )
}

impl Reader for Recorder {
    fn read(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::Output { .. } | Event::Planned { .. } | Event::Retry { .. } | Event::Warning { .. } => {
                return;
            }
            Event::Step { host, step } => {
                self.steps.insert(host.clone(), *step);
                return;
            }
            Event::RunStarted { run, .. } => self.run = Some(run.clone()),
            _ => {}
        }
        self.make_room();
        self.waiting.push_back((at, event.clone()));
        let activation = is_of_activations(event);
        if activation || matches!(event, Event::RunStarted { .. } | Event::RunDone(_)) {
            self.flush(activation);
        }
    }

    fn tick(&mut self) {
        self.ticks += 1;
        // A journal that fails may make each try wait; the next activation or the end tries again.
        if self.ticks.is_multiple_of(TICKS) && !self.failing {
            self.flush(false);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.flush(false);
    }
}

/// Writes steps and events in one transaction: all of them, or none.
fn write(
    connection: &mut Connection,
    (run, inventory): (&RunId, InventoryKey),
    steps: &BTreeMap<HostName, Step>,
    events: &VecDeque<(Timestamp, Event)>,
    to_disk: bool,
) -> rusqlite::Result<()> {
    // With a write-ahead log, NORMAL survives a killed process, and FULL a power cut as well.
    connection.pragma_update(None, "synchronous", if to_disk { "FULL" } else { "NORMAL" })?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // The run's start makes the hosts; a host's end says in which step it was, so that steps come before it.
    let mut events = events.iter().peekable();
    if let Some((at, start)) = events.next_if(|(_, event)| matches!(event, Event::RunStarted { .. })) {
        record(&transaction, run.as_str(), at.as_millisecond(), start)?;
        transaction.execute("UPDATE runs SET key = ? WHERE id = ?", params![inventory.0, run.as_str()])?;
    }
    for (host, step) in steps {
        let sql = "UPDATE hosts SET step = ? WHERE run = ? AND name = ?";
        transaction.prepare_cached(sql)?.execute(params![step.word(), run.as_str(), host.as_str()])?;
    }
    for (at, event) in events {
        record(&transaction, run.as_str(), at.as_millisecond(), event)?;
    }
    transaction.commit()
}

fn record(connection: &Connection, run: &str, at: i64, event: &Event) -> rusqlite::Result<()> {
    match event {
        Event::RunStarted { inventory, hosts, dry_run, .. } => {
            // Absolute, because it is read from elsewhere.
            let inventory = absolute(inventory).unwrap_or_else(|_| inventory.clone());
            start(connection, run, at, &inventory.to_string_lossy(), *dry_run)?;
            for (position, (host, environment)) in (0_i64..).zip(hosts) {
                let sql = "INSERT INTO hosts (run, position, name, environment) VALUES (?, ?, ?, ?)";
                let values = params![run, position, host.as_str(), environment.as_str()];
                connection.prepare_cached(sql)?.execute(values)?;
            }
        }
        Event::Done { host, step, action } => did(connection, run, at, host, *step, action)?,
        Event::ActivationRequested { environment } => {
            let sql = "INSERT INTO requests (run, environment, asked) VALUES (?, ?, ?) \
                       ON CONFLICT DO UPDATE SET asked = excluded.asked, settled = NULL";
            connection.execute(sql, params![run, environment.as_str(), at])?;
        }
        Event::ActivationsSettled { environment } => {
            let sql = "UPDATE requests SET settled = ? WHERE run = ? AND environment = ?";
            connection.execute(sql, params![at, run, environment.as_str()])?;
        }
        Event::ActivationCreated { environment, id, limit } => {
            let sql = "INSERT INTO activations (id, run, environment, registrations, created) VALUES (?, ?, ?, ?, ?) \
                       ON CONFLICT DO NOTHING";
            connection.execute(sql, params![id, run, environment.as_str(), limit, at])?;
        }
        Event::ActivationDeleted { id } => {
            let sql = "UPDATE activations SET deleted = ?, why_left = NULL WHERE id = ?";
            connection.execute(sql, params![at, id])?;
        }
        Event::ActivationLeft { id, why } => {
            connection.execute("UPDATE activations SET why_left = ? WHERE id = ?", params![why, id])?;
        }
        Event::Interrupted => {
            connection.execute("UPDATE runs SET interrupted = 1 WHERE id = ?", [run])?;
        }
        Event::HostDone(report) => {
            host_ended(connection, run, report)?;
            if report.outcome == Outcome::Planned {
                for action in &report.actions {
                    did(connection, run, at, &report.host, Step::Plan, action)?;
                }
            }
        }
        Event::RunDone(report) => run_ended(connection, run, at, report)?,
        Event::Step { .. }
        | Event::Planned { .. }
        | Event::Retry { .. }
        | Event::Warning { .. }
        | Event::Output { .. } => {}
    }
    Ok(())
}

fn start(
    connection: &Connection,
    run: &str,
    at: i64,
    inventory: &str,
    dry_run: bool,
) -> rusqlite::Result<()> {
    let process = Process::current();
    let started = process.started.and_then(|ticks| i64::try_from(ticks).ok());
    let sql = "INSERT INTO runs (id, inventory, started, dry_run, machine, boot, pid_space, pid, pid_started) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let (machine, boot, pid_space) = (process.machine, process.boot, process.pid_space);
    let values = params![run, inventory, at, dry_run, machine, boot, pid_space, process.pid, started];
    connection.execute(sql, values).map(drop)
}

fn did(
    connection: &Connection,
    run: &str,
    at: i64,
    host: &HostName,
    step: Step,
    sentence: &str,
) -> rusqlite::Result<()> {
    // From `hosts`, so that an event of a host whose start was lost fails nothing.
    let sql = "INSERT INTO actions (run, host, seq, step, sentence, at) SELECT run, name, \
               (SELECT count(*) + 1 FROM actions WHERE run = ?1 AND host = ?2), ?3, ?4, ?5 \
               FROM hosts WHERE run = ?1 AND name = ?2";
    connection.prepare_cached(sql)?.execute(params![run, host.as_str(), step.word(), sentence, at]).map(drop)
}

fn host_ended(connection: &Connection, run: &str, report: &HostReport) -> rusqlite::Result<()> {
    let (step, why, hint) = match &report.outcome {
        Outcome::Online { .. } | Outcome::Planned => (None, None, None),
        Outcome::Registered { why, hint } | Outcome::Unreachable { why, hint } => {
            (None, Some(why), Some(hint))
        }
        Outcome::Failed { step, why, hint, .. } => (Some(step.word()), Some(why), Some(hint)),
        Outcome::Skipped { why } => (None, Some(why), None),
    };
    let sql = "UPDATE hosts SET step = coalesce(?3, step), outcome = ?4, changed = ?5, node = ?6, why = ?7, \
               hint = ?8, elapsed = ?9, execs = ?10 WHERE run = ?1 AND name = ?2 AND outcome IS NULL";
    let elapsed = i64::try_from(report.elapsed.as_millis()).unwrap_or(i64::MAX);
    let (host, outcome, changed) = (report.host.as_str(), report.outcome.word(), report.changed());
    let values = params![run, host, step, outcome, changed, report.node, why, hint, elapsed, report.execs];
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

fn run_ended(connection: &Connection, run: &str, at: i64, report: &FleetReport) -> rusqlite::Result<()> {
    // For those whose own event was lost while the journal could not be written; of the others it is known.
    for host in &report.hosts {
        host_ended(connection, run, host)?;
    }
    let sql = "UPDATE runs SET ended = ?, interrupted = max(interrupted, ?) WHERE id = ?";
    connection.execute(sql, params![at, report.interrupted, run]).map(drop)
}
