//! `hil`: machines, scenarios and the lab on the command line.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use hil_tests::cli::Cli;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match Builder::new_multi_thread().worker_threads(8).enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(cli.run());
            // Who wants to end now does not wait for a tool that builds an image.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            // A closed stderr changes nothing about the failure.
            let _ = writeln!(std::io::stderr(), "error: can't start threads\nbecause: {error}");
            ExitCode::FAILURE
        }
    }
}
