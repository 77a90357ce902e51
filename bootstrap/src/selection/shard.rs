//! One part of a fleet that several controllers share: which part a host is in depends on its name alone, so that every
//! controller finds the same answer without asking the others, and hosts that come or go move nobody else.

use std::{fmt, num::NonZeroU32, str::FromStr};

use sha2::{Digest, Sha256};

use crate::inventory::HostName;

/// Part `number` of `count`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: NonZeroU32,
    count: NonZeroU32,
}

/// A text that is no shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a shard is K/N, with K from 1 to N, as in 2/8")]
pub struct InvalidShard;

/// What an engine says about this task that is no shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// Kubernetes tells a task its index, and not how many there are.
    #[error("this is task {index} of an Indexed Job, and {COUNT} does not say how many tasks there are")]
    NoCount {
        /// `JOB_COMPLETION_INDEX`.
        index: String,
    },
    /// The variables contradict each other.
    #[error("{variables} are no shard: {values}")]
    Nonsense {
        /// The variables' names.
        variables: String,
        /// Their values.
        values: String,
    },
}

impl ShardError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoCount { .. } => {
                format!("set {COUNT} in the pod's template to the Job's `completions`, or give --shard K/N")
            }
            Self::Nonsense { .. } => "give --shard K/N, or --shard none for the whole inventory".to_owned(),
        }
    }
}

/// How many tasks there are, where the engine does not tell.
const COUNT: &str = "BOOTSTRAP_SHARDS";

/// An engine for arrays of tasks, by the variables that it sets.
struct Engine {
    name: &'static str,
    index: &'static str,
    count: &'static str,
    /// The index of the first task, and from one task to the next; 0 and 1 without them.
    range: Option<(&'static str, &'static str)>,
}

const ENGINES: [Engine; 3] = [
    Engine {
        name: "AWS Batch",
        index: "AWS_BATCH_JOB_ARRAY_INDEX",
        count: "AWS_BATCH_JOB_ARRAY_SIZE",
        range: None,
    },
    Engine {
        name: "Slurm",
        index: "SLURM_ARRAY_TASK_ID",
        count: "SLURM_ARRAY_TASK_COUNT",
        range: Some(("SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP")),
    },
    Engine { name: "Kubernetes", index: "JOB_COMPLETION_INDEX", count: COUNT, range: None },
];

impl Shard {
    fn new(number: u32, count: u32) -> Option<Self> {
        let shard = Self { number: NonZeroU32::new(number)?, count: NonZeroU32::new(count)? };
        (number <= count).then_some(shard)
    }

    /// The shard that the engine which started this process has in mind, with the engine's name; none outside of one.
    /// `variable` looks one up.
    pub fn of_engine(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<(Self, &'static str)>, ShardError> {
        for Engine { name, index, count, range } in &ENGINES {
            let Some(position) = variable(index) else { continue };
            let Some(total) = variable(count) else {
                if *count == COUNT {
                    return Err(ShardError::NoCount { index: position });
                }
                continue;
            };
            let (first, step) = range.map_or((None, None), |(first, step)| (variable(first), variable(step)));
            let shard = shard_at(&position, first.as_deref(), step.as_deref(), &total);
            return shard.map(|shard| Some((shard, *name))).ok_or_else(|| ShardError::Nonsense {
                variables: format!("{index} and {count}"),
                values: format!("{position} and {total}"),
            });
        }
        Ok(None)
    }

    /// Is this host in it?
    #[must_use]
    pub fn has(self, host: &HostName) -> bool {
        let digest = Sha256::digest(host.as_str());
        let place = digest.iter().take(8).fold(0_u64, |place, byte| place << 8 | u64::from(*byte));
        place % u64::from(self.count.get()) + 1 == u64::from(self.number.get())
    }
}

/// The shard of the task at `position`, where positions begin with `first` and go on by `step`.
fn shard_at(position: &str, first: Option<&str>, step: Option<&str>, count: &str) -> Option<Shard> {
    let first: u32 = first.unwrap_or("0").parse().ok()?;
    let step: u32 = step.unwrap_or("1").parse().ok()?;
    let behind = position.parse::<u32>().ok()?.checked_sub(first)?;
    Shard::new(behind.checked_div(step)?.checked_add(1)?, count.parse().ok()?)
}

impl FromStr for Shard {
    type Err = InvalidShard;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, count) = text.split_once('/').ok_or(InvalidShard)?;
        let parsed = || Self::new(number.parse().ok()?, count.parse().ok()?);
        parsed().ok_or(InvalidShard)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<(Shard, &'static str)>, ShardError> {
        Shard::of_engine(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn only_a_part_of_a_whole_is_a_shard() {
        assert_eq!("3/8".parse::<Shard>().unwrap().to_string(), "3/8");
        for wrong in ["0/4", "5/4", "1/0", "1", "/4", "a/4", "-1/4", ""] {
            assert_eq!(wrong.parse::<Shard>(), Err(InvalidShard), "{wrong}");
        }
    }

    #[test]
    fn a_host_stays_in_its_shard_for_ever() {
        // By `printf web-1 | sha256sum`: the first 16 digits as a number, modulo 4, plus 1.
        for (host, number) in [("web-1", 4), ("press", 4), ("web-2", 2)] {
            let owners: Vec<u32> = (1..=4)
                .filter(|number| Shard::new(*number, 4).unwrap().has(&HostName::sample(host)))
                .collect();
            assert_eq!(owners, [number], "{host}");
        }
    }

    #[test]
    fn engines_count_from_zero_or_from_where_they_like() {
        let batch = [("AWS_BATCH_JOB_ARRAY_INDEX", "0"), ("AWS_BATCH_JOB_ARRAY_SIZE", "4")];
        assert_eq!(of(&batch).unwrap(), Some(("1/4".parse().unwrap(), "AWS Batch")));
        let slurm = [
            ("SLURM_ARRAY_TASK_ID", "25"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
            ("SLURM_ARRAY_TASK_MIN", "5"),
            ("SLURM_ARRAY_TASK_STEP", "10"),
        ];
        assert_eq!(of(&slurm).unwrap(), Some(("3/4".parse().unwrap(), "Slurm")));
        let job = [("JOB_COMPLETION_INDEX", "3"), (COUNT, "4")];
        assert_eq!(of(&job).unwrap(), Some(("4/4".parse().unwrap(), "Kubernetes")));
        assert_eq!(of(&[]).unwrap(), None);
    }

    #[test]
    fn an_engine_that_does_not_make_sense_is_named() {
        let error = of(&[("JOB_COMPLETION_INDEX", "3")]).unwrap_err();
        assert!(error.hint().contains("`completions`"), "{error}");
        let error = of(&[("JOB_COMPLETION_INDEX", "4"), (COUNT, "4")]).unwrap_err();
        assert!(error.to_string().contains("JOB_COMPLETION_INDEX and BOOTSTRAP_SHARDS"), "{error}");
    }
}
