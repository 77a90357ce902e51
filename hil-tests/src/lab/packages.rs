//! The agent's packages, made by `ssm-lab` and made again only when a program changed.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::paths::Paths;
use super::programs::Programs;

/// Makes the packages unless those that are there come from the same programs. True if they were made.
pub(crate) fn make(paths: &Paths, programs: &Programs) -> Result<bool> {
    let stamp = programs.stamp()?;
    let remembered = fs::read_to_string(paths.packages_stamp()).unwrap_or_default();
    if remembered == stamp && paths.packages().is_dir() {
        return Ok(false);
    }
    in_directory(&paths.packages(), programs)?;
    fs::write(paths.packages_stamp(), stamp).context("can't write the packages' stamp")?;
    Ok(true)
}

/// Makes the packages of every agent that is built.
pub(crate) fn in_directory(directory: &Path, programs: &Programs) -> Result<PathBuf> {
    made_by(command(directory, programs), directory)
}

/// The same for who listens to Ctrl-C: a terminal tells it a whole process group, and this one is not to end by it.
pub(crate) fn undisturbed(directory: &Path, programs: &Programs) -> Result<PathBuf> {
    let mut command = command(directory, programs);
    command.process_group(0);
    made_by(command, directory)
}

fn command(directory: &Path, programs: &Programs) -> Command {
    let mut command = Command::new(&programs.ssm_lab);
    command.arg("packages");
    for agent in programs.agents() {
        command.arg("--agent").arg(agent);
    }
    command.arg("--out").arg(directory);
    command
}

fn made_by(mut command: Command, directory: &Path) -> Result<PathBuf> {
    let output = command.output();
    let output = output.with_context(|| format!("can't run {}", command.get_program().display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("ssm-lab packages failed ({}): {}", output.status, said.trim());
    }
    Ok(directory.to_owned())
}
