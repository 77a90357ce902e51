//! `hil`: the lab's life cycle on the command line.

use std::process::ExitCode;

use clap::Parser;
use hil_tests::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
