//! `ssm-lab packages`.

use std::io::{self, Write as _};
use std::path::PathBuf;

use lab::packages::agent::Agent;
use lab::packages::{Build, Outcome};

use super::Failure;

/// Build the stand-in agent's .deb and .rpm, signed and laid out as AWS publishes the real ones.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A statically linked agent to pack; may be given once for each architecture.
    ///
    /// With ARCH, as Linux, dpkg or rpm name it, the program's header must agree; without, it decides.
    #[arg(long = "agent", value_name = "[ARCH=]PATH", required = true)]
    agents: Vec<Agent>,
    /// Where to lay the packages out
    #[arg(long)]
    out: PathBuf,
    /// The version of the packages
    #[arg(long, default_value = lab::packages::DEFAULT_VERSION)]
    agent_version: String,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let build = Build { agents: self.agents, out: self.out, version: self.agent_version };
        let line = match build.run()? {
            Outcome::Built => format!("packages of {} are in {}", build.version, build.out.display()),
            Outcome::Unchanged => format!("packages in {} are up to date", build.out.display()),
        };
        writeln!(io::stdout().lock(), "{line}")?;
        Ok(())
    }
}
