//! The agents that go into packages, and what proves that each is for the architecture its packages will name: a package
//! with another machine's program installs well and then fails on the host with "Exec format error".

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use targets::{Arch, NotOurs};
use thiserror::Error;

/// An agent's binary as the user names it: `PATH`, or `ARCH=PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The file.
    pub path: PathBuf,
    /// What the user says it was built for.
    pub claimed: Option<Arch>,
}

/// Why a file cannot be packed as an agent.
#[derive(Debug, Error)]
pub enum AgentError {
    /// It cannot be read.
    #[error("cannot read the agent {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// It is no program of an architecture that has packages.
    #[error("cannot pack {}; name an agent built for Linux, such as those of `tools/dist.sh --tests`", path.display())]
    Program { path: PathBuf, source: NotOurs },
    /// It is another architecture's.
    #[error("{} is a program for {is}, not for {claimed}; name the agent that was built for {claimed}", path.display())]
    OtherArchitecture { path: PathBuf, is: Arch, claimed: Arch },
    /// There is one for this architecture already.
    #[error("{} and {} are both for {arch}; name one agent for each architecture", first.display(), second.display())]
    Twice { arch: Arch, first: PathBuf, second: PathBuf },
}

/// An architecture that no table has, before the `=`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0} is no architecture of the agent; write x86_64, aarch64 or armv7, or ./{0}=... for a file of this name"
)]
pub struct UnknownClaim(String);

impl FromStr for Agent {
    type Err = UnknownClaim;

    /// What stands before a `=` is an architecture, unless it has a `/` and so is part of a path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((arch, path)) if !arch.contains('/') => {
                let claimed = arch.parse().map_err(|_| UnknownClaim(arch.to_owned()))?;
                Ok(Self { path: path.into(), claimed: Some(claimed) })
            }
            _ => Ok(Self { path: text.into(), claimed: None }),
        }
    }
}

impl Agent {
    /// The program and what it was built for.
    fn read(&self) -> Result<(Arch, Vec<u8>), AgentError> {
        let path = || self.path.clone();
        let program =
            std::fs::read(&self.path).map_err(|source| AgentError::Read { path: path(), source })?;
        let is = Arch::from_elf(&program).map_err(|source| AgentError::Program { path: path(), source })?;
        match self.claimed {
            Some(claimed) if claimed != is => {
                Err(AgentError::OtherArchitecture { path: path(), is, claimed })
            }
            _ => Ok((is, program)),
        }
    }
}

/// Reads all agents, each for an architecture of its own.
pub(super) fn read_all(agents: &[Agent]) -> Result<BTreeMap<Arch, Vec<u8>>, AgentError> {
    let mut paths: BTreeMap<Arch, &Path> = BTreeMap::new();
    let mut programs = BTreeMap::new();
    for agent in agents {
        let (arch, program) = agent.read()?;
        if let Some(first) = paths.insert(arch, &agent.path) {
            let (first, second) = (first.to_owned(), agent.path.clone());
            return Err(AgentError::Twice { arch, first, second });
        }
        programs.insert(arch, program);
    }
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_a_path_or_an_architecture_and_a_path() {
        let plain: Agent = "target/agent".parse().unwrap();
        assert_eq!(plain, Agent { path: "target/agent".into(), claimed: None });
        for name in ["armv7", "armhf", "armv7hl"] {
            let claimed: Agent = format!("{name}=a=b").parse().unwrap();
            assert_eq!(claimed, Agent { path: "a=b".into(), claimed: Some(Arch::Armv7) }, "{name}");
        }
    }

    #[test]
    fn a_path_may_hold_the_sign_that_separates_it() {
        let agent: Agent = "./version=2/agent".parse().unwrap();
        assert_eq!(agent, Agent { path: "./version=2/agent".into(), claimed: None });
    }

    #[test]
    fn an_architecture_without_an_agent_is_refused_by_name() {
        let error = "riscv64=agent".parse::<Agent>().unwrap_err();
        assert!(error.to_string().starts_with("riscv64 is no architecture"), "{error}");
        assert!("=agent".parse::<Agent>().is_err());
    }
}
