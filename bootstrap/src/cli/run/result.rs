//! What a run says at its end.

use std::{io::stdout, path::Path};

use super::{
    Args, interrupts,
    leave::{self, Leavings},
};
use crate::{
    cli::{OutputFormat, Screen, say, warn},
    failure::Exit,
    report::{FleetReport, json, table},
};

/// Prints the report, then what of it could not be written, and where the rest is. Nothing hangs on it any more, so whoever
/// reads slowly, or not at all (`| less`), can be left by Ctrl-C and SIGTERM.
pub(super) async fn tell(args: Args, report: FleetReport, left: Option<Leavings>, unwritten: Vec<String>) {
    let Ok(mut interrupts) = interrupts::listen() else {
        return print(&args, &report, left.as_ref(), &unwritten);
    };
    let printing = tokio::task::spawn_blocking(move || print(&args, &report, left.as_ref(), &unwritten));
    tokio::select! {
        _ = printing => {}
        _ = interrupts.recv() => {}
    }
}

fn print(args: &Args, report: &FleetReport, left: Option<&Leavings>, unwritten: &[String]) {
    let (inventory, state) = (args.inventory.as_deref().unwrap_or(Path::new("")), args.places.state_dir());
    let logs = left.map(Leavings::logs);
    say(&match args.output {
        OutputFormat::Json => json::render(report),
        OutputFormat::Text => table::render(report, look(inventory, state, logs.as_deref())),
    });
    unwritten.iter().for_each(warn);
    if let Some(left) = left.filter(|_| !args.quiet || !report.is_good()) {
        leave::say_where(left.folder(), report, state);
    }
}

/// How a table on stdout is to look.
pub(in crate::cli) fn look<'a>(
    inventory: &'a Path,
    state: Option<&'a Path>,
    logs: Option<&'a Path>,
) -> table::Look<'a> {
    let Screen { color, width, .. } = Screen::of(&stdout());
    table::Look { color, width, every_host: false, inventory, state, logs }
}

/// What a report means for the exit code.
pub(in crate::cli) fn exit_of(report: &FleetReport) -> Exit {
    if report.interrupted {
        Exit::Interrupted
    } else if report.is_good() {
        Exit::Good
    } else {
        Exit::SomeHosts
    }
}
