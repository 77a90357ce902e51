//! `MaxConcurrency` and `MaxErrors`: a number of nodes, or a share of them.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A number of nodes or a percentage; written as AWS writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Rate {
    /// So many nodes.
    Nodes(u32),
    /// So many of a hundred.
    Percent(u32),
}

/// A text that is neither; the model's pattern refuses it before.
#[derive(Debug, Error)]
#[error("`{0}` is neither a number nor a percentage")]
pub struct BadRate(String);

impl Rate {
    /// How many of `total` nodes may run at once: at least one, shares rounded up.
    #[must_use]
    pub fn of_concurrency(self, total: usize) -> usize {
        let nodes = match self {
            Self::Nodes(nodes) => usize::try_from(nodes).unwrap_or(usize::MAX),
            Self::Percent(percent) => hundredths(total, percent).div_ceil(100),
        };
        nodes.max(1)
    }

    /// How many of `total` nodes may fail: shares rounded down.
    #[must_use]
    pub fn of_errors(self, total: usize) -> usize {
        match self {
            Self::Nodes(nodes) => usize::try_from(nodes).unwrap_or(usize::MAX),
            Self::Percent(percent) => hundredths(total, percent) / 100,
        }
    }
}

fn hundredths(total: usize, percent: u32) -> usize {
    total.saturating_mul(usize::try_from(percent).unwrap_or(usize::MAX))
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(nodes) => write!(f, "{nodes}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl TryFrom<String> for Rate {
    type Error = BadRate;

    fn try_from(text: String) -> Result<Self, BadRate> {
        let read = match text.strip_suffix('%') {
            Some(percent) => percent.parse().map(Self::Percent),
            None => text.parse().map(Self::Nodes),
        };
        read.map_err(|_| BadRate(text))
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;

    #[test]
    fn numbers_and_percentages_are_read_and_written_alike() {
        for (text, concurrency, errors) in
            [("3", 3, 3), ("10%", 2, 1), ("100%", 15, 15), ("1%", 1, 0), ("0", 1, 0), ("0%", 1, 0)]
        {
            let rate = Rate::try_from(text.to_owned()).unwrap();
            assert_eq!((rate.of_concurrency(15), rate.of_errors(15)), (concurrency, errors), "{text}");
            assert_eq!(rate.to_string(), text);
        }
        assert!(Rate::try_from("many".to_owned()).is_err());
    }
}
