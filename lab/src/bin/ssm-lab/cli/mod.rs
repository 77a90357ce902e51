//! The command line: one file per subcommand, and how its failures are told.

mod admin;
mod fault;
mod packages;
mod serve;
mod status;
mod swarm;
mod table;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use clap::{Parser, Subcommand};
use jiff::SignedDuration;

/// A local SSM endpoint and the packages of a stand-in agent, for rehearsals without an AWS account.
#[derive(Debug, Parser)]
#[command(name = "ssm-lab", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Status(status::Args),
    Fault(fault::Args),
    Packages(packages::Args),
    Swarm(Box<swarm::Args>),
}

impl Cli {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(args) => args.run(),
            Command::Status(args) => args.run(),
            Command::Fault(args) => args.run(),
            Command::Packages(args) => args.run(),
            Command::Swarm(args) => args.run(),
        }
    }
}

/// Reads `90s` or `15m`.
fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<SignedDuration>().map_err(|error| error.to_string()).and_then(|duration| {
        Duration::try_from(duration).map_err(|_| "a duration must be positive".to_owned())
    })
}

/// An error with its causes, as the operator sees it.
#[derive(Debug)]
pub(crate) struct Failure(Box<dyn Error>);

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, "\nbecause: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
