//! Between one wave and the next: the pause, and the operator's own check. Apart from the engine, because it has a process
//! to run and nothing to do with hosts.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    process::Command,
    time::{sleep, timeout},
};

use super::rollout::Between;

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
    let ended = Command::new(program)
        .env("BOOTSTRAP_STARTED", started.to_string())
        .env("BOOTSTRAP_HOSTS", fleet.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(CHECK_WITHIN, ended)
        .await
        .map_err(|_| format!("the check {named} did not end within {} minutes", CHECK_WITHIN.as_secs() / 60))?
        .map_err(|error| format!("the check {named} can't be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let lines: Vec<_> = said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join(" | ");
    let end = output.status;
    Err(if last.is_empty() {
        format!("the check {named} ended with {end}")
    } else {
        format!("the check {named} ended with {end}: {last}")
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[tokio::test]
    async fn a_check_knows_how_far_the_fleet_is_and_its_last_words_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("check");
        for (text, expected) in [
            ("exit 0", Ok(())),
            (
                "echo \"$BOOTSTRAP_STARTED of $BOOTSTRAP_HOSTS\"; echo alarm >&2; exit 3",
                Err("exit status: 3: alarm | 1 of 2"),
            ),
            ("kill -9 $$", Err("signal: 9 (SIGKILL)")),
        ] {
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            let ended = between(Between { check: Some(path.clone()), ..Between::default() }, 1, 2).await;
            let ended = ended.map_err(|why| why.split_once("ended with ").unwrap().1.to_owned());
            assert_eq!(ended, expected.map_err(str::to_owned), "{text}");
        }
    }
}
