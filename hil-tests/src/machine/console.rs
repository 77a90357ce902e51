//! The end of a guest's console, made fit for an error message.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::path::Path;

/// Lines shown in an error.
pub(super) const LINES: usize = 15;
/// Far more than those lines take.
const BYTES: u64 = 16 * 1024;

/// Stands in a log where the machine was switched on, or went back to a snapshot: what is above is over.
const BEGIN: &str = "---- hil: the machine begins here ----";

/// Notes in a log that the machine begins now.
pub(super) fn begin(log: &Path) {
    let file = OpenOptions::new().create(true).append(true).open(log);
    // Who can't write it finds out by the machine, which writes there too.
    let _ = file.and_then(|mut file| writeln!(file, "\n{BEGIN}"));
}

/// Whether the kernel of a machine has given up since it began, by the end of its log.
pub(super) fn has_panicked(tail: &str) -> bool {
    tail.rsplit(BEGIN).next().is_some_and(|now| now.contains("end Kernel panic"))
}

/// The last lines of a log, without colours and control characters; empty if there is none.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
        let mut bytes = Vec::new();
        file.take(BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = plain(&String::from_utf8_lossy(&read().unwrap_or_default()));
    let kept: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    kept.get(kept.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

/// Drops escape sequences (ESC `[` parameters letter) and control characters other than the line end.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            if characters.next_if_eq(&'[').is_some() {
                characters.by_ref().find(|c| ('@'..='~').contains(c));
            }
        } else if character == '\n' || !character.is_control() {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_returns_of_systemd_are_dropped() {
        let line = "[\u{1b}[0;32m  OK  \u{1b}[0m] Started \u{1b}[0;1;39mssh.service\u{1b}[0m.\r\n\u{1b}[K";
        assert_eq!(plain(line), "[  OK  ] Started ssh.service.\n");
    }

    #[test]
    fn a_panic_is_over_once_the_machine_begins_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let panicked = || has_panicked(&tail(file.path(), LINES));
        begin(file.path());
        assert!(!panicked());
        std::fs::write(file.path(), "---[ end Kernel panic - not syncing: VFS ]---").unwrap();
        assert!(panicked());
        begin(file.path());
        assert!(!panicked());
    }

    #[test]
    fn the_last_lines_are_kept_and_empty_ones_are_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one\n\ntwo\n   \nthree\n").unwrap();
        assert_eq!(tail(file.path(), 2), "two\nthree");
        assert_eq!(tail(file.path(), 9), "one\ntwo\nthree");
        assert_eq!(tail(Path::new("/nonexistent/console"), 9), "");
    }
}
