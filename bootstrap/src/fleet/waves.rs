//! Between one wave and the next: the pause, and the operator's own check. Apart from the engine, because it has a process
//! to run and nothing to do with hosts.

use std::{future, path::Path, process::Stdio, time::Duration};

use rustix::process::Signal;
use tokio::{
    process::Command,
    time::{sleep, timeout},
};

use super::rollout::Between;
use crate::host::{Capture, attend};

/// A check may watch a fleet for a while; one that hangs must not hold the run for ever.
const CHECK_WITHIN: Duration = Duration::from_mins(30);
const LAST_LINES: usize = 5;

/// Waits, and runs the check. An error says why no further wave may start.
pub(super) async fn between(between: Between, started: usize, fleet: usize) -> Result<(), String> {
    sleep(between.pause).await;
    match between.check {
        Some(program) => check(&program, started, fleet).await,
        None => Ok(()),
    }
}

async fn check(program: &Path, started: usize, fleet: usize) -> Result<(), String> {
    let named = program.display();
    let not_run = |error| format!("the check {named} can't be run: {error}");
    // In a session of its own: without a terminal that it could wait for, and with a process group, so that none of its own
    // children outlives it where it is ended early.
    let mut child = Command::new("setsid")
        .arg(program)
        .env("BOOTSTRAP_STARTED", started.to_string())
        .env("BOOTSTRAP_HOSTS", fleet.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(not_run)?;
    let mut on_line = |_: &str| {};
    let mut capture = Capture::new(&mut on_line);
    let attending = attend(&mut child, Signal::KILL, future::ready(()), &mut capture);
    let end = timeout(CHECK_WITHIN, attending)
        .await
        .map_err(|_| format!("the check {named} did not end within {} minutes", CHECK_WITHIN.as_secs() / 60))?
        .map_err(not_run)?;
    if end.success() {
        return Ok(());
    }
    let output = capture.finish(None);
    if let Some(why) = output.stderr.strip_prefix("setsid: ") {
        return Err(format!("the check {named} can't be run: {}", why.trim_end()));
    }
    let said = output.stderr + &output.stdout;
    let lines: Vec<_> = said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join(" | ");
    Err(if last.is_empty() {
        format!("the check {named} ended with {end}")
    } else {
        format!("the check {named} ended with {end}: {last}")
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read, os::unix::fs::PermissionsExt, path::PathBuf};

    use super::*;

    fn program(directory: &tempfile::TempDir, text: &str) -> Between {
        let path = directory.path().join("check");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Between { check: Some(path), ..Between::default() }
    }

    /// A fifo in the directory in which the check is.
    fn fifo(directory: &tempfile::TempDir) -> PathBuf {
        let path = directory.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    #[tokio::test]
    async fn a_check_that_has_ended_well_is_good_whatever_it_left_behind() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = fifo(&directory);
        // It holds the check's stdout, and waits until the test lets it go.
        let check = program(&directory, "cat <\"${0%/*}/fifo\" &\nexit 0");
        assert_eq!(between(check, 1, 2).await, Ok(()));
        drop(fs::OpenOptions::new().write(true).open(fifo).unwrap());
    }

    #[tokio::test]
    async fn a_check_that_is_ended_early_takes_its_children_along() {
        let directory = tempfile::tempdir().unwrap();
        let path = fifo(&directory);
        let check = program(&directory, "exec 7>\"${0%/*}/fifo\"\nsleep 600 &\necho ready >&7\nwait");
        let running = tokio::spawn(between(check, 1, 2));
        let reading = tokio::task::spawn_blocking(move || {
            let mut fifo = fs::File::open(path).unwrap();
            let mut ready = [0; 6];
            fifo.read_exact(&mut ready).unwrap();
            (fifo, ready)
        });
        let (mut fifo, ready) = reading.await.unwrap();
        assert_eq!(&ready, b"ready\n");
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        // The end comes when nobody has it open any more.
        let rest = tokio::task::spawn_blocking(move || fifo.read_to_end(&mut Vec::new()).unwrap());
        assert_eq!(rest.await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_check_knows_how_far_the_fleet_is_and_its_last_words_are_told() {
        let directory = tempfile::tempdir().unwrap();
        for (text, expected) in [
            ("exit 0", Ok(())),
            (
                "echo \"$BOOTSTRAP_STARTED of $BOOTSTRAP_HOSTS\"; echo alarm >&2; exit 3",
                Err("exit status: 3: alarm | 1 of 2"),
            ),
            ("kill -9 $$", Err("signal: 9 (SIGKILL)")),
        ] {
            let ended = between(program(&directory, text), 1, 2).await;
            let ended = ended.map_err(|why| why.split_once("ended with ").unwrap().1.to_owned());
            assert_eq!(ended, expected.map_err(str::to_owned), "{text}");
        }
    }
}
