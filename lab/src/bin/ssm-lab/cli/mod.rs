//! The command line: one file per subcommand, and how its failures are told.

mod packages;
mod serve;

use std::error::Error;
use std::fmt;

use clap::{Parser, Subcommand};

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
    Packages(packages::Args),
}

impl Cli {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(args) => args.run(),
            Command::Packages(args) => args.run(),
        }
    }
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
