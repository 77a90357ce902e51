//! The command line: one file for each subcommand, with its arguments and its `run`. This is the only
//! place that prints, and the only one that knows about exit codes.

mod activations;
mod facts;
mod history;
mod inventory;
mod open_files;
mod places;
mod print;
mod report;
mod run;
mod screen;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    print::{say, tell, warn},
    screen::Screen,
};
use crate::failure::{Exit, Failure};

const AFTERWORD: &str = "\
Examples:
  bootstrap inventory show                   check hosts.toml, and show its hosts
  bootstrap -i hosts.toml --dry-run          connect, look, say what would be done
  bootstrap -i hosts.toml --batch 10%        in waves; see --one-first and --max-failures, too
  bootstrap -i hosts.toml --limit @failed    again what did not come Online

Exit codes: 0 every host is good, 1 some are not, 2 the command line is wrong, 3 the inventory is wrong, 4 the run could not \
start, 130 it was interrupted.";

/// Turn Linux hosts into AWS Systems Manager managed nodes, proven Online.
///
/// `bootstrap --inventory hosts.toml` connects to every host, installs amazon-ssm-agent, registers it with the
/// activation of its environment and waits until Systems Manager says Online. Run it again at any time: what is
/// done stays done, what was interrupted is resumed.
#[derive(Debug, Parser)]
#[command(
    name = "bootstrap",
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    after_long_help = AFTERWORD
)]
struct Cli {
    #[command(flatten)]
    run: run::Args,
    #[command(flatten)]
    version: version::Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the expanded inventory, or the schema of its file
    #[command(subcommand)]
    Inventory(inventory::Command),
    /// Show what this machine is and whether it can be a managed node
    Facts(facts::Args),
    /// Show earlier runs: what was done, where, and how it ended
    History(history::Args),
    /// Merge the reports of parts of a fleet, or show one in another form
    #[command(subcommand)]
    Report(report::Command),
    /// Look after activations that an interrupted run left behind
    #[command(subcommand)]
    Activations(activations::Command),
}

/// How results are printed on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OutputFormat {
    /// For people.
    Text,
    /// For programs; carries "schema": 1.
    Json,
}

/// Parses the command line, does what it says, and maps the end to an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.version.version {
        version::run(&cli.version);
        return print::all_said(Exit::Good).into();
    }
    open_files::allow();
    let result = cli.version.check().and_then(|()| runtime()).and_then(|runtime| {
        let result = runtime.block_on(dispatch(cli));
        // A blocked reader of stdin or a slow name lookup must not keep a finished program alive.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(exit) => print::all_said(exit).into(),
        Err(failure) => {
            tell(&failure);
            failure.exit.into()
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Failure::new(Exit::CannotStart, "the program could not start its threads").because(error)
    })
}

async fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    // One provider for SSH's keys, AWS's and the packages' TLS; a second call finds it in place.
    rustls::crypto::ring::default_provider().install_default().ok();
    // Beyond `ulimit -f` this would end the program in the middle of its hosts; with a handler, which stays, a write fails.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).ok();
    match cli.command {
        Some(Command::Inventory(command)) => inventory::run(&command),
        Some(Command::Facts(args)) => facts::run(args).await,
        Some(Command::History(args)) => history::run(&args),
        Some(Command::Report(command)) => report::run(&command),
        Some(Command::Activations(command)) => activations::run(command).await,
        None => run::run(cli.run).await,
    }
}
