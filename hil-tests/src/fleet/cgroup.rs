//! The CPU time and the memory of a group of processes, their ended children included: a cgroup of version 2, or of version 1
//! where a machine still has that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::Deadline;

/// Processes that are killed are gone in a moment.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Where each version has CPU accounting, the file that tells it, and in what.
const PLACES: [(&str, &str, &str); 2] = [
    ("/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup", "cpu.stat"),
    ("/sys/fs/cgroup/cpuacct/cgroup.procs", "/sys/fs/cgroup/cpuacct", "cpuacct.usage"),
];

/// Processes that are accounted for together. The group goes when this is dropped, if its processes have ended.
#[derive(Debug)]
pub struct Group {
    directory: PathBuf,
    usage: PathBuf,
}

impl Group {
    /// A group named after a path.
    pub fn new(name: &Path) -> Result<Self> {
        let found = PLACES.iter().find(|(sign, ..)| Path::new(sign).exists());
        let Some((_, place, usage)) = found else {
            bail!("no cgroup that accounts for CPU time is mounted under /sys/fs/cgroup")
        };
        let directory = Path::new(place).join(name_of(name));
        fs::create_dir_all(&directory)
            .with_context(|| format!("can't make the cgroup {}", directory.display()))?;
        Ok(Self { usage: directory.join(usage), directory })
    }

    /// The same command, run by a process that joins the group first.
    #[must_use]
    pub fn joined_by(&self, command: &Command) -> Command {
        let mut joined = Command::new("sh");
        joined.args(["-c", "echo 0 >\"$1/cgroup.procs\" && shift && exec \"$@\"", "sh"]).arg(&self.directory);
        joined.arg(command.get_program()).args(command.get_args());
        joined
    }

    /// User and system time of all processes so far.
    pub fn cpu(&self) -> Result<Duration> {
        let text = fs::read_to_string(&self.usage)
            .with_context(|| format!("can't read {}", self.usage.display()))?;
        let time = match text.strip_prefix("usage_usec ") {
            Some(rest) => {
                rest.lines().next().and_then(|number| number.parse().ok()).map(Duration::from_micros)
            }
            None => text.trim().parse().ok().map(Duration::from_nanos),
        };
        time.with_context(|| format!("{} has no CPU time: {text}", self.usage.display()))
    }

    /// The resident memory of its processes now, in bytes; pages that they share are counted for each.
    pub fn resident(&self) -> Result<u64> {
        let list = self.directory.join("cgroup.procs");
        let list = fs::read_to_string(&list).with_context(|| format!("can't read {}", list.display()))?;
        let kibibytes = list.lines().filter_map(|pid| {
            // One that has just ended has none.
            let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        });
        Ok(kibibytes.sum::<u64>() * 1024)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // An empty group that can't be removed costs nothing.
        let _ = fs::remove_dir(&self.directory);
    }
}

fn name_of(path: &Path) -> String {
    format!("bootstrap{}", path.to_string_lossy().replace('/', "-"))
}

/// Ends every process of every group that is named after something in `place`, and removes the groups.
pub(crate) async fn end_all_in(place: &Path) {
    let prefix = format!("{}-", name_of(place));
    for (_, cgroups, _) in PLACES {
        for entry in fs::read_dir(cgroups).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                end(&entry.path()).await;
            }
        }
    }
}

async fn end(group: &Path) {
    let deadline = Deadline::after(END_LIMIT);
    // A group that can be removed is empty.
    while fs::remove_dir(group).is_err() && group.exists() {
        let list = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        for pid in list.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
            // One that has just ended needs no signal.
            let _ = kill_process(pid, Signal::KILL);
        }
        if !deadline.pause(Duration::from_millis(20)).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_runs_in_a_group_of_a_place_is_ended_and_the_group_is_gone() {
        if !rustix::process::geteuid().is_root() {
            // Only root may make groups; fleets need it, too.
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let group = Group::new(&place.path().join("hosts")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do :; done"]);
        let mut child = group.joined_by(&command).spawn().unwrap();
        let deadline = Deadline::after(Duration::from_secs(20));
        while group.cpu().unwrap().is_zero() || group.resident().unwrap() == 0 {
            assert!(deadline.pause(Duration::from_millis(10)).await, "it is not accounted for");
        }
        let waiting = std::thread::spawn(move || child.wait());
        end_all_in(place.path()).await;
        assert!(!waiting.join().unwrap().unwrap().success());
        assert!(!group.directory.exists());
    }
}
