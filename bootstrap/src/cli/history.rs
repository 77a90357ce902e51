//! `bootstrap history`: what earlier runs did, from the journal.

use std::io::stdout;

use jiff::tz::TimeZone;

use super::{OutputFormat, Screen, places::Places, run::read_journal, say};
use crate::{
    failure::{Exit, Failure, with_sources},
    journal::history::{self, Look, RunHistory},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A run's id: show its hosts and what was done on each; the latest runs without one
    run: Option<String>,
    /// How many runs are listed
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    last: u32,
    /// How it is printed
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
    #[command(flatten)]
    places: Places,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let journal = read_journal(&args.places)?;
    let unreadable = |error: crate::journal::JournalError| {
        Failure::new(Exit::CannotStart, with_sources(&error)).hint(error.hint())
    };
    let text = if let Some(id) = &args.run {
        let run = RunHistory::read(&journal, id, &args.places.reports()?).map_err(unreadable)?.ok_or_else(
            || {
                Failure::new(Exit::Usage, format!("there is no run {id} in {}", journal.path().display()))
                    .hint("`bootstrap history` lists the runs")
            },
        )?;
        match args.output {
            OutputFormat::Text => run.render(&look()),
            OutputFormat::Json => run.json(),
        }
    } else {
        let runs = journal.runs(args.last).map_err(unreadable)?;
        match args.output {
            OutputFormat::Text => history::render(&runs, &look()),
            OutputFormat::Json => history::json(&runs),
        }
    };
    say(&text);
    Ok(Exit::Good)
}

fn look() -> Look {
    let Screen { color, width, .. } = Screen::of(&stdout());
    Look { color, width, zone: TimeZone::system() }
}
