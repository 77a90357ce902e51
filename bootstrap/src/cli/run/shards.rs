//! Which part of the inventory a run is to do: what the command line says, or the engine that has started an array of tasks.

use std::str::FromStr;

use crate::{
    cli::tell,
    failure::{Exit, Failure},
    selection::{InvalidShard, Shard},
};

/// What is said of shards.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    Whole,
    Part(Shard),
}

impl FromStr for Wish {
    type Err = InvalidShard;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" { Ok(Self::Whole) } else { text.parse().map(Self::Part) }
    }
}

/// The part of the inventory that this controller is to do.
pub(super) fn meant(wish: Option<Wish>) -> Result<Option<Shard>, Failure> {
    Ok(match wish {
        Some(Wish::Whole) => None,
        Some(Wish::Part(shard)) => Some(shard),
        None => {
            let found = Shard::of_engine(|name| std::env::var(name).ok())
                .map_err(|error| Failure::new(Exit::CannotStart, &error).hint(error.hint()))?;
            found.map(|(shard, engine)| {
                tell(format_args!("shard {shard}, as {engine} says; `--shard none` for the whole inventory"));
                shard
            })
        }
    })
}
