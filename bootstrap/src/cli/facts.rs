//! `bootstrap facts`: what this machine is, as a run would see it, and whether it can be a managed node.

use std::time::Duration;

use jiff::Timestamp;

use super::{OutputFormat, say};
use crate::{
    facts::Facts,
    failure::{Exit, Failure},
    host::{Host, LocalHost},
    inventory::{Escalation, operator},
    plan,
    report::machine,
};

/// The probe's own programs are quick; a package database that is in use is waited for.
const WITHIN: Duration = Duration::from_mins(2);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How the facts are printed
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

pub(super) async fn run(args: Args) -> Result<Exit, Failure> {
    let cannot =
        |why: String| Failure::new(Exit::CannotStart, "this machine cannot be looked at").because(why);
    let probe = Facts::probe(Escalation::Sudo, None, WITHIN, Duration::ZERO);
    let output = LocalHost::new(Escalation::Sudo)
        .run(&probe, &mut |_| {})
        .await
        .map_err(|error| cannot(error.to_string()).hint("is there a `sh` and a `setsid` in /usr/bin?"))?;
    let now = Timestamp::now();
    let facts = Facts::parse(&output.stdout, now)
        .map_err(|error| cannot(format!("{error}\n{}", output.stderr.trim())).hint(error.hint()))?;
    let refusal = plan::admit(&facts, &operator(), Escalation::Sudo).err();
    match args.output {
        OutputFormat::Text => say(&machine::text(&facts, refusal.as_ref(), now)),
        OutputFormat::Json => say(&format!("{:#}\n", machine::json(&facts, refusal.as_ref(), now))),
    }
    Ok(if refusal.is_none() { Exit::Good } else { Exit::SomeHosts })
}
