//! What is kept of one scenario: its timeline, and a directory with the logs of everything that took part.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::Result;

use crate::report::Mark;

/// A machine that floods its console shall fill neither the results nor the memory of this computer.
pub(super) const LARGEST: u64 = 16 << 20;
/// What is searched at once.
pub(super) const PIECE: u64 = 1 << 20;

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
        let Ok(grown) = grown(log, length) else { return };
        // The scenario's outcome must not hang on a full disk.
        let _ = fs::write(self.directory.join(name), grown);
    }
}

/// What a log has grown by since it was `length` bytes long, all of it, piece by piece; each begins with the last `overlap` bytes
/// of the one before. A log that is gone has not grown.
pub(super) fn each_piece(
    log: &Path,
    length: u64,
    overlap: usize,
    mut look: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut file = match fs::File::open(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let (begin, end) = growth(&file, length)?;
    file.seek(SeekFrom::Start(begin))?;
    // What is written meanwhile may never end.
    let mut grown = file.take(end - begin);
    let mut piece = Vec::new();
    while grown.by_ref().take(PIECE).read_to_end(&mut piece)? > 0 {
        look(&piece)?;
        piece.drain(..piece.len().saturating_sub(overlap));
    }
    Ok(())
}

/// From where to where a log has grown. One that is shorter now was begun anew.
fn growth(file: &fs::File, length: u64) -> io::Result<(u64, u64)> {
    let end = file.metadata()?.len();
    Ok((if end < length { 0 } else { length }, end))
}

/// What a log has grown by since it was `length` bytes long; of more than anybody reads the end, and a line that says so.
fn grown(log: &Path, length: u64) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(log)?;
    let (begin, end) = growth(&file, length)?;
    let from = begin.max(end.saturating_sub(LARGEST));
    let mut bytes = Vec::new();
    if from > begin {
        writeln!(bytes, "[{} bytes before this are left out]", from - begin)?;
    }
    file.seek(SeekFrom::Start(from))?;
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flooded_log_the_end_is_kept_and_of_any_other_what_it_has_grown_by() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("console.log");
        fs::write(&log, "before\nnow\n").unwrap();
        assert_eq!(grown(&log, 7).unwrap(), b"now\n");
        assert_eq!(grown(&log, 70).unwrap(), b"before\nnow\n", "it was begun anew");
        // Sparse: it has no bytes but the last.
        let mut file = fs::OpenOptions::new().append(true).open(&log).unwrap();
        file.set_len(LARGEST + 100).unwrap();
        file.write_all(b"panic\n").unwrap();
        let kept = grown(&log, 7).unwrap();
        assert!(kept.starts_with(b"[99 bytes before this are left out]\n"), "{}", kept.len());
        assert!(kept.ends_with(b"\0panic\n") && kept.len() < usize::try_from(LARGEST).unwrap() + 50);
    }
}
