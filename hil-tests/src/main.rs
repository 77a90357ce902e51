//! `hil`: machines, scenarios and the lab on the command line.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use hil_tests::cli::Cli;
use tokio::runtime::Builder;

/// Tasks are dropped in no time, unless the thread that would do it waits for something.
const END_LIMIT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    match Builder::new_multi_thread().worker_threads(8).enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(cli.run());
            // What tasks have begun ends with them; who wants to end now does not wait for a tool that builds an image.
            runtime.shutdown_timeout(END_LIMIT);
            code
        }
        Err(error) => {
            // A closed stderr changes nothing about the failure.
            let _ = writeln!(std::io::stderr(), "error: can't start threads\nbecause: {error}");
            ExitCode::FAILURE
        }
    }
}
