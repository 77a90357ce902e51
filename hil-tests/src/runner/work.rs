//! The place where a run works, and that nothing of it survives: no QEMU, no endpoint, no overlay, no socket, however the
//! run ended.
//!
//! A watchman, which is `hil guard` in a session of its own, reads a pipe whose other end only the run holds; the kernel closes
//! that end even after SIGKILL. And should the watchman be killed too, the next run ends what it finds.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use images::Cache;
use tokio::process::{Child, ChildStdin, Command};

use crate::fleet::{cgroup, remove_network_of};
use crate::lab::{Paths, Programs, endpoint};
use crate::machine::Machine as _;
use crate::machine::qemu::Qemu;
use crate::process::{Known, kill_all_in};

/// How deep below the place of a run its machines lie.
const DEPTH: usize = 4;
const STOP_GRACE: Duration = Duration::from_secs(5);

/// The place of one run.
#[derive(Debug)]
pub struct Workshop {
    directory: PathBuf,
    _lock: File,
    pipe: Option<ChildStdin>,
    watchman: Child,
}

impl Workshop {
    /// A new place, with a watchman; what runs that are gone have left is ended first.
    pub async fn open(programs: &Programs) -> Result<Self> {
        let places = Cache::of_user()?.directory().join("work");
        fs::create_dir_all(&places).with_context(|| format!("can't create {}", places.display()))?;
        sweep_dead(&places).await?;
        let directory = places.join(std::process::id().to_string());
        let path = lock_of(&directory);
        let lock = File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
        lock.lock().with_context(|| format!("can't lock {}", path.display()))?;
        fs::create_dir_all(&directory).with_context(|| format!("can't create {}", directory.display()))?;
        let mut command = Command::new("setsid");
        command.arg(&programs.hil).args(["guard", "--dir"]).arg(&directory).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut watchman = command.spawn().context("can't start the watchman of the run")?;
        Ok(Self { directory, _lock: lock, pipe: watchman.stdin.take(), watchman })
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Ends everything in it, and it.
    pub async fn close(mut self) -> Result<()> {
        sweep(&self.directory).await?;
        drop(self.pipe.take());
        self.watchman.wait().await.context("can't wait for the watchman")?;
        Ok(())
    }
}

/// The watchman's work: waits for the end of `pipe`, then ends what is left.
pub async fn watch(mut pipe: impl Read + Send + 'static, directory: PathBuf) -> Result<()> {
    let wait = move || std::io::copy(&mut pipe, &mut std::io::sink());
    tokio::task::spawn_blocking(wait).await?.context("can't read the watchman's pipe")?;
    sweep(&directory).await
}

fn lock_of(directory: &Path) -> PathBuf {
    directory.with_extension("lock")
}

/// Places whose lock nobody holds belong to runs that are gone.
async fn sweep_dead(places: &Path) -> Result<()> {
    for entry in fs::read_dir(places).with_context(|| format!("can't read {}", places.display()))?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            let held = File::open(lock_of(&path)).is_ok_and(|file| file.try_lock().is_err());
            if !held {
                sweep(&path).await?;
            }
        }
    }
    Ok(())
}

/// Ends every machine and endpoint in a place, and deletes it. Nothing of it may be there.
pub(crate) async fn sweep(directory: &Path) -> Result<()> {
    cgroup::end_all_in(directory).await;
    // A place is named after the process of its run.
    if let Some(process) = directory.file_name() {
        remove_network_of(&process.to_string_lossy());
    }
    let mut found = Vec::new();
    directories(directory, DEPTH, &mut found);
    for place in found {
        if let Ok(Some(machine)) = Qemu::open(&place)
            && machine.is_on()
        {
            machine.power_cut().await?;
        }
        // A QEMU that was started when its machine had no state file yet.
        let path = place.join("pid");
        if let Some(pid) = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()) {
            Known { pid, mark: path.to_string_lossy().into_owned() }.stop(STOP_GRACE).await;
        }
        if let Ok(paths) = Paths::existing(&place) {
            endpoint::stop(&paths).await;
        }
    }
    // A controller of a scenario, which would make new files in it.
    kill_all_in(directory, STOP_GRACE).await;
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't delete {}", directory.display()))
        }
        _ => {
            // Its name is free for the next run; a lock that can't be deleted stays as an empty file.
            let _ = fs::remove_file(lock_of(directory));
            Ok(())
        }
    }
}

fn directories(of: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    found.push(of.to_owned());
    if depth == 0 {
        return;
    }
    for entry in fs::read_dir(of).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            directories(&entry.path(), depth - 1, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::Deadline;

    #[tokio::test]
    async fn a_process_of_a_place_is_ended_and_the_place_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("1");
        let machine = place.join("bench-0").join("machine");
        fs::create_dir_all(&machine).unwrap();
        let mark = machine.join("pid");
        // A stand-in for QEMU: any process with the pid file as a word of its command line.
        let mut child = std::process::Command::new("sh")
            .args(["-c", "while :; do sleep 1; done", "sh"])
            .arg(&mark)
            .spawn()
            .unwrap();
        fs::write(&mark, child.id().to_string()).unwrap();
        // Right after its start a process has no command line for a moment.
        let known =
            Known { pid: i32::try_from(child.id()).unwrap(), mark: mark.to_string_lossy().into_owned() };
        let deadline = Deadline::after(Duration::from_secs(20));
        while !known.is_alive() && deadline.pause(Duration::from_millis(1)).await {}
        let waiting = std::thread::spawn(move || child.wait());
        sweep(&place).await.unwrap();
        let status = waiting.join().unwrap().unwrap();
        assert!(!status.success() && !place.exists());
    }

    #[tokio::test]
    async fn the_place_of_a_run_that_lives_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        for name in ["1", "2"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let lock = File::create(root.path().join("1.lock")).unwrap();
        lock.lock().unwrap();
        sweep_dead(root.path()).await.unwrap();
        assert!(root.path().join("1").exists() && !root.path().join("2").exists());
    }
}
