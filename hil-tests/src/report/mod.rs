//! What a run found, as values: written as JSON as they are, and shown on the terminal, as JUnit and as one HTML page.

pub mod html;
pub mod junit;
pub mod terminal;
pub(crate) mod words;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Everything about a run of scenarios.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// 1; fields are only ever added.
    pub schema: u32,
    /// When it began: RFC 3339, in UTC.
    pub started: String,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
    /// The seed of all that was chosen at random.
    pub seed: u64,
    /// How many scenarios ran at a time.
    pub jobs: usize,
    /// It was ended before all had run.
    pub interrupted: bool,
    /// The machines, in the order of the matrix.
    pub machines: Vec<MachineReport>,
    /// One for each machine and scenario that were to meet, in the order in which they ended.
    pub cells: Vec<Cell>,
}

/// A machine of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineReport {
    /// As `--machine` names it.
    pub name: String,
    /// In a few words.
    pub summary: String,
    /// Architecture of its userland.
    pub arch: String,
    /// What its instructions ran on: `tcg`, `kvm`, or `hardware`.
    pub runs_on: String,
}

/// How one scenario went on one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The machine's name.
    pub machine: String,
    /// The scenario's name.
    pub scenario: String,
    /// What the scenario shows, in one sentence.
    pub summary: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed or was skipped, cause by cause; empty if it passed.
    pub causes: Vec<String>,
    /// The seed of what was chosen at random in it.
    pub seed: u64,
    /// From the beginning of the run to its beginning, in milliseconds.
    pub started_ms: u64,
    /// How long it took, preparation included, in milliseconds.
    pub elapsed_ms: u64,
    /// What happened in it, in order.
    pub timeline: Vec<Mark>,
    /// The end of the machine's console; empty if it passed.
    pub console: String,
    /// Where its logs are, relative to the report.
    pub logs: PathBuf,
    /// The command that runs it again as it was.
    pub replay: String,
}

/// How a scenario ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All that it checks held.
    Passed,
    /// Something did not hold, or could not be done.
    Failed,
    /// It did not run.
    Skipped,
}

/// A moment of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// From the beginning of the scenario, in milliseconds.
    pub at_ms: u64,
    /// What happened then.
    pub what: String,
}

impl Report {
    /// How many ended so.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.cells.iter().filter(|cell| cell.outcome == outcome).count()
    }
}

/// Writes the report in all its forms into a directory: each whole, or not at all, and as many as can be.
pub fn write(report: &Report, directory: &Path) -> Result<()> {
    let json = serde_json::to_string_pretty(report).context("the report is no JSON")?;
    let forms =
        [("report.json", json), ("junit.xml", junit::junit(report)?), ("report.html", html::html(report))];
    let written: Vec<Result<()>> = forms
        .into_iter()
        .map(|(name, text)| {
            let path = directory.join(name);
            replace(&path, &text).with_context(|| format!("can't write {}", path.display()))
        })
        .collect();
    written.into_iter().collect()
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_added_extension("new");
    let replaced = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    if replaced.is_err() {
        // On a full disk it takes what room is left.
        let _ = fs::remove_file(&beside);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_can_not_be_written_costs_no_other_and_leaves_no_half_of_it() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("report.json")).unwrap();
        let report = Report {
            schema: 1,
            started: "2026-11-22T17:33:10Z".to_owned(),
            elapsed_ms: 0,
            seed: 7,
            jobs: 1,
            interrupted: false,
            machines: Vec::new(),
            cells: Vec::new(),
        };
        let error = write(&report, directory.path()).unwrap_err().to_string();
        assert!(error.contains("report.json"), "{error}");
        let mut names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["junit.xml", "report.html", "report.json"]);
    }
}
