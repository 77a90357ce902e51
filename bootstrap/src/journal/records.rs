//! What the journal knows of past runs. Names are texts here: they are those of an inventory that
//! may since have changed, so they stand for nothing in the one at hand.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Params, Row, params};
use serde::Serialize;

use super::{
    InventoryKey, Journal, JournalError,
    process::{Life, Process},
};
use crate::events::RunId;

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// The inventory's file, absolute.
    pub inventory: PathBuf,
    /// When it started.
    pub started: Timestamp,
    /// How long it took, if it ended.
    pub elapsed: Option<Duration>,
    /// Nothing was to be changed.
    pub dry_run: bool,
    /// How it ended.
    pub ending: Ending,
    /// What became of its hosts.
    pub counts: Counts,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// It came to its end.
    Ended,
    /// Ctrl-C or its own limit ended it.
    Interrupted,
    /// Its process is gone, and never said that it ended.
    Died,
    /// Its process is there.
    Running,
    /// It never said that it ended, and its process can't be seen from here: another machine or container.
    Unknown,
}

impl Ending {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Interrupted => "interrupted",
            Self::Died => "died",
            Self::Running => "running",
            Self::Unknown => "unknown",
        }
    }
}

/// How many hosts of a run have which outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All of them.
    pub hosts: u32,
    /// Online.
    pub online: u32,
    /// Changed, however they ended.
    pub changed: u32,
    /// Planned, in a dry run.
    pub planned: u32,
    /// Registered, but not Online.
    pub registered: u32,
    /// Failed.
    pub failed: u32,
    /// Never connected.
    pub unreachable: u32,
    /// Never started.
    pub skipped: u32,
    /// Without an outcome: still worked on, or in doubt after a run that died.
    pub unfinished: u32,
}

/// One host in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRecord {
    /// Its name.
    pub host: String,
    /// Its environment.
    pub environment: String,
    /// The word for its outcome; none while it is worked on, or if the run died.
    pub outcome: Option<String>,
    /// The last step it was in; where it failed, if it did.
    pub step: Option<String>,
    /// It was changed.
    pub changed: bool,
    /// The managed node.
    pub node: Option<String>,
    /// Why it is not good.
    pub why: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// From its turn to its end.
    pub elapsed: Option<Duration>,
    /// Commands that were run on it.
    pub execs: Option<u32>,
}

/// One thing done to a host; in a dry run, that would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRecord {
    /// When it was done.
    pub at: Timestamp,
    /// The step it was done in.
    pub step: Option<String>,
    /// What was done.
    pub sentence: String,
}

const RUNS: &str = "SELECT r.id, r.inventory, r.started, r.ended, r.dry_run, r.interrupted, \
    r.machine, r.boot, r.pid_space, r.pid, r.pid_started, count(h.name), \
    coalesce(sum(h.outcome = 'online'), 0), coalesce(sum(h.changed), 0), coalesce(sum(h.outcome = 'planned'), 0), \
    coalesce(sum(h.outcome = 'registered'), 0), coalesce(sum(h.outcome = 'failed'), 0), coalesce(sum(h.outcome = 'unreachable'), 0), \
    coalesce(sum(h.outcome = 'skipped'), 0), count(h.name) - count(h.outcome) \
    FROM runs r LEFT JOIN hosts h ON h.run = r.id";

impl Journal {
    /// The newest runs, the newest first.
    pub fn runs(&self, limit: u32) -> Result<Vec<RunRecord>, JournalError> {
        let sql = format!("{RUNS} GROUP BY r.id ORDER BY r.started DESC, r.id DESC LIMIT ?");
        let here = Process::current();
        self.select(&sql, [limit], |row| run(row, &here))
    }

    /// The run with this id.
    pub fn run(&self, id: &str) -> Result<Option<RunRecord>, JournalError> {
        let sql = format!("{RUNS} WHERE r.id = ? GROUP BY r.id");
        let here = Process::current();
        let result = self.lock().query_row(&sql, [id], |row| run(row, &here)).optional();
        self.named(result)
    }

    /// The hosts of a run, in its inventory's order.
    pub fn hosts_of(&self, run: &RunId) -> Result<Vec<HostRecord>, JournalError> {
        let sql = "SELECT name, environment, outcome, step, changed, node, why, hint, elapsed, execs \
                   FROM hosts WHERE run = ? ORDER BY position";
        self.select(sql, [run.as_str()], |row| {
            Ok(HostRecord {
                host: row.get(0)?,
                environment: row.get(1)?,
                outcome: row.get(2)?,
                step: row.get(3)?,
                changed: row.get(4)?,
                node: row.get(5)?,
                why: row.get(6)?,
                hint: row.get(7)?,
                elapsed: row.get::<_, Option<i64>>(8)?.map(millis),
                execs: row.get(9)?,
            })
        })
    }

    /// The hosts of an inventory that were not Online at the end of the last run that had them and was meant to change
    /// something; none if there was no such run, or none that is over. The last run is the one that was written down last,
    /// whatever the clock said.
    pub fn failed_hosts(&self, inventory: InventoryKey) -> Result<Option<BTreeSet<String>>, JournalError> {
        let sql = "SELECT id FROM runs WHERE key = ? AND NOT dry_run";
        let over: Vec<String> = self.select(sql, [inventory.0], |row| row.get(0))?;
        let at_work = self.at_work()?;
        if over.iter().all(|run| at_work.contains(run)) {
            return Ok(None);
        }
        // Beside max(), SQLite takes the other columns from the row that has it.
        let sql = "SELECT h.name, h.outcome, max(r.rowid) FROM hosts h JOIN runs r ON r.id = h.run \
                   WHERE r.key = ?1 AND NOT r.dry_run AND r.id NOT IN (SELECT value FROM json_each(?2)) \
                   GROUP BY h.name";
        let at_work = serde_json::Value::from_iter(at_work).to_string();
        let last = self.select(sql, params![inventory.0, at_work], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
        })?;
        let failed = last.into_iter().filter(|(_, outcome)| outcome.as_deref() != Some("online"));
        Ok(Some(failed.map(|(host, _)| host).collect()))
    }

    /// The ids of runs whose processes are there.
    fn at_work(&self) -> Result<BTreeSet<String>, JournalError> {
        let here = Process::current();
        let sql = format!("{RUNS} WHERE r.ended IS NULL GROUP BY r.id");
        let open = self.select(&sql, [], |row| run(row, &here))?;
        let running = open.into_iter().filter(|run| run.ending == Ending::Running);
        Ok(running.map(|run| run.id.to_string()).collect())
    }

    /// What was done to a host in a run, in order.
    pub fn actions_of(&self, run: &RunId, host: &str) -> Result<Vec<ActionRecord>, JournalError> {
        let sql = "SELECT at, step, sentence FROM actions WHERE run = ? AND host = ? ORDER BY seq";
        self.select(sql, [run.as_str(), host], |row| {
            Ok(ActionRecord { at: time(row.get(0)?), step: row.get(1)?, sentence: row.get(2)? })
        })
    }

    pub(super) fn select<T>(
        &self,
        sql: &str,
        values: impl Params,
        record: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, JournalError> {
        let connection = self.lock();
        let rows = connection.prepare_cached(sql).and_then(|mut statement| {
            let rows = statement.query_map(values, record)?;
            rows.collect()
        });
        self.named(rows)
    }
}

fn run(row: &Row<'_>, here: &Process) -> rusqlite::Result<RunRecord> {
    let (started, ended): (i64, Option<i64>) = (row.get(2)?, row.get(3)?);
    let process = Process {
        machine: row.get(6)?,
        boot: row.get(7)?,
        pid_space: row.get(8)?,
        pid: row.get(9)?,
        started: row.get::<_, Option<i64>>(10)?.and_then(|ticks| ticks.try_into().ok()),
    };
    let ending = match (ended, row.get(5)?) {
        (Some(_), false) => Ending::Ended,
        (Some(_), true) => Ending::Interrupted,
        (None, _) => match process.life(here) {
            Life::Alive => Ending::Running,
            Life::Dead => Ending::Died,
            Life::Unknown => Ending::Unknown,
        },
    };
    Ok(RunRecord {
        id: RunId::from_text(row.get::<_, String>(0)?),
        inventory: PathBuf::from(row.get::<_, String>(1)?),
        started: time(started),
        elapsed: ended.map(|ended| millis(ended - started)),
        dry_run: row.get(4)?,
        ending,
        counts: counts(row)?,
    })
}

fn counts(row: &Row<'_>) -> rusqlite::Result<Counts> {
    Ok(Counts {
        hosts: row.get(11)?,
        online: row.get(12)?,
        changed: row.get(13)?,
        planned: row.get(14)?,
        registered: row.get(15)?,
        failed: row.get(16)?,
        unreachable: row.get(17)?,
        skipped: row.get(18)?,
        unfinished: row.get(19)?,
    })
}

/// A time of the journal; a damaged one is shown as 1970 rather than hiding the rest.
pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis.try_into().unwrap_or_default())
}
