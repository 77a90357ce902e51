//! The binary `bootstrap`: parses, runs, maps to an exit code.

use std::process::ExitCode;

use bootstrap::cli;

fn main() -> ExitCode {
    cli::main()
}
