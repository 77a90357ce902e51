//! The command line of `images`: one file per subcommand, and how a failure is said.

mod build;
mod gc;
mod list;
mod lock;
mod show;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use images::Recipe;

/// Disk images of QEMU machines: build, list and delete them.
#[derive(Debug, Parser)]
#[command(name = "images", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Args),
    List(list::Args),
    Show(show::Args),
    Lock(lock::Args),
    Gc(gc::Args),
}

/// Why a command failed.
type Failure = Box<dyn Error>;

impl Cli {
    /// Runs it; a failure is said on stderr, cause by cause.
    pub(crate) fn run(self) -> ExitCode {
        let result = match self.command {
            Command::Build(args) => args.run(),
            Command::List(args) => args.run(),
            Command::Show(args) => args.run(),
            Command::Lock(args) => args.run(),
            Command::Gc(args) => args.run(),
        };
        let Err(failure) = result else { return ExitCode::SUCCESS };
        let mut lead = "error:";
        let mut next: Option<&dyn Error> = Some(failure.as_ref());
        while let Some(cause) = next {
            // A closed stderr changes nothing about the failure.
            let _ = writeln!(io::stderr(), "{lead} {cause}");
            lead = "because:";
            next = cause.source();
        }
        ExitCode::FAILURE
    }
}

/// The recipe of that name, or in the file at that path.
fn recipe(name: &str) -> Result<Recipe, Failure> {
    if !is_path(name) {
        return Ok(Recipe::builtin(name)?);
    }
    let text =
        std::fs::read_to_string(name).map_err(|source| format!("can't read the recipe {name}: {source}"))?;
    Ok(Recipe::parse(&text).map_err(|error| format!("{name}: {error}"))?)
}

/// No built-in recipe has a name with such an end.
fn is_path(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|kind| kind == "toml")
}
