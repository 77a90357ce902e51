//! `bootstrap activations`: what runs that were killed have left in AWS.

use std::path::PathBuf;

use jiff::Timestamp;

use super::{
    places::Places,
    run::{control_planes, load, open_journal},
    say, tell,
};
use crate::{
    events::RunId,
    failure::{Exit, Failure},
    journal::Ending,
    ssm::gc,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Delete activations of runs that have ended, found by their tag in the environments of an inventory
    Gc(Args),
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File that names environments and hosts
    #[arg(short, long, value_name = "FILE")]
    inventory: PathBuf,
    /// Also those of runs that this machine's journal does not know; one of them may be at work right now on another machine
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    places: Places,
}

pub(super) async fn run(command: Command) -> Result<Exit, Failure> {
    let Command::Gc(args) = command;
    let inventory = load(&args.inventory)?;
    let journal = open_journal(&args.places)?;
    let mut exit = Exit::Good;
    let mut deleted = 0;
    for (name, (_, plane)) in control_planes(&inventory).await? {
        let keep = |run: &RunId| match journal.run(run.as_str()) {
            Ok(Some(record)) => {
                record.ending == Ending::Running || (record.ending == Ending::Unknown && !args.all)
            }
            Ok(None) => !args.all,
            Err(_) => true,
        };
        let collected = gc(plane.as_ref(), &keep).await.map_err(|error| {
            Failure::new(Exit::CannotStart, format!("the activations of environment {name} cannot be listed"))
                .because(&error)
                .hint(error.hint())
        })?;
        for end in collected {
            let (id, run) = (&end.leftover.record.id, &end.leftover.run);
            match end.outcome {
                Ok(()) => {
                    deleted += 1;
                    journal.mark_activation_deleted(id.as_str(), Timestamp::now()).ok();
                    say(&format!("{name}: deleted {id} of run {run}\n"));
                }
                Err(error) => {
                    exit = Exit::SomeHosts;
                    let hint = error.hint();
                    tell(format_args!("{name}: {id} of run {run} is still there: {error}\nhint: {hint}"));
                }
            }
        }
    }
    say(&format!("{deleted} activations deleted\n"));
    Ok(exit)
}
