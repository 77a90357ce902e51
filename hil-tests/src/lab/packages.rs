//! The agent's packages, made by `ssm-lab` and made again only when a program changed.

use std::fs;
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
    let mut command = Command::new(&programs.ssm_lab);
    command.arg("packages");
    for agent in programs.agents() {
        command.arg("--agent").arg(agent);
    }
    let output = command.arg("--out").arg(directory).output();
    let output = output.with_context(|| format!("can't run {}", programs.ssm_lab.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("ssm-lab packages failed ({}): {}", output.status, said.trim());
    }
    Ok(directory.to_owned())
}
