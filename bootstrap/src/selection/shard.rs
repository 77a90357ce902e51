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

/// What an engine says about this task that is no shard, or not for certain: then hosts would be left out and nobody told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// The engine tells a task its index, and not how many there are.
    #[error(
        "this is task {index} of an array by {engine}, and {COUNT} does not say how many shards there are"
    )]
    NoCount {
        /// The engine.
        engine: &'static str,
        /// The task's index.
        index: String,
    },
    /// The count is known, and not which of them this is.
    #[error("{COUNT} says that there are {count} shards, and no engine says which of them this is")]
    NoIndex {
        /// How many there are.
        count: String,
    },
    /// The tasks need not be the whole array: one with gaps or a step, or some tasks of another one, submitted again.
    #[error(
        "this is task {index} of a Slurm array that is not 1-N or 0-(N-1), so how many shards there are is not certain: {tasks}"
    )]
    Uncertain {
        /// The task's index.
        index: String,
        /// What Slurm says of the array.
        tasks: String,
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
                format!(
                    "set {COUNT} to the size of the whole array (a Job's `completions`), or give --shard K/N"
                )
            }
            Self::NoIndex { .. } => format!(
                "give --shard K/N, or --shard none for the whole inventory, or take {COUNT} out of the environment"
            ),
            Self::Uncertain { .. } => format!(
                "set {COUNT} to the size of the whole array, also where only some of its tasks are run again, or give --shard K/N"
            ),
            Self::Nonsense { .. } => "give --shard K/N, or --shard none for the whole inventory".to_owned(),
        }
    }
}

/// How many shards there are, where the engine does not tell or can't be trusted to.
const COUNT: &str = "BOOTSTRAP_SHARDS";

/// An engine for arrays of tasks, by the variables that it sets.
struct Engine {
    name: &'static str,
    index: &'static str,
    /// How many tasks the array has.
    size: Option<&'static str>,
    ids: Ids,
}

/// How an engine numbers the tasks of an array.
enum Ids {
    /// From 0; a task that is tried again keeps its index, and none can be run without the others.
    FromZero,
    /// As the operator likes, at each submission anew.
    Free,
}

const ENGINES: [Engine; 3] = [
    Engine {
        name: "AWS Batch",
        index: "AWS_BATCH_JOB_ARRAY_INDEX",
        size: Some("AWS_BATCH_JOB_ARRAY_SIZE"),
        ids: Ids::FromZero,
    },
    Engine {
        name: "Slurm",
        index: "SLURM_ARRAY_TASK_ID",
        size: Some("SLURM_ARRAY_TASK_COUNT"),
        ids: Ids::Free,
    },
    Engine { name: "Kubernetes", index: "JOB_COMPLETION_INDEX", size: None, ids: Ids::FromZero },
];

impl Engine {
    /// The shard of the task at `index`.
    fn shard(&self, index: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Shard, ShardError> {
        let size = self.size.and_then(variable);
        let told = variable(COUNT);
        let shard = match (&self.ids, told.as_deref(), size.as_deref()) {
            (Ids::FromZero, Some(told), Some(size)) if told != size => None,
            (Ids::FromZero, Some(count), _) | (Ids::FromZero, None, Some(count)) => from_zero(index, count),
            (Ids::Free, Some(count), size) => wrapped(index, count, size),
            (Ids::Free, None, Some(size)) => return of_whole_array(index, size, variable),
            (_, None, None) => {
                return Err(ShardError::NoCount { engine: self.name, index: index.to_owned() });
            }
        };
        let named = [(self.index, Some(index)), (COUNT, told.as_deref())].into_iter();
        let named = named.chain(self.size.map(|name| (name, size.as_deref())));
        let (variables, values): (Vec<_>, Vec<_>) =
            named.filter_map(|(name, value)| Some((name, value?))).unzip();
        shard.ok_or_else(|| ShardError::Nonsense {
            variables: variables.join(" and "),
            values: values.join(" and "),
        })
    }
}

fn from_zero(index: &str, count: &str) -> Option<Shard> {
    Shard::new(index.parse::<u32>().ok()?.checked_add(1)?, count.parse().ok()?)
}

/// Index K is shard K, and 0 is the last one: so a task that is submitted alone has the shard that it had in the
/// whole array, whether that began with 0 or with 1.
fn wrapped(index: &str, count: &str, size: Option<&str>) -> Option<Shard> {
    let (index, count): (u32, u32) = (index.parse().ok()?, count.parse().ok()?);
    let size: u32 = size.map_or(Some(1), |size| size.parse().ok())?;
    let number = if index == 0 { count } else { index };
    Shard::new(number, count).filter(|_| size <= count)
}

/// Slurm counts the tasks that were submitted, which are all there are only if they are 1-N or 0-(N-1); and one task alone
/// is rather one that is run again than an array.
fn of_whole_array(
    index: &str,
    size: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Shard, ShardError> {
    let number = |name: &str| variable(name).and_then(|text| text.parse::<u32>().ok());
    let (min, max) = (number("SLURM_ARRAY_TASK_MIN"), number("SLURM_ARRAY_TASK_MAX"));
    let step = variable("SLURM_ARRAY_TASK_STEP");
    let whole = || {
        let (min, max, count) = (min?, max?, size.parse::<u32>().ok()?);
        let task = index.parse::<u32>().ok()?;
        let in_turn = max.checked_sub(min)?.checked_add(1)? == count && step.as_deref().unwrap_or("1") == "1";
        let certain = in_turn && min <= 1 && count > 1 && (min..=max).contains(&task);
        if certain { wrapped(index, size, Some(size)) } else { None }
    };
    whole().ok_or_else(|| {
        let shown = |number: Option<u32>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        let by = step.as_deref().filter(|step| *step != "1").map(|step| format!(" in steps of {step}"));
        let tasks =
            format!("tasks {} to {}{}, {size} of them", shown(min), shown(max), by.unwrap_or_default());
        ShardError::Uncertain { index: index.to_owned(), tasks }
    })
}

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
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        for engine in &ENGINES {
            if let Some(index) = variable(engine.index) {
                return engine.shard(&index, &variable).map(|shard| Some((shard, engine.name)));
            }
        }
        variable(COUNT).map_or(Ok(None), |count| Err(ShardError::NoIndex { count }))
    }

    /// Is this host in it?
    #[must_use]
    pub fn has(self, host: &HostName) -> bool {
        let digest = Sha256::digest(host.as_str());
        let place = digest.iter().take(8).fold(0_u64, |place, byte| place << 8 | u64::from(*byte));
        place % u64::from(self.count.get()) + 1 == u64::from(self.number.get())
    }
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

    fn slurm(
        id: &str,
        (min, max, step, count): (&str, &str, &str, &str),
        told: Option<&str>,
    ) -> Result<String, ShardError> {
        let mut variables = vec![
            ("SLURM_ARRAY_TASK_ID", id),
            ("SLURM_ARRAY_TASK_MIN", min),
            ("SLURM_ARRAY_TASK_MAX", max),
            ("SLURM_ARRAY_TASK_STEP", step),
            ("SLURM_ARRAY_TASK_COUNT", count),
        ];
        variables.extend(told.map(|told| (COUNT, told)));
        of(&variables).map(|found| found.unwrap().0.to_string())
    }

    #[test]
    fn batch_and_kubernetes_count_from_zero() {
        let batch = [("AWS_BATCH_JOB_ARRAY_INDEX", "0"), ("AWS_BATCH_JOB_ARRAY_SIZE", "4")];
        assert_eq!(of(&batch).unwrap(), Some(("1/4".parse().unwrap(), "AWS Batch")));
        let job = [("JOB_COMPLETION_INDEX", "3"), (COUNT, "4")];
        assert_eq!(of(&job).unwrap(), Some(("4/4".parse().unwrap(), "Kubernetes")));
        assert_eq!(of(&[]).unwrap(), None);
    }

    #[test]
    fn a_slurm_array_is_known_by_itself_only_if_it_is_whole_beyond_doubt() {
        for (id, array, expected) in [
            ("1", ("1", "8", "1", "8"), "1/8"),
            ("8", ("1", "8", "1", "8"), "8/8"),
            ("3", ("0", "7", "1", "8"), "3/8"),
            ("0", ("0", "7", "1", "8"), "8/8"),
        ] {
            assert_eq!(slurm(id, array, None).as_deref(), Ok(expected), "{id} of {array:?}");
        }
        for (id, array) in [
            ("1", ("1", "7", "1", "3")),    // --array=1,3,7
            ("3", ("1", "5", "2", "3")),    // --array=1-5:2
            ("3", ("3", "3", "1", "1")),    // --array=3
            ("1", ("1", "1", "1", "1")),    // --array=1
            ("4", ("3", "4", "1", "2")),    // --array=3-4
            ("25", ("5", "35", "10", "4")), // --array=5-35:10
        ] {
            let error = slurm(id, array, None).unwrap_err();
            assert!(matches!(error, ShardError::Uncertain { .. }), "{id} of {array:?}: {error}");
            assert!(error.hint().contains("BOOTSTRAP_SHARDS"), "{error}");
        }
        let error = slurm("3", ("1", "5", "2", "3"), None).unwrap_err().to_string();
        assert!(error.ends_with("not certain: tasks 1 to 5 in steps of 2, 3 of them"), "{error}");
    }

    #[test]
    fn a_slurm_task_that_is_run_again_alone_has_the_shard_that_it_had() {
        for (min, max) in [("1", "8"), ("0", "7")] {
            for id in ["0", "1", "3", "7", "8"].into_iter().filter(|id| (min..=max).contains(id)) {
                let whole = slurm(id, (min, max, "1", "8"), None);
                assert!(whole.is_ok());
                assert_eq!(slurm(id, (id, id, "1", "1"), Some("8")), whole, "{id} of {min}-{max}");
                assert_eq!(slurm(id, (min, max, "1", "8"), Some("8")), whole, "{id} of {min}-{max}");
            }
        }
        assert_eq!(slurm("7", ("1", "7", "1", "3"), Some("8")).as_deref(), Ok("7/8"));
    }

    #[test]
    fn what_the_engine_says_must_agree_with_the_count_that_is_told() {
        assert!(matches!(slurm("9", ("9", "9", "1", "1"), Some("8")), Err(ShardError::Nonsense { .. })));
        let twice = slurm("0", ("0", "8", "1", "9"), Some("8"));
        assert!(
            matches!(twice, Err(ShardError::Nonsense { .. })),
            "0 and 8 would be the same shard: {twice:?}"
        );
        let batch = [("AWS_BATCH_JOB_ARRAY_INDEX", "0"), ("AWS_BATCH_JOB_ARRAY_SIZE", "4"), (COUNT, "8")];
        let error = of(&batch).unwrap_err().to_string();
        assert!(
            error.contains("BOOTSTRAP_SHARDS and AWS_BATCH_JOB_ARRAY_SIZE are no shard: 0 and 8 and 4"),
            "{error}"
        );
    }

    #[test]
    fn an_engine_that_does_not_tell_enough_is_named() {
        for (index, engine) in [
            ("JOB_COMPLETION_INDEX", "Kubernetes"),
            ("SLURM_ARRAY_TASK_ID", "Slurm"),
            ("AWS_BATCH_JOB_ARRAY_INDEX", "AWS Batch"),
        ] {
            let error = of(&[(index, "3")]).unwrap_err();
            assert!(error.to_string().contains(engine) && error.hint().contains("`completions`"), "{error}");
        }
        let error = of(&[("JOB_COMPLETION_INDEX", "4"), (COUNT, "4")]).unwrap_err();
        assert!(error.to_string().contains("JOB_COMPLETION_INDEX and BOOTSTRAP_SHARDS"), "{error}");
        let error = of(&[(COUNT, "4")]).unwrap_err();
        assert!(
            matches!(error, ShardError::NoIndex { .. }),
            "each controller would take everything: {error}"
        );
        assert_eq!(of(&[(COUNT, "")]), Ok(None));
    }
}
