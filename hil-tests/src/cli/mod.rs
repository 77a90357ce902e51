//! The command line of `hil`: one file per subcommand, and how a failure is said.

mod fleet;
mod lab;
mod list;
mod run;
mod shell;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::report::words::legible;
use crate::runner;

/// Hardware-in-the-loop: scenarios on emulated and on real machines, and a lab to try things in.
#[derive(Debug, Parser)]
#[command(name = "hil", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show machines and scenarios, and which scenario runs where.
    List(list::List),
    /// Run scenarios on machines and report. Exit code 1 if one failed, none ran or a machine is not off, 130 after Ctrl-C.
    Run(run::Run),
    /// Boot a machine and log in; it is gone when the shell ends.
    Shell(shell::Shell),
    /// Boot machines once and keep them as snapshots, so that the next run starts in seconds.
    Snapshot(shell::Snapshot),
    /// The lab: a local SSM endpoint and guests to enrol.
    #[command(subcommand)]
    Lab(lab::Lab),
    /// Fleets of sshd on this machine, without machines: trials, measurements, something to try on.
    #[command(subcommand)]
    Fleet(fleet::Fleet),
    /// End what a run has left when its program is gone: its watchman.
    #[command(hide = true)]
    Guard {
        /// The place of the run.
        #[arg(long)]
        dir: PathBuf,
    },
}

impl Cli {
    /// Runs it; a failure is said on stderr, cause by cause.
    pub async fn run(self) -> ExitCode {
        let result = match self.command {
            Command::List(list) => list.run(),
            Command::Run(run) => run.run().await,
            Command::Shell(shell) => shell.run().await,
            Command::Snapshot(snapshot) => snapshot.run().await,
            Command::Lab(lab) => lab.run().await,
            Command::Fleet(fleet) => Box::pin(fleet.run()).await,
            Command::Guard { dir } => runner::watch(io::stdin(), dir).await.map(|()| ExitCode::SUCCESS),
        };
        result.unwrap_or_else(|error| failure(&error))
    }
}

/// Says a failure on stderr.
fn failure(error: &anyhow::Error) -> ExitCode {
    // A closed stderr changes nothing about the failure.
    let _ = io::stderr().write_all(causes(error).as_bytes());
    ExitCode::FAILURE
}

/// A failure, one cause a line, without what a terminal would obey: programs and machines are quoted in it.
fn causes(error: &anyhow::Error) -> String {
    let leads = std::iter::once("error:").chain(std::iter::repeat("because:"));
    let lines = leads.zip(error.chain()).map(|(lead, cause)| format!("{lead} {cause}\n"));
    legible(&lines.collect::<String>())
}

fn print(text: &str) -> Result<()> {
    writeln!(io::stdout().lock(), "{}", legible(text)).context("can't write to stdout")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_said_cause_by_cause_and_nothing_in_it_is_obeyed() {
        let error = anyhow::anyhow!("the console said \u{1b}]0;title\u{7}").context("it did not boot");
        assert_eq!(causes(&error), "error: it did not boot\nbecause: the console said ]0;title\n");
    }

    #[test]
    fn none_of_something_is_refused() {
        Cli::try_parse_from(["hil", "fleet", "test", "--kills", "1"]).unwrap();
        for line in [
            "run --repeat 0",
            "run --jobs 0",
            "fleet up --hosts 0",
            "fleet up --hosts 62501",
            "fleet test --kills 0",
            "fleet bench --rounds 0",
            "fleet bench --scale 50,0",
            "fleet bench --connections 0",
        ] {
            let error = Cli::try_parse_from(["hil"].into_iter().chain(line.split(' '))).unwrap_err();
            assert_eq!(error.kind(), clap::error::ErrorKind::ValueValidation, "{line}: {error}");
        }
    }
}
