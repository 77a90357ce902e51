//! The directory that a run leaves: `report.json`, `report.xml`, `report.html`, `failed.toml`, `run.log` and a log for each
//! host. Each document is there whole or not at all. Nothing here fails a run: a full disk is a warning.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::{FleetReport, html, json, junit, logs, rerun::FAILED};
use crate::{events::RunId, inventory::HostName};

/// The report for programs.
pub const JSON: &str = "report.json";
/// The report for CI servers.
pub const JUNIT: &str = "report.xml";
/// The report for people.
pub const HTML: &str = "report.html";

/// So many runs' reports are kept where nobody asked for them.
const KEPT_RUNS: usize = 10;

/// The directory of a report.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Where the reports of other runs are, if they are ours to sweep.
    among: Option<PathBuf>,
    /// Of a run at work, so that no other run takes it for an old one; the kernel's, so gone with this process.
    _lock: Option<File>,
}

impl Folder {
    /// The directory that the operator named; made if it is not there. Documents of an earlier run are replaced, those of one
    /// that is at work are not: two shards may have been given one directory.
    pub fn at(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = File::open(path).ok().map(|directory| (directory.try_lock(), directory));
        if matches!(lock, Some((Err(TryLockError::WouldBlock), _))) {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another run is writing its report there",
            ));
        }
        let lock = lock.map(|(_, directory)| directory);
        Ok(Self { path: std::path::absolute(path)?, among: None, _lock: lock })
    }

    /// A new directory below `reports`, readable by its owner only. Once its documents are written, of the older ones
    /// there the newest are kept, and those of runs at work, as this one is until it is dropped.
    pub fn of_run(reports: &Path, run: &RunId) -> io::Result<Self> {
        let path = reports.join(run.as_str());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        // Shared will do, and NFS gives nothing else for a directory. Where there are no locks, only age protects it.
        let lock = File::open(&path).ok().filter(|directory| directory.try_lock_shared().is_ok());
        Ok(Self { path, among: Some(reports.to_owned()), _lock: lock })
    }

    /// The directory of a run below `reports`, if it is there still.
    #[must_use]
    pub fn kept(reports: &Path, run: &RunId) -> Option<Self> {
        let path = reports.join(run.as_str());
        let path = path.is_dir().then(|| std::path::absolute(&path).unwrap_or(path))?;
        Some(Self { path, among: None, _lock: None })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The page for people.
    #[must_use]
    pub fn page(&self) -> PathBuf {
        self.path.join(HTML)
    }

    /// What `bootstrap --inventory` takes to run again what is not good.
    #[must_use]
    pub fn failed(&self) -> PathBuf {
        self.path.join(FAILED)
    }

    /// The directory of the hosts' logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.path.join(logs::LOGS)
    }

    /// Copies the log of a host from the directory of another report, if there is one.
    pub fn take_log(&self, host: &HostName, from: &Path) {
        let name = Path::new(logs::LOGS).join(logs::file_name(host));
        let (from, to) = (from.join(&name), self.path.join(&name));
        // A copy onto itself would empty it.
        if from.is_file() && from.canonicalize().ok() != to.canonicalize().ok() {
            fs::create_dir_all(self.path.join(logs::LOGS)).ok();
            fs::copy(from, to).ok();
        }
    }

    /// Removes the directory of a run that did not come to its first host, unless the operator named it.
    pub fn discard(&self) {
        if self.among.is_some() {
            fs::remove_dir_all(&self.path).ok();
        }
    }

    /// Which of the documents a file is, by whatever path.
    #[must_use]
    pub fn would_replace(&self, file: &Path) -> Option<PathBuf> {
        let same = |one: &Path| fs::metadata(one).ok().map(|file| (file.dev(), file.ino()));
        let file = same(file)?;
        let documents = [JSON, JUNIT, HTML, FAILED, logs::RUN_LOG].map(|name| self.path.join(name));
        documents.into_iter().find(|document| same(document) == Some(file))
    }

    /// Writes the documents; returns what could not be written, one sentence each. Without `failed` there shall be no
    /// `failed.toml`, not even an older run's.
    #[must_use]
    pub fn write(&self, report: &FleetReport, failed: Option<&str>) -> Vec<String> {
        let logs = self.logs();
        let beside = html::Beside { has_log: &|name| logs.join(name).exists(), has_failed: failed.is_some() };
        let documents = [
            (JSON, Some(json::render(report))),
            (JUNIT, Some(junit::render(report))),
            (HTML, Some(html::render(report, beside))),
            (FAILED, failed.map(str::to_owned)),
        ];
        let mut troubles = Vec::new();
        for (name, text) in documents {
            let path = self.path.join(name);
            let written = match text {
                Some(text) => replace(&path, &text),
                None => remove(&path),
            };
            if let Err(error) = written {
                troubles.push(format!("{} could not be written: {error}", path.display()));
            }
        }
        self.sweep_others();
        troubles
    }

    fn sweep_others(&self) {
        if let Some(reports) = &self.among {
            sweep(reports, &self.path);
        }
    }
}

/// Puts a whole file into the place of the one that is there, or leaves that one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    // As any new file: the umask takes away what is too much.
    let mut file =
        tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    // Some file systems say only now that there is no room.
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the oldest but for those of runs at work, whose names may well be old where the clock was set back; only what a
/// run of ours may have made. One that stays is no harm.
fn sweep(reports: &Path, own: &Path) {
    let names = fs::read_dir(reports).into_iter().flatten().flatten();
    let mut runs: Vec<_> =
        names.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_run(name)).collect();
    // Their names begin with their times.
    runs.sort_unstable_by(|one, other| other.cmp(one));
    for path in runs.iter().skip(KEPT_RUNS).map(|run| reports.join(run)).filter(|path| path != own) {
        let directory = File::open(&path).map(|directory| (directory.try_lock(), directory));
        if !matches!(directory, Ok((Err(TryLockError::WouldBlock), _))) {
            fs::remove_dir_all(path).ok();
        }
    }
}

/// `20261122T103105Z-5f3a`
fn is_run(name: &str) -> bool {
    const FORM: &str = "dddddddd.dddddd.-xxxx";
    let fits = |(form, byte): (u8, u8)| match form {
        b'd' => byte.is_ascii_digit(),
        b'x' => byte.is_ascii_hexdigit(),
        b'-' => byte == b'-',
        _ => byte.is_ascii_uppercase(),
    };
    name.len() == FORM.len() && FORM.bytes().zip(name.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::report::table::sample;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_documents_are_there_and_the_failed_hosts_only_if_there_are_some() {
        let room = tempfile::tempdir().unwrap();
        let folder = Folder::at(&room.path().join("a/b")).unwrap();
        assert_eq!(folder.write(&sample::mixed(), Some("# failed\n")), Vec::<String>::new());
        assert_eq!(names(folder.path()), ["failed.toml", "report.html", "report.json", "report.xml"]);
        assert_eq!(folder.write(&sample::good(), None), Vec::<String>::new());
        assert_eq!(names(folder.path()), ["report.html", "report.json", "report.xml"]);
        assert_eq!(json::read(&folder.path().join(JSON)).unwrap().hosts.len(), 2);
        let mode = fs::metadata(folder.page()).unwrap().permissions().mode();
        let umask = 0o666 & !mode;
        assert_eq!(umask & 0o700, 0, "its owner can read and write it: {mode:o}");
    }

    #[test]
    fn two_runs_do_not_write_into_one_directory_at_once() {
        let room = tempfile::tempdir().unwrap();
        let first = Folder::at(room.path()).unwrap();
        let error = Folder::at(room.path()).unwrap_err();
        assert_eq!(error.to_string(), "another run is writing its report there");
        drop(first);
        Folder::at(room.path()).unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_told_and_the_rest_is_written() {
        let room = tempfile::tempdir().unwrap();
        let folder = Folder::at(room.path()).unwrap();
        fs::create_dir_all(room.path().join("report.json/in the way")).unwrap();
        let troubles = folder.write(&sample::good(), None);
        assert!(
            matches!(&troubles[..], [one] if one.contains("/report.json could not be written: ")),
            "{troubles:?}"
        );
        assert_eq!(
            names(folder.path()),
            ["report.html", "report.json", "report.xml"],
            "and nothing half written"
        );
    }

    #[test]
    fn the_newest_runs_are_kept_and_only_what_is_a_run_s_is_removed() {
        let room = tempfile::tempdir().unwrap();
        let start: Timestamp = "2026-11-22T10:31:05Z".parse().unwrap();
        for name in ["notes", "20261122T103105Z-5f3a.bak", "1"] {
            fs::create_dir(room.path().join(name)).unwrap();
        }
        for hour in 0..13 {
            let run = RunId::new(start + SignedDuration::from_hours(hour));
            let folder = Folder::of_run(room.path(), &run).unwrap();
            assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
            folder.sweep_others();
        }
        let left = names(room.path());
        assert_eq!(left.len(), 3 + KEPT_RUNS, "{left:?}");
        assert!(left.iter().any(|name| name.starts_with("20261122T2231")), "{left:?}");
        assert!(!left.iter().any(|name| name.starts_with("20261122T1231")), "{left:?}");
    }

    #[test]
    fn the_directories_of_runs_at_work_are_spared_and_ones_own_wherever_the_clock_stands() {
        let room = tempfile::tempdir().unwrap();
        let start: Timestamp = "2026-11-22T10:31:05Z".parse().unwrap();
        let at = |hour| RunId::new(start + SignedDuration::from_hours(hour));
        let others = Folder::of_run(room.path(), &at(0)).unwrap();
        for hour in 1..13 {
            Folder::of_run(room.path(), &at(hour)).unwrap().sweep_others();
        }
        assert!(others.path().is_dir(), "its run is at work");
        let set_back = Folder::of_run(room.path(), &at(-24)).unwrap();
        set_back.sweep_others();
        assert!(set_back.path().is_dir(), "older than all others by its name");
        drop(set_back);
        let path = others.path().to_owned();
        drop(others);
        Folder::of_run(room.path(), &at(13)).unwrap().sweep_others();
        assert!(!path.exists(), "its run has ended");
        assert_eq!(names(room.path()).len(), KEPT_RUNS);
    }
}
