//! The journal's tables, and how an older journal gets to them. A migration is never edited once it
//! is released; a change is a new one at the end of the list.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{JournalError, named};

/// "btsp": tells a journal from other programs' SQLite files.
pub(super) const APPLICATION: i32 = 0x6274_7370;

/// Another process writes for milliseconds; but waiting here holds up this run's displays.
const BUSY: Duration = Duration::from_secs(3);

/// The schema this program writes.
pub(super) const KNOWN: u32 = 4;

/// Step `n` brings schema `n` to `n + 1`. Times are milliseconds since 1970, UTC.
pub(super) const MIGRATIONS: [&str; KNOWN as usize] = [
    "
CREATE TABLE runs (
    id          TEXT PRIMARY KEY,
    inventory   TEXT NOT NULL,
    started     INTEGER NOT NULL,
    ended       INTEGER,
    dry_run     INTEGER NOT NULL,
    interrupted INTEGER NOT NULL DEFAULT 0,
    machine     TEXT,
    boot        TEXT,
    pid_space   TEXT,
    pid         INTEGER NOT NULL,
    pid_started INTEGER
) STRICT;
CREATE INDEX runs_by_start ON runs (started);

CREATE TABLE hosts (
    run         TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    position    INTEGER NOT NULL,
    environment TEXT NOT NULL,
    step        TEXT,
    outcome     TEXT,
    changed     INTEGER NOT NULL DEFAULT 0,
    node        TEXT,
    why         TEXT,
    hint        TEXT,
    elapsed     INTEGER,
    execs       INTEGER,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE actions (
    run      TEXT NOT NULL,
    host     TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    step     TEXT,
    sentence TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (run, host, seq),
    FOREIGN KEY (run, host) REFERENCES hosts (run, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE activations (
    id            TEXT PRIMARY KEY,
    run           TEXT NOT NULL REFERENCES runs (id),
    environment   TEXT NOT NULL,
    registrations INTEGER NOT NULL,
    created       INTEGER NOT NULL,
    deleted       INTEGER,
    why_left      TEXT
) STRICT;
CREATE INDEX activations_by_run ON activations (run);
",
    "
ALTER TABLE activations ADD COLUMN swept INTEGER;
UPDATE activations SET swept = created;
",
    "
CREATE TABLE requests (
    run         TEXT NOT NULL REFERENCES runs (id),
    environment TEXT NOT NULL,
    asked       INTEGER NOT NULL,
    settled     INTEGER,
    PRIMARY KEY (run, environment)
) STRICT, WITHOUT ROWID;
",
    "
CREATE TABLE inventories (id INTEGER PRIMARY KEY) STRICT;

CREATE TABLE places (
    inventory INTEGER NOT NULL REFERENCES inventories (id),
    path      TEXT NOT NULL,
    file      TEXT,
    PRIMARY KEY (inventory, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX places_by_path ON places (path);
CREATE INDEX places_by_file ON places (file);

CREATE TABLE members (
    inventory INTEGER NOT NULL REFERENCES inventories (id),
    host      TEXT NOT NULL,
    site      TEXT,
    PRIMARY KEY (inventory, host)
) STRICT, WITHOUT ROWID;

ALTER TABLE runs ADD COLUMN key INTEGER REFERENCES inventories (id);
CREATE INDEX runs_by_key ON runs (key);
INSERT INTO inventories (id) SELECT min(rowid) FROM runs GROUP BY inventory;
INSERT INTO places (inventory, path) SELECT min(rowid), inventory FROM runs GROUP BY inventory;
UPDATE runs SET key = (SELECT inventory FROM places WHERE path = runs.inventory);
INSERT OR IGNORE INTO members (inventory, host) SELECT r.key, h.name FROM runs r JOIN hosts h ON h.run = r.id;
",
];

/// Opens the file and brings it to [`KNOWN`].
pub(super) fn open(path: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|error| named(path, error))?;
    let opened = configure(&connection).and_then(|()| migrate(&mut connection));
    match opened.map_err(|error| named(path, error))? {
        Found::Ours => Ok(connection),
        Found::Foreign => Err(JournalError::Damaged { path: path.to_owned(), source: None }),
        Found::Newer(found) => Err(JournalError::Newer { path: path.to_owned(), found, known: KNOWN }),
    }
}

/// Opens a journal that is there for reading alone. One of an older schema is brought to [`KNOWN`] after all.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, JournalError> {
    let connection = read_only(path).map_err(|error| named(path, error))?;
    match look(&connection).map_err(|error| named(path, error))? {
        (APPLICATION, KNOWN, _) => Ok(connection),
        _ => open(path),
    }
}

fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let looked_at = |connection: Connection| {
        connection.busy_timeout(BUSY)?;
        look(&connection).map(|_| connection)
    };
    let error = match Connection::open_with_flags(path, flags).and_then(looked_at) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::CannotOpen) => error,
        opened => return opened,
    };
    // Beside a journal on a read-only file system SQLite can't make the files by which readers and writers agree. There is
    // nobody to agree with, as long as no writer has left any.
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match unchanging(path) {
        Some(name) if std::fs::metadata(log).map_or(true, |log| log.len() == 0) => {
            Connection::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_URI).and_then(looked_at)
        }
        _ => Err(error),
    }
}

/// SQLite's name for a file that nobody writes.
fn unchanging(path: &Path) -> Option<String> {
    let mut name = reqwest::Url::from_file_path(std::path::absolute(path).ok()?).ok()?;
    name.set_query(Some("immutable=1"));
    Some(name.into())
}

/// What the file was when it was opened.
enum Found {
    Ours,
    Foreign,
    Newer(u32),
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "foreign_keys", true)
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<Found> {
    // Inside a write transaction, since another process may be making the same journal right now.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = match look(&transaction)? {
        (APPLICATION, version, _) if version > KNOWN => return Ok(Found::Newer(version)),
        (APPLICATION, version, _) => version,
        (0, 0, 0) => 0,
        _ => return Ok(Found::Foreign),
    };
    for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(usize::MAX)) {
        transaction.execute_batch(migration)?;
    }
    if version < KNOWN {
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", KNOWN)?;
    }
    transaction.commit()?;
    write_ahead(connection)?;
    Ok(Found::Ours)
}

/// Application, schema, number of tables.
fn look(connection: &Connection) -> rusqlite::Result<(i32, u32, u32)> {
    let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok((application, version, tables))
}

/// Readers and a writer at once. The mode stays with the file, and a file system that can't do it
/// keeps the old mode, so neither a busy file nor another answer than "wal" is an error.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    match connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        other => other,
    }
}
