//! Processes that outlive the one that started them: found again by pid *and* by a word of their command line, so that
//! a pid which the kernel gave to somebody else is never signalled.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::wait::Deadline;

/// A process and the argument by which it is known to be ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) pid: i32,
    /// One whole argument of its command line that no other process has: a path of ours.
    pub(crate) mark: String,
}

impl Known {
    /// Does it run, and is it still the one we started? A zombie does not run: its command line is empty.
    pub(crate) fn is_alive(&self) -> bool {
        let Ok(line) = fs::read(format!("/proc/{}/cmdline", self.pid)) else { return false };
        line.split(|byte| *byte == 0).any(|word| word == self.mark.as_bytes())
    }

    /// Asks it to end, and kills it after `grace`. True if it is gone.
    pub(crate) async fn stop(&self, grace: Duration) -> bool {
        for (signal, limit) in [(Signal::TERM, grace), (Signal::KILL, Duration::from_secs(5))] {
            if !self.signal(signal) || self.gone_within(limit).await {
                return true;
            }
        }
        !self.is_alive()
    }

    /// Waits for its end.
    pub(crate) async fn gone_within(&self, limit: Duration) -> bool {
        let deadline = Deadline::after(limit);
        while self.is_alive() {
            if !deadline.pause(Duration::from_millis(20)).await {
                return !self.is_alive();
            }
        }
        true
    }

    /// False if there is nothing of ours to signal. The descriptor is opened before the check, so that the signal
    /// goes to the very process that was checked.
    fn signal(&self, signal: Signal) -> bool {
        let Some(pid) = Pid::from_raw(self.pid) else { return false };
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
        self.is_alive() && pidfd_send_signal(descriptor, signal).is_ok()
    }
}

/// Kills every process that has a path below `place` among its arguments, and waits until there is none.
pub(crate) async fn kill_all_in(place: &Path, limit: Duration) {
    let prefix = format!("{}/", place.display());
    let deadline = Deadline::after(limit);
    loop {
        let found = with_an_argument(&prefix);
        if found.is_empty() {
            return;
        }
        for process in found {
            process.signal(Signal::KILL);
        }
        if !deadline.pause(Duration::from_millis(20)).await {
            return;
        }
    }
}

fn with_an_argument(prefix: &str) -> Vec<Known> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let mark = words.into_iter().find(|word| word.starts_with(prefix));
        found.extend(mark.map(|mark| Known { pid, mark: mark.into_owned() }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[tokio::test]
    async fn a_process_that_works_in_a_place_is_found_by_its_argument_and_killed() {
        let place = tempfile::tempdir().unwrap();
        let start = |directory: &Path| {
            Command::new("sh")
                .args(["-c", "read line", "sh"])
                .arg(directory.join("hosts.toml"))
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        };
        let mut beside = start(&place.path().with_extension("other"));
        let mut within = start(place.path());
        // Right after its start a process has no command line for a moment.
        let deadline = Deadline::after(Duration::from_secs(5));
        let prefix = format!("{}/", place.path().display());
        while with_an_argument(&prefix).is_empty() && deadline.pause(Duration::from_millis(1)).await {}
        kill_all_in(place.path(), Duration::from_secs(5)).await;
        assert!(!within.wait().unwrap().success());
        assert!(beside.try_wait().unwrap().is_none(), "it was killed");
        drop(beside.stdin.take());
        beside.wait().unwrap();
    }

    #[tokio::test]
    async fn a_process_with_another_command_line_is_not_ours_and_is_left_alone() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let stranger = Known { pid, mark: "6".to_owned() };
        assert!(!stranger.is_alive());
        assert!(stranger.stop(Duration::ZERO).await);
        assert!(child.try_wait().unwrap().is_none(), "it was signalled");

        let ours = Known { pid, mark: "60".to_owned() };
        // Right after its start a process has no command line for a moment.
        let deadline = Deadline::after(Duration::from_secs(5));
        while !ours.is_alive() && deadline.pause(Duration::from_millis(1)).await {}
        assert!(ours.is_alive());
        let waiting = std::thread::spawn(move || child.wait());
        assert!(ours.stop(Duration::from_secs(5)).await);
        waiting.join().unwrap().unwrap();
    }
}
