//! What a run leaves on the controller's disk: the directory of its report. Set up before the first event, filled after the
//! last; in between it is only its logs. None of it fails a run.

use std::path::{Path, PathBuf};

use crate::{
    cli::places::Places,
    events::RunId,
    failure::{Exit, Failure},
    inventory::Inventory,
    report::{
        FleetReport,
        folder::Folder,
        logs::{HostLogs, LogTrouble},
        rerun,
    },
};

/// The directory of a run's report, and who writes its logs.
pub(super) struct Leavings {
    folder: Folder,
    trouble: LogTrouble,
}

impl Leavings {
    /// In the directory that was asked for, or in one of its own. Only the first must be there: who asks for a report is told
    /// at once that there can be none.
    pub(super) fn begin(
        asked: Option<&PathBuf>,
        places: &Places,
        run: &RunId,
    ) -> Result<Option<(Self, HostLogs)>, Failure> {
        let folder = if let Some(path) = asked {
            make(path)?
        } else {
            let reports = places.reports()?;
            match Folder::of_run(&reports, run) {
                Ok(folder) => folder,
                Err(error) => {
                    warn(&format!("there will be no report: {}: {error}", reports.display()));
                    return Ok(None);
                }
            }
        };
        let logs = HostLogs::new(folder.path());
        Ok(Some((Self { folder, trouble: logs.trouble() }, logs)))
    }

    /// Writes the documents and says where they are; `quiet` only says what is not there and what went wrong.
    pub(super) fn end(&self, report: &FleetReport, inventory: &Inventory, quiet: bool) {
        self.trouble.told().iter().for_each(|trouble| warn(trouble));
        let all_well = write(&self.folder, report, Some(inventory));
        if !quiet || !all_well {
            say_where(&self.folder, all_well);
        }
    }
}

/// The directory that was asked for.
pub(in crate::cli) fn make(path: &Path) -> Result<Folder, Failure> {
    Folder::at(path).map_err(|error| {
        let what = format!("the report cannot be put into {}", path.display());
        let hint = "name a directory with `--report` that you may write to, and another one for each run";
        Failure::new(Exit::CannotStart, what).because(error).hint(hint)
    })
}

/// Writes the documents; tells whether every host is good. Of an inventory that is not at hand there is no `failed.toml`.
pub(in crate::cli) fn write(folder: &Folder, report: &FleetReport, inventory: Option<&Inventory>) -> bool {
    let failed = inventory.map_or(Ok(None), |inventory| rerun::render(report, inventory));
    let failed = failed.unwrap_or_else(|error| {
        warn(&format!("{} could not be written: {error}", folder.failed().display()));
        None
    });
    folder.write(report, failed.as_deref()).iter().for_each(|trouble| warn(trouble));
    report.hosts.iter().all(|host| host.outcome.is_good())
}

/// Says where the documents are, those that are there.
pub(in crate::cli) fn say_where(folder: &Folder, all_well: bool) {
    let there = |path: PathBuf| Some(path).filter(|path| path.exists());
    if let Some(page) = there(folder.page()) {
        eprintln!("report: {}", page.display());
    }
    if let Some(failed) = there(folder.failed()).filter(|_| !all_well) {
        eprintln!("run the rest again: bootstrap --inventory {}", shown(&failed));
    }
}

/// As a shell reads it.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@%".contains(letter);
    if text.chars().all(is_plain) { text } else { crate::host::quote(&text) }
}

fn warn(text: &str) {
    eprintln!("warning: {text}");
}
