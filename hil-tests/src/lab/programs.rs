//! The workspace's other programs, which a lab runs: found beside `hil`, or where the caller says.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};
use images::Cache;
use targets::Arch;

/// Overrides the path of the stand-in agent.
pub const AGENT_VARIABLE: &str = "BOOTSTRAP_LAB_AGENT";

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The local SSM endpoint and package maker.
    pub ssm_lab: PathBuf,
    /// The product, as it runs on this computer.
    pub bootstrap: PathBuf,
    /// The stand-in agent for this computer's architecture, built statically for the guests.
    pub agent: PathBuf,
    /// This program.
    pub hil: PathBuf,
    /// The static builds for other architectures: `ARCH/bootstrap`, `ARCH/amazon-ssm-agent`.
    pub statics: PathBuf,
}

/// Overrides the directory of the static builds.
pub const STATICS_VARIABLE: &str = "BOOTSTRAP_STATICS";

impl Programs {
    /// Beside the running program. A test's program lies in `deps/`, one deeper than the others.
    pub fn beside_this_program(agent: Option<&Path>) -> Result<Self> {
        let program = std::env::current_exe().context("can't find out where this program lies")?;
        let directory = program.parent().unwrap_or(Path::new("/"));
        let directory = match directory.file_name() {
            Some(name) if name == "deps" => directory.parent().unwrap_or(directory),
            _ => directory,
        };
        Self::in_directory(directory, agent)
    }

    /// In a directory; the agent is `agent` if given, else what the environment says, else `agent/amazon-ssm-agent`.
    pub fn in_directory(directory: &Path, agent: Option<&Path>) -> Result<Self> {
        let variable = std::env::var_os(AGENT_VARIABLE).map(PathBuf::from);
        let agent = agent.map(Path::to_owned).or(variable);
        let programs = Self {
            ssm_lab: directory.join("ssm-lab"),
            agent: agent.unwrap_or_else(|| directory.join("agent/amazon-ssm-agent")),
            bootstrap: directory.join("bootstrap"),
            hil: directory.join("hil"),
            statics: statics()?,
        };
        if !programs.ssm_lab.is_file() {
            bail!(
                "the lab's endpoint is not built: {} does not exist; {}",
                programs.ssm_lab.display(),
                how_to_build(directory)
            );
        }
        if !programs.agent.is_file() {
            bail!(
                "the stand-in agent is not built: {} does not exist; {}; or name one with --agent or {AGENT_VARIABLE}",
                programs.agent.display(),
                how_to_build(directory)
            );
        }
        Ok(programs)
    }

    /// The product as a static binary.
    pub fn static_bootstrap(&self, arch: Arch) -> Result<PathBuf> {
        let path = self.statics.join(arch.to_string()).join("bootstrap");
        if !path.is_file() {
            bail!(
                "the static binary for {arch} is not built: {} does not exist; build it with `tools/dist.sh --tests`",
                path.display()
            );
        }
        Ok(path)
    }

    /// Every stand-in agent that is built.
    #[must_use]
    pub fn agents(&self) -> Vec<PathBuf> {
        let others = Arch::ALL.into_iter().filter(|arch| Some(*arch) != Arch::of_this_build());
        let others = others.map(|arch| self.statics.join(arch.to_string()).join("amazon-ssm-agent"));
        std::iter::once(self.agent.clone()).chain(others.filter(|path| path.is_file())).collect()
    }

    /// Changes whenever a package made by them would: size and time of every program that takes part.
    pub(super) fn stamp(&self) -> Result<String> {
        let one = |path: &Path| -> Result<String> {
            let metadata = path.metadata().with_context(|| format!("can't look at {}", path.display()))?;
            let time = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            Ok(format!("{} {} {}\n", path.display(), metadata.len(), time.unwrap_or_default().as_nanos()))
        };
        let stamps: Vec<String> = self.agents().iter().map(|agent| one(agent)).collect::<Result<_>>()?;
        Ok(one(&self.ssm_lab)? + &stamps.concat())
    }
}

/// Cargo's own target directory is not that of `make lab`, which would build beside another `hil`.
fn how_to_build(directory: &Path) -> String {
    const ITS_OWN: &str =
        "the `hil` that `make lab` has built, in ~/.cache/bootstrap/target/debug, has all beside it";
    match directory.parent().filter(|_| directory.ends_with("debug")) {
        Some(target) => {
            format!(
                "`CARGO_TARGET_DIR='{}' make lab` builds everything there, and {ITS_OWN}",
                target.display()
            )
        }
        None => ITS_OWN.to_owned(),
    }
}

fn statics() -> Result<PathBuf> {
    match std::env::var_os(STATICS_VARIABLE) {
        Some(path) => Ok(path.into()),
        None => Ok(Cache::of_user()?.directory().join("static/hil")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_not_built_is_named_with_how_to_build_it() {
        let directory = tempfile::tempdir().unwrap();
        let error = Programs::in_directory(directory.path(), None).unwrap_err().to_string();
        assert!(error.contains("ssm-lab does not exist") && error.contains("make lab"), "{error}");
        let error = Programs::in_directory("/clone/target/debug".as_ref(), None).unwrap_err().to_string();
        assert!(
            error.contains("; `CARGO_TARGET_DIR='/clone/target' make lab` builds everything there"),
            "{error}"
        );
        fs::write(directory.path().join("ssm-lab"), "").unwrap();
        let missing = directory.path().join("nowhere");
        let error = Programs::in_directory(directory.path(), Some(&missing)).unwrap_err().to_string();
        assert!(error.contains("nowhere does not exist") && error.contains("--agent"), "{error}");
    }

    #[test]
    fn a_rebuilt_program_changes_the_stamp() {
        let directory = tempfile::tempdir().unwrap();
        let (endpoint, agent) = (directory.path().join("ssm-lab"), directory.path().join("agent"));
        fs::write(&endpoint, "one").unwrap();
        fs::write(&agent, "one").unwrap();
        let programs = Programs::in_directory(directory.path(), Some(&agent)).unwrap();
        let before = programs.stamp().unwrap();
        assert_eq!(programs.stamp().unwrap(), before);
        fs::write(&agent, "three").unwrap();
        assert_ne!(programs.stamp().unwrap(), before);
    }
}
