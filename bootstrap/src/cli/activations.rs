//! `bootstrap activations`: what runs that were killed have left in AWS.

use std::{
    fmt,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use jiff::Timestamp;

use super::{
    places::Places,
    run::{load, open_journal, read_journal},
    say, tell,
};
use crate::{
    display::plural,
    events::RunId,
    failure::{Exit, Failure, with_sources},
    inventory::EnvironmentName,
    journal::{Ending, Journal},
    ssm::{AwsControlPlane, gc},
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Delete activations of runs that have ended, found by their tag in every environment of an inventory
    ///
    /// Says for each environment how many were deleted, and how many stay: those of runs that are at work, and, without `--all`,
    /// of runs that cannot be seen from here. Ends with 0 if all others are gone, with 1 if an environment could not be looked
    /// through or an activation could not be deleted; the others are, nevertheless.
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
    // Without a journal every run is unknown, and only `--all` has anything to delete.
    if !args.all {
        read_journal(&args.places)?;
    }
    let journal = open_journal(&args.places)?;
    let mut exit = Exit::Good;
    // Also those that have no host any more: they may have had some when a run was killed.
    for environment in inventory.environments.values() {
        let all_gone = match AwsControlPlane::for_environment(environment).await {
            Ok(plane) => collect(&environment.name, &plane, &journal, args.all).await,
            Err(error) => {
                tell_trouble(&environment.name, "AWS cannot be used", &error, &error.hint());
                false
            }
        };
        if !all_gone {
            exit = Exit::SomeHosts;
        }
    }
    Ok(exit)
}

/// Deletes what is left in one environment, and says so; tells whether nothing is left that could not be deleted.
async fn collect(name: &EnvironmentName, plane: &AwsControlPlane, journal: &Journal, all: bool) -> bool {
    let kept = Kept::default();
    let keep = |run: &RunId| match journal.run(run.as_str()) {
        Ok(record) => kept.keeps(record.map(|record| record.ending), all),
        Err(_) => kept.keeps(None, false),
    };
    let collected = match gc(plane, &keep).await {
        Ok(collected) => collected,
        Err(error) => {
            tell_trouble(name, "activations cannot be listed", &error, &error.hint());
            return false;
        }
    };
    let (mut deleted, mut left) = (0, 0);
    for end in collected {
        let (id, run) = (&end.leftover.record.id, &end.leftover.run);
        match end.outcome {
            Ok(()) => {
                deleted += 1;
                journal.mark_activation_deleted(id.as_str(), Timestamp::now()).ok();
                let of = end.leftover.environment.as_deref().filter(|of| *of != name.as_str());
                let of = of.map(|of| format!(", made for environment {of}")).unwrap_or_default();
                say(&format!("{name}: deleted {id} of run {run}{of}\n"));
            }
            Err(error) => {
                left += 1;
                tell_trouble(name, &format!("{id} of run {run} is still there"), &error, &error.hint());
            }
        }
    }
    let still = if left > 0 { format!(", {left} could not be") } else { String::new() };
    say(&format!("{name}: {} deleted{still}{kept}\n", plural(deleted, "activation")));
    left == 0
}

/// How many activations stay, and why.
#[derive(Default)]
struct Kept {
    at_work: AtomicUsize,
    unseen: AtomicUsize,
}

impl Kept {
    /// Whether those of a run stay, by what the journal knows of its end; counted if so.
    fn keeps(&self, run: Option<Ending>, all: bool) -> bool {
        let counter = match run {
            Some(Ending::Running) => &self.at_work,
            Some(Ending::Unknown) | None if !all => &self.unseen,
            _ => return false,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        true
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at_work, unseen) = (self.at_work.load(Ordering::Relaxed), self.unseen.load(Ordering::Relaxed));
        if at_work > 0 {
            write!(f, "; {at_work} kept, for a run that is at work")?;
        }
        if unseen > 0 {
            write!(f, "; {unseen} kept, of runs that cannot be seen from here: `--all` deletes them, too")?;
        }
        Ok(())
    }
}

fn tell_trouble(name: &EnvironmentName, what: &str, error: &dyn std::error::Error, hint: &str) {
    tell(format_args!("{name}: {what}: {}\nhint: {hint}", with_sources(error)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_counted_with_why() {
        let kept = Kept::default();
        assert!(!kept.keeps(Some(Ending::Died), false) && !kept.keeps(None, true));
        assert_eq!(kept.to_string(), "");
        assert!(kept.keeps(Some(Ending::Running), true));
        assert!(kept.keeps(Some(Ending::Unknown), false) && kept.keeps(None, false));
        assert_eq!(
            kept.to_string(),
            "; 1 kept, for a run that is at work; 2 kept, of runs that cannot be seen from here: `--all` deletes them, too"
        );
    }
}
