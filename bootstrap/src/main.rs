//! The binary `bootstrap`: parses, runs, maps to an exit code.

use std::process::ExitCode;

use bootstrap::cli;

/// musl's own allocator takes a third more memory for each connection.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    cli::main()
}
