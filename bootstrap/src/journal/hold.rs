//! One run at a time over an inventory, or over a shard of it: two would register the same hosts twice. Apart from the
//! database, because only a lock of the operating system is gone with the process that holds it, however that ends.
//!
//! Each run holds a file of its own (the whole, or a shard) and then looks whether another file is held that is in its way:
//! two that start in the same moment may both be refused, and never both go on. It does so for each name of the inventory,
//! since a bind mount leads to one file by two paths.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::Journal;
use crate::{events::RunId, packages::Sha256Digest, selection::Shard};

/// What a run holds until it ends.
#[derive(Debug)]
pub struct Hold {
    _files: Vec<File>,
}

/// Why a run may not begin.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// Another run of the same hosts is at work.
    #[error("another run is at work on the hosts of {}: {holder}", inventory.display())]
    Held {
        /// The inventory.
        inventory: PathBuf,
        /// The run, its process and since when.
        holder: String,
    },
    /// The lock's file cannot be used.
    #[error("{} cannot be locked", path.display())]
    Unusable {
        /// The file or its directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl HoldError {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Held { .. } => {
                "wait until it has ended, or end it with Ctrl-C or SIGTERM; nothing is left to be removed after it, however it ends"
                    .to_owned()
            }
            Self::Unusable { path, .. } => {
                format!("make {} writable, or name another state directory with `--state-dir`", path.display())
            }
        }
    }
}

impl Journal {
    /// Takes the hosts of an inventory for a run: all of them, or a shard. Shards of one division go together; a shard and
    /// the whole, or shards of different divisions, have hosts in common.
    pub fn hold(&self, inventory: &Path, shard: Option<Shard>, run: &RunId) -> Result<Hold, HoldError> {
        let directory = self.path.with_file_name("locks");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(|source| HoldError::Unusable { path: directory.clone(), source })?;
        // Open until the run ends, so that its inode is no other file's meanwhile; a pipe would wait for a writer.
        let is_file = inventory.is_file();
        let mut files: Vec<_> = is_file.then(|| File::open(inventory).ok()).flatten().into_iter().collect();
        let real = fs::canonicalize(inventory).unwrap_or_else(|_| inventory.to_owned());
        for name in names(&real, files.first()) {
            match take(&directory, &Part::of(&name, shard), run)? {
                Taken::Ours(file) => files.push(file),
                Taken::By(holder) => return Err(HoldError::Held { inventory: real, holder }),
            }
        }
        Ok(Hold { _files: files })
    }
}

/// What an inventory is known by while a run lasts: its path, the file, and its name in its directory, where an editor may put
/// another file meanwhile.
fn names(real: &Path, file: Option<&File>) -> Vec<Vec<u8>> {
    let place = |kind: &str, of: &fs::Metadata| format!("{kind} {}:{} ", of.dev(), of.ino()).into_bytes();
    let file = file.and_then(|file| file.metadata().ok()).map(|file| place("file", &file));
    let entry = || {
        let mut name = place("entry", &fs::metadata(real.parent()?).ok()?);
        name.extend_from_slice(real.file_name()?.as_encoded_bytes());
        Some(name)
    };
    let path = real.as_os_str().as_encoded_bytes().to_vec();
    [Some(path), file, entry()].into_iter().flatten().collect()
}

enum Taken {
    Ours(File),
    By(String),
}

fn take(directory: &Path, part: &Part, run: &RunId) -> Result<Taken, HoldError> {
    let unusable = |path: &Path, source| HoldError::Unusable { path: path.to_owned(), source };
    let path = directory.join(&part.name);
    let mut own = open(&path).map_err(|source| unusable(&path, source))?;
    match own.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Taken::By(words(&mut own))),
        Err(TryLockError::Error(source)) => return Err(unusable(&path, source)),
    }
    let text = format!("run {run}, process {}, since {}", std::process::id(), now());
    own.set_len(0).and_then(|()| own.write_all(text.as_bytes())).map_err(|source| unusable(&path, source))?;
    let others = fs::read_dir(directory).map_err(|source| unusable(directory, source))?;
    for other in others.flatten() {
        if !part.is_in_the_way(&other.file_name().to_string_lossy()) {
            continue;
        }
        let Ok(mut other) = File::open(other.path()) else { continue };
        if matches!(other.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return Ok(Taken::By(words(&mut other)));
        }
    }
    Ok(Taken::Ours(own))
}

/// The hosts that a run takes, as the name of its file: `INVENTORY.whole` or `INVENTORY.K-of-N`.
struct Part {
    inventory: String,
    division: String,
    name: String,
}

impl Part {
    fn of(inventory: &[u8], shard: Option<Shard>) -> Self {
        let digest = Sha256Digest::of(inventory).to_string();
        let inventory: String = digest.chars().take(16).collect();
        let part = shard.map_or_else(|| "whole".to_owned(), |shard| shard.to_string().replace('/', "-of-"));
        let division = part.split_once("-of-").map_or("", |(_, count)| count).to_owned();
        Self { name: format!("{inventory}.{part}"), division, inventory }
    }

    /// Has the other file's run hosts in common with this one?
    fn is_in_the_way(&self, other: &str) -> bool {
        let Some((inventory, part)) = other.split_once('.') else { return false };
        let division = part.split_once("-of-").map(|(_, count)| count);
        inventory == self.inventory
            && other != self.name
            && (division.is_none() || division != Some(self.division.as_str()))
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Who holds it; a run that has only just taken it may not have said yet.
fn words(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(200).read_to_string(&mut text));
    if read.is_err() || text.is_empty() { "it has only just begun".to_owned() } else { text }
}

fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    struct Desk(tempfile::TempDir, Journal);

    impl Desk {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            for name in ["hosts.toml", "others.toml"] {
                fs::write(directory.path().join(name), "").unwrap();
            }
            let journal = Journal::open(&directory.path().join("state/journal.db")).unwrap();
            Self(directory, journal)
        }

        fn hold(&self, inventory: &str, shard: Option<&str>) -> Result<Hold, HoldError> {
            let shard = shard.map(|text| text.parse().unwrap());
            self.1.hold(&self.0.path().join(inventory), shard, &RunId::from_text("20261122T103105Z-5f3a"))
        }

        /// After a lock was let go: a process that another test is starting has a copy of it until its exec.
        #[expect(clippy::disallowed_methods, reason = "no async runtime here")]
        fn hold_when_free(&self, inventory: &str, shard: Option<&str>) -> Hold {
            for _ in 0..1000 {
                match self.hold(inventory, shard) {
                    Ok(hold) => return hold,
                    Err(_) => thread::sleep(Duration::from_millis(10)),
                }
            }
            panic!("the lock of {inventory} was never let go")
        }
    }

    #[test]
    fn a_second_run_of_an_inventory_is_refused_with_the_first_ones_name_until_that_has_ended() {
        let desk = Desk::new();
        let first = desk.hold("hosts.toml", None).unwrap();
        let error = desk.hold("hosts.toml", None).unwrap_err().to_string();
        let named = format!("hosts.toml: run 20261122T103105Z-5f3a, process {}, since 2", std::process::id());
        assert!(error.contains(&named), "{error}");
        desk.hold("others.toml", None).unwrap();
        std::os::unix::fs::symlink("hosts.toml", desk.0.path().join("link.toml")).unwrap();
        assert!(desk.hold("link.toml", None).is_err(), "another name of the same file");
        drop(first);
        desk.hold_when_free("hosts.toml", None);
    }

    #[test]
    fn a_second_run_is_refused_by_another_path_without_a_link_too() {
        let desk = Desk::new();
        // As a bind mount of the file is: another path, no link.
        fs::hard_link(desk.0.path().join("hosts.toml"), desk.0.path().join("mounted.toml")).unwrap();
        let first = desk.hold("hosts.toml", None).unwrap();
        assert!(desk.hold("mounted.toml", None).is_err());
        assert!(desk.hold("mounted.toml", Some("1/2")).is_err());
        fs::write(desk.0.path().join("new"), "# edited\n").unwrap();
        fs::rename(desk.0.path().join("new"), desk.0.path().join("hosts.toml")).unwrap();
        assert!(desk.hold("hosts.toml", None).is_err(), "saved by an editor meanwhile");
        drop(first);
        desk.hold_when_free("mounted.toml", None);
    }

    #[test]
    fn a_directory_that_is_mounted_twice_makes_one_name_of_both_paths() {
        let desk = Desk::new();
        let path = desk.0.path().canonicalize().unwrap();
        let by = |path: &Path| names(path, File::open(path).ok().as_ref()).split_off(1);
        assert_eq!(by(&path.join("hosts.toml")), by(&path.join("state/../hosts.toml")));
        assert_ne!(by(&path.join("hosts.toml")), by(&path.join("others.toml")));
    }

    #[test]
    fn shards_go_together_unless_they_have_hosts_in_common() {
        let desk = Desk::new();
        let whole = desk.hold("hosts.toml", None).unwrap();
        assert!(desk.hold("hosts.toml", Some("1/2")).is_err());
        drop(whole);
        let first = desk.hold_when_free("hosts.toml", Some("1/2"));
        let second = desk.hold("hosts.toml", Some("2/2")).unwrap();
        for taken in [None, Some("1/2"), Some("2/4"), Some("12/12")] {
            assert!(desk.hold("hosts.toml", taken).is_err(), "{taken:?}");
        }
        drop(first);
        assert!(desk.hold("hosts.toml", None).is_err(), "the other shard is at work");
        drop(second);
        desk.hold_when_free("hosts.toml", None);
    }

    #[test]
    fn the_lock_of_a_process_that_was_killed_is_gone_though_its_file_is_there() {
        let desk = Desk::new();
        drop(desk.hold("hosts.toml", None).unwrap());
        let file = fs::read_dir(desk.0.path().join("state/locks")).unwrap().next().unwrap().unwrap().path();
        let mut holder = std::process::Command::new("sh")
            .args(["-c", "exec 9<>\"$1\"; flock 9; echo held; exec sleep 600", "sh"])
            .arg(&file)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        holder.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
        assert!(desk.hold("hosts.toml", None).is_err());
        holder.kill().unwrap();
        holder.wait().unwrap();
        desk.hold_when_free("hosts.toml", None);
    }
}
