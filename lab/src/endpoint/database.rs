//! The database under the endpoint's state: one SQLite file, or memory that ends with the process.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use thiserror::Error;

use crate::private_file;

/// The layout this version reads and writes.
const LAYOUT: i64 = 1;

/// Why there is no state, or why it cannot be kept.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// SQLite failed.
    #[error("the database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The file cannot be opened, or another endpoint has it.
    #[error("cannot open {}; is another ssm-lab using it? Name another directory with --state-dir", path.display())]
    Open { path: PathBuf, source: rusqlite::Error },
    /// The file cannot be made.
    #[error(transparent)]
    Create(#[from] private_file::WriteError),
    /// Another version wrote the file.
    #[error("{} has layout {found}, and this version reads layout {LAYOUT}; name another directory with --state-dir", path.display())]
    Layout { path: PathBuf, found: i64 },
    /// A row is not what it should be.
    #[error("row `{id}` of table {table} cannot be read or written: {reason}")]
    Row { table: &'static str, id: String, reason: String },
}

/// A database that ends with the process.
pub fn in_memory() -> Result<Connection, DatabaseError> {
    Ok(Connection::open_in_memory()?)
}

/// The database in this file, for this process alone; mode 0600, since it holds role tokens.
pub fn open(path: &Path) -> Result<Connection, DatabaseError> {
    if !path.exists() {
        private_file::write(path, b"")?;
    }
    let opened = |source| DatabaseError::Open { path: path.to_owned(), source };
    let database = Connection::open(path).map_err(opened)?;
    // Nobody else writes. Not synced: calls would wait for a busy disk, for seconds under QEMU guests, and agents with
    // them. A killed process loses nothing by that; a power cut may cost a rehearsal's state.
    database
        .execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; BEGIN EXCLUSIVE; COMMIT",
        )
        .map_err(opened)?;
    let found: i64 = database.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(opened)?;
    match found {
        0 => database.pragma_update(None, "user_version", LAYOUT)?,
        LAYOUT => {}
        found => return Err(DatabaseError::Layout { path: path.to_owned(), found }),
    }
    Ok(database)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{DatabaseError, open};

    #[test]
    fn a_file_is_for_one_process_and_one_user() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let held = open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = open(&path).unwrap_err();
        assert!(matches!(error, DatabaseError::Open { .. }), "{error}");
        drop(held);
        assert!(open(&path).is_ok());
    }

    #[test]
    fn the_file_of_another_version_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
        assert!(matches!(open(&path), Err(DatabaseError::Layout { found: 7, .. })));
        std::fs::write(&path, "this is not a database, and it is long enough to be read as a header")
            .unwrap();
        assert!(matches!(open(&path), Err(DatabaseError::Open { .. })));
    }
}
