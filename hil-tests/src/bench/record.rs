//! What is kept of one scenario: its timeline, and a directory with the logs of everything that took part.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::report::Mark;

/// The record of one scenario on one machine.
#[derive(Debug)]
pub struct Record {
    directory: PathBuf,
    begin: Instant,
    marks: Mutex<Vec<Mark>>,
}

impl Record {
    /// An empty record whose logs go to `directory`.
    pub fn new(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        Ok(Self { directory, begin: Instant::now(), marks: Mutex::default() })
    }

    /// Notes that something happens now.
    pub fn mark(&self, what: impl Into<String>) {
        let mark = Mark { at_ms: self.elapsed_ms(), what: what.into() };
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).push(mark);
    }

    /// Everything noted so far.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where its logs go.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Since its beginning, in milliseconds.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Keeps what a log has grown by since it was `length` bytes long. A log that is gone is no error: a machine that
    /// never started has none.
    pub fn keep(&self, name: &str, log: &Path, length: u64) {
        let Ok(bytes) = fs::read(log) else { return };
        let from = usize::try_from(length).unwrap_or(0);
        let grown = bytes.get(from..).unwrap_or(&bytes);
        // The scenario's outcome must not hang on a full disk.
        let _ = fs::write(self.directory.join(name), grown);
    }
}
