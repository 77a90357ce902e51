//! The terms of `--limit`.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::{inventory::HostSpec, wildcard};

/// The hosts that were not good in the last run of the inventory that had them.
const FAILED: &str = "@failed";

/// One term: a name of a host, a group or an environment, `*` and `?` standing for anything, or `@failed`; with `!`
/// before it, the hosts that are taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    name: String,
    excludes: bool,
}

/// A text that is no term.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTerm {
    /// There is nothing in it.
    #[error("there is no name in it; as in `web-*,!web-3`")]
    Empty,
    /// A word that begins with `@` and is not ours.
    #[error("{0} means nothing; there is @failed: the hosts that were not good in their last run")]
    Keyword(String),
}

impl FromStr for Term {
    type Err = InvalidTerm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (name, excludes) = text.strip_prefix('!').map_or((text, false), |name| (name.trim(), true));
        match name {
            "" => Err(InvalidTerm::Empty),
            name if name.starts_with('@') && name != FAILED => Err(InvalidTerm::Keyword(name.to_owned())),
            name => Ok(Self { name: name.to_owned(), excludes }),
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.excludes { "!" } else { "" }, self.name)
    }
}

impl Term {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn excludes(&self) -> bool {
        self.excludes
    }

    pub(super) fn is_failed(&self) -> bool {
        self.name == FAILED
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        wildcard::matches(&self.name, name)
    }

    /// Is this host meant, whether it is to be taken or to be taken away?
    pub(super) fn covers(&self, host: &HostSpec, failed: &BTreeSet<String>) -> bool {
        if self.is_failed() {
            return failed.contains(host.name.as_str());
        }
        self.is_called(host.name.as_str())
            || self.is_called(host.environment.name.as_str())
            || host.groups.iter().any(|group| self.is_called(group.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_shown_as_it_was_written() {
        for text in ["web-1", "!web-*", "@failed", "!@failed"] {
            assert_eq!(text.parse::<Term>().unwrap().to_string(), text);
        }
        assert_eq!("".parse::<Term>(), Err(InvalidTerm::Empty));
        assert_eq!("! ".parse::<Term>(), Err(InvalidTerm::Empty));
        assert_eq!("@changed".parse::<Term>(), Err(InvalidTerm::Keyword("@changed".to_owned())));
    }
}
