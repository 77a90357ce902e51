//! `ssm-lab packages`.

use std::io::{self, Write as _};
use std::path::PathBuf;

use lab::packages::{Architecture, Build, Outcome};

use super::Failure;

/// Build the stand-in agent's .deb and .rpm, signed and laid out as AWS publishes the real ones.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The statically linked agent to pack
    #[arg(long)]
    agent: PathBuf,
    /// Where to lay the packages out
    #[arg(long)]
    out: PathBuf,
    /// The version of the packages
    #[arg(long, default_value = lab::packages::DEFAULT_VERSION)]
    agent_version: String,
    /// The architecture the agent was built for
    #[arg(long, value_enum, default_value_t)]
    arch: Architecture,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let build =
            Build { agent: self.agent, out: self.out, version: self.agent_version, architecture: self.arch };
        let line = match build.run()? {
            Outcome::Built => format!("packages of {} are in {}", build.version, build.out.display()),
            Outcome::Unchanged => format!("packages in {} are up to date", build.out.display()),
        };
        writeln!(io::stdout().lock(), "{line}")?;
        Ok(())
    }
}
