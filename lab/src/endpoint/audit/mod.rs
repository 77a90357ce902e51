//! What was called, by whom, on what, and whether it was allowed: an event per call, in the words of CloudTrail.
//!
//! Apart from the estate, because events are never changed, only added and at last forgotten: they live in the
//! database alone, in tables that lookups have indexes for. [`event`] makes them, [`lookup`] finds them.
//!
//! An event is written after its call is done and saved, in a transaction of its own: a refused call, a malformed one
//! and one that a fault spoilt are recorded at the same place as one that worked. What is done cannot be undone by a
//! failing record, so a call never fails because its event cannot be written; that is told on stderr, once.

pub mod event;
mod identity;
pub mod lookup;
mod parameters;
mod resource;
#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, params};

use super::database::DatabaseError;
use super::service::Service;
use event::Event;

/// About 30 MiB of common events; the endpoint shares its memory with a thousand channels.
const KEPT_IN_MEMORY: i64 = 20_000;
/// About 300 MiB of common events; a thousand nodes fill it in a day of heartbeats.
const KEPT_IN_FILE: i64 = 200_000;
/// How many of the oldest go at once, so that most calls remove nothing.
const BATCH: i64 = 1_000;

/// `seq` counts without gaps, so that the number of events is known from the newest. The time stands beside each
/// attribute, since every lookup is sorted by it.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
        source TEXT NOT NULL, read_only TEXT NOT NULL, user_name TEXT, access_key_id TEXT, record TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS events_by_time ON events (time);
    CREATE INDEX IF NOT EXISTS events_by_name ON events (name, time);
    CREATE INDEX IF NOT EXISTS events_by_source ON events (source, time);
    CREATE INDEX IF NOT EXISTS events_by_read_only ON events (read_only, time);
    CREATE INDEX IF NOT EXISTS events_by_user_name ON events (user_name, time);
    CREATE INDEX IF NOT EXISTS events_by_access_key ON events (access_key_id, time);
    CREATE TABLE IF NOT EXISTS event_resources (
        event INTEGER NOT NULL, time INTEGER NOT NULL, kind TEXT, name TEXT NOT NULL, PRIMARY KEY (event, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS event_resources_by_name ON event_resources (name, time, event);
    CREATE INDEX IF NOT EXISTS event_resources_by_kind ON event_resources (kind, time, event);
";

/// The one who writes events down and forgets the oldest.
#[derive(Debug)]
pub struct Trail {
    kept: i64,
    failed: AtomicBool,
}

impl Trail {
    /// The trail in this database; made there if it is new.
    pub fn open(database: &Connection) -> Result<Self, DatabaseError> {
        database.execute_batch(TABLES)?;
        let in_file = database.path().is_some_and(|path| !path.is_empty());
        let kept = if in_file { KEPT_IN_FILE } else { KEPT_IN_MEMORY };
        Ok(Self { kept, failed: AtomicBool::new(false) })
    }

    /// Writes an event down.
    pub fn record(&self, database: &mut Connection, event: &Event) {
        if let Err(error) = append(database, event, self.kept)
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            // A closed stderr must not take the endpoint down.
            let _ = writeln!(
                std::io::stderr().lock(),
                "ssm-lab: events are lost, the database does not take them: {error}; calls go on without"
            );
        }
    }
}

fn append(database: &mut Connection, event: &Event, kept: i64) -> Result<(), rusqlite::Error> {
    let transaction = database.transaction()?;
    transaction
        .prepare_cached(
            "INSERT INTO events (time, id, name, source, read_only, user_name, access_key_id, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            event.time.as_second(),
            event.id,
            event.name,
            event.source,
            event.read_only.to_string(),
            event.user_name,
            event.access_key_id,
            event.record,
        ])?;
    let newest = transaction.last_insert_rowid();
    for resource in &event.resources {
        transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO event_resources (event, time, kind, name) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![newest, event.time.as_second(), resource.kind(), resource.name()])?;
    }
    if newest % BATCH == 0 {
        let oldest_kept = newest - kept;
        transaction.execute("DELETE FROM events WHERE seq <= ?1", [oldest_kept])?;
        transaction.execute("DELETE FROM event_resources WHERE event <= ?1", [oldest_kept])?;
    }
    transaction.commit()
}

/// Whether CloudTrail's history has calls of this name: all of the control plane, and of the agent's channels their
/// opening, but neither what comes through them nor the polls of those that have none.
#[must_use]
pub fn is_recorded(service: Service, name: &str) -> bool {
    match service {
        Service::Ssm | Service::Sts | Service::CloudTrail => true,
        Service::SsmMessages => matches!(name, "OpenControlChannel" | "OpenDataChannel"),
        Service::Ec2Messages => false,
    }
}
