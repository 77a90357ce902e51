//! What a run leaves on the controller's disk: the directory of its report. Set up before the first event, filled after the
//! last; in between it is only its logs. None of it fails a run.

use std::path::{Path, PathBuf};

use crate::{
    cli::{places::Places, tell, warn},
    display::typed,
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
        inventory: &Path,
    ) -> Result<Option<(Self, HostLogs)>, Failure> {
        let folder = if let Some(path) = asked {
            make(path, Some(inventory))?
        } else {
            let reports = places.reports()?;
            match Folder::of_run(&reports, run) {
                Ok(folder) => folder,
                Err(error) => {
                    warn(format_args!("there will be no report: {}: {error}", reports.display()));
                    return Ok(None);
                }
            }
        };
        let logs = HostLogs::new(folder.path());
        Ok(Some((Self { folder, trouble: logs.trouble() }, logs)))
    }

    /// Writes the documents; tells what could not be written. Prints nothing: a terminal that hangs loses no document.
    #[must_use]
    pub(super) fn write(&self, report: &FleetReport, inventory: &Inventory) -> Vec<String> {
        let troubles = write(&self.folder, report, Some(inventory));
        self.trouble.told().into_iter().chain(troubles).collect()
    }

    /// Where the logs of the hosts are.
    pub(super) fn logs(&self) -> PathBuf {
        self.folder.logs()
    }

    /// The directory.
    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Of a run that could not start after all.
    pub(super) fn discard(&self) {
        self.folder.discard();
    }
}

/// The directory that was asked for; not one in which the report would take the place of the inventory that it is of.
pub(in crate::cli) fn make(path: &Path, inventory: Option<&Path>) -> Result<Folder, Failure> {
    let folder = Folder::at(path).map_err(|error| {
        let what = format!("the report cannot be put into {}", path.display());
        let hint = "name a directory with `--report` that you may write to, and another one for each run";
        Failure::new(Exit::CannotStart, what).because(error).hint(hint)
    })?;
    match inventory.and_then(|inventory| folder.would_replace(inventory)) {
        None => Ok(folder),
        Some(document) => {
            let what = format!("the report would take the place of the inventory, {}", document.display());
            Err(Failure::new(Exit::CannotStart, what).hint("name another directory with `--report`"))
        }
    }
}

/// Writes the documents; tells what could not be written. Of an inventory that is not at hand there is no `failed.toml`.
#[must_use]
pub(in crate::cli) fn write(
    folder: &Folder,
    report: &FleetReport,
    inventory: Option<&Inventory>,
) -> Vec<String> {
    let mut troubles = Vec::new();
    let failed = inventory.map_or(Ok(None), |inventory| rerun::render(report, inventory));
    let failed = failed.unwrap_or_else(|error| {
        troubles.push(format!("{} could not be written: {error}", folder.failed().display()));
        None
    });
    troubles.extend(folder.write(report, failed.as_deref()));
    troubles
}

/// Says where the documents are, those that are there; `state` is the directory of the state, where it is not the usual one.
pub(in crate::cli) fn say_where(folder: &Folder, report: &FleetReport, state: Option<&Path>) {
    let there = |path: PathBuf| Some(path).filter(|path| path.exists());
    if let Some(page) = there(folder.page()) {
        tell(format_args!("report: {}", page.display()));
    }
    if let Some(failed) = there(folder.failed()).filter(|_| !report.is_good()) {
        let state = state.map(|state| format!(" --state-dir {}", typed(state))).unwrap_or_default();
        tell(format_args!("run the rest again: bootstrap --inventory {}{state}", typed(&failed)));
    }
}
