//! `hil`: machines, scenarios and the lab on the command line.

use std::process::ExitCode;

use clap::Parser;
use hil_tests::cli::Cli;

#[tokio::main(worker_threads = 8)]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
