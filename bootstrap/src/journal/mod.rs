//! The journal: what runs did, kept in one SQLite file of the controller. It is a reader of events like
//! the displays, and the ledger that finds activations again which a killed run has left behind.
//!
//! Events carry no secret, so none can get here.

pub mod history;
mod hold;
mod holders;
mod inventories;
mod ledger;
mod process;
mod recorder;
mod records;
mod schema;

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, ErrorCode};

pub use hold::{Hold, HoldError};
pub use holders::Holder;
pub use inventories::InventoryKey;
pub use ledger::{OpenActivation, UnsettledRequest, UnsweptActivation};
pub use recorder::Recorder;
pub use records::{ActionRecord, Counts, Ending, HostRecord, RunRecord};

/// The open journal; clones share one connection. Several processes may have it open at once.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
    trouble: Arc<Mutex<Option<String>>>,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Nothing to read.
    #[error("there is no journal {}", path.display())]
    Absent {
        /// Where it would be.
        path: PathBuf,
    },
    /// The directory or the file cannot be made or opened.
    #[error("journal {} cannot be opened", path.display())]
    Unusable {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is something else, or damaged.
    #[error("{} is not a journal, or it is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says, if it refused the file.
        source: Option<rusqlite::Error>,
    },
    /// A later version of this program wrote it.
    #[error("journal {} has schema {found}, this program knows schemas up to {known}", path.display())]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// SQLite refused something else.
    #[error("journal {} cannot be read or written", path.display())]
    Sqlite {
        /// The journal.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

impl JournalError {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Absent { .. } => {
                "the first run makes it; if that was kept elsewhere, name its directory with `--state-dir`"
                    .to_owned()
            }
            Self::Unusable { path, .. } => {
                let parent = path.parent().unwrap_or(path).display();
                format!(
                    "make {parent} a directory that you may write to, or name another one with `--state-dir`"
                )
            }
            Self::Damaged { path, .. } => {
                format!(
                    "move {} aside; a new journal is started in its place, and hosts are not affected",
                    path.display()
                )
            }
            Self::Newer { .. } => {
                "update this program, or name another directory with `--state-dir`".to_owned()
            }
            Self::Sqlite { path, .. } => {
                format!("is the disk of {} full, or another process holding it for long?", path.display())
            }
        }
    }
}

impl Journal {
    /// Opens the journal, or makes it: directory 0700, file 0600. Older schemas are brought up to date.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        make_file(path).map_err(|source| JournalError::Unusable { path: path.to_owned(), source })?;
        Ok(Self::on(path, schema::open(path)?))
    }

    /// Opens the journal for reading alone; nothing is made where there is none.
    pub fn read(path: &Path) -> Result<Self, JournalError> {
        if !path.try_exists().unwrap_or(true) {
            return Err(JournalError::Absent { path: path.to_owned() });
        }
        Ok(Self::on(path, schema::open_to_read(path)?))
    }

    fn on(path: &Path, connection: Connection) -> Self {
        let connection = Arc::new(Mutex::new(connection));
        Self { path: path.to_owned(), connection, trouble: Arc::default() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The reader that writes a run of an inventory into this journal.
    #[must_use]
    pub fn reader(&self, inventory: InventoryKey) -> Recorder {
        Recorder::new(self.clone(), inventory)
    }

    /// Why what a reader was told is not all in the journal; to be said once, at the end of a run.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // SQLite rolls an unfinished transaction back, so a panic elsewhere leaves nothing half done.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives SQLite's errors the journal's name.
    fn named<T>(&self, result: rusqlite::Result<T>) -> Result<T, JournalError> {
        result.map_err(|source| named(&self.path, source))
    }
}

fn named(path: &Path, source: rusqlite::Error) -> JournalError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            JournalError::Damaged { path, source: Some(source) }
        }
        _ => JournalError::Sqlite { path, source },
    }
}

/// SQLite would make the file with the umask's mode; its `-wal` and `-shm` take over the file's.
fn make_file(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map(drop)
}

#[cfg(test)]
mod tests;
