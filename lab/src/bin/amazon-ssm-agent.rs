//! The stand-in for `amazon-ssm-agent`; see `lab::agent`.

use std::process::ExitCode;

fn main() -> ExitCode {
    lab::agent::program::run(std::env::args_os())
}
