//! `bootstrap --version`: one line for scripts; with `--verbose`, what a report of a mistake should hold. Apart from clap's
//! own flag, which knows only the line.

use super::say;
use crate::failure::{Exit, Failure};

/// Flags that ask for no run at all.
#[derive(Debug, clap::Args)]
pub(super) struct Flags {
    /// Print the version
    #[arg(short = 'V', long)]
    pub(super) version: bool,
    /// With --version: also target, commit, compiler and what was built in
    #[arg(short = 'v', long)]
    verbose: bool,
}

impl Flags {
    /// Of a run more is asked by nothing: all is in its logs. By clap's own words `--version` was missing.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if !self.verbose || self.version {
            return Ok(());
        }
        Err(Failure::new(Exit::Usage, "--verbose goes with --version")
            .hint("leave it out: what a run did on a host, and what commands printed there, is in logs/HOST.log of its report"))
    }
}

/// Chosen in the workspace's Cargo.toml, which a test compares.
const FEATURES: [&str; 4] = ["credentials-login", "credentials-process", "ring", "sso"];

/// Prints the version as asked.
pub(super) fn run(flags: &Flags) {
    say(concat!("bootstrap ", env!("CARGO_PKG_VERSION"), "\n"));
    if flags.verbose {
        say(&format!(
            "target:   {}\ncommit:   {}\nrustc:    {}\nsqlite:   {}\nfeatures: {}\n",
            env!("BUILT_FOR"),
            env!("BUILT_FROM"),
            env!("BUILT_BY"),
            rusqlite::version(),
            FEATURES.join(" ")
        ));
    }
}
