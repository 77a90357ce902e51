//! The command line of `hil`: one file per subcommand, and how a failure is said.

mod lab;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Hardware-in-the-loop: the lab of local guests and a local SSM endpoint.
#[derive(Debug, Parser)]
#[command(name = "hil", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The lab: a local SSM endpoint and guests to enrol.
    #[command(subcommand)]
    Lab(lab::Lab),
}

impl Cli {
    /// Runs it; a failure is said on stderr, cause by cause.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let Command::Lab(lab) = self.command;
        match lab.run() {
            Ok(code) => code,
            Err(error) => {
                let mut lead = "error:";
                for cause in error.chain() {
                    // A closed stderr changes nothing about the failure.
                    let _ = writeln!(io::stderr(), "{lead} {cause}");
                    lead = "because:";
                }
                ExitCode::FAILURE
            }
        }
    }
}
