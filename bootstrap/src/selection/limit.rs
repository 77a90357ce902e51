//! The terms of `--limit`.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::{
    inventory::{HostSpec, expand},
    wildcard,
};

/// The hosts that were not good in the last run of the inventory that had them.
const FAILED: &str = "@failed";

/// One term: a name of a host, a group or an environment, `*` and `?` standing for anything and `[01:20]` for the numbers of a
/// range, or `@failed`; with `!` before it, the hosts that are taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    name: String,
    names: Names,
    excludes: bool,
}

/// The names that a term stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    /// Those that a pattern fits, of which a range makes several.
    Like(Vec<String>),
    /// Those of a range, of which there may be as many as hosts.
    Listed(BTreeSet<String>),
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
    /// Brackets that hold no range, as those of a shell.
    #[error("{0}; a range is two numbers, as in `web-[01:20]`")]
    Range(String),
}

impl FromStr for Term {
    type Err = InvalidTerm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (name, excludes) = text.strip_prefix('!').map_or((text, false), |name| (name.trim(), true));
        match name {
            "" => Err(InvalidTerm::Empty),
            name if name.starts_with('@') && name != FAILED => Err(InvalidTerm::Keyword(name.to_owned())),
            name => {
                let names = expand(name).map_err(|error| InvalidTerm::Range(error.to_string()))?;
                let listed = names.len() > 1 && !name.contains(['*', '?']);
                let names =
                    if listed { Names::Listed(names.into_iter().collect()) } else { Names::Like(names) };
                Ok(Self { name: name.to_owned(), names, excludes })
            }
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
        match &self.names {
            Names::Like(patterns) => patterns.iter().any(|pattern| wildcard::matches(pattern, name)),
            Names::Listed(names) => names.contains(name),
        }
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
    fn a_range_is_the_names_that_it_is_in_inventories_and_reports() {
        let called = |term: &str, name: &str| term.parse::<Term>().unwrap().is_called(name);
        assert!(called("web-[08:12]", "web-08") && called("web-[08:12]", "web-12"));
        assert!(!called("web-[08:12]", "web-8") && !called("web-[08:12]", "web-13"));
        assert!(called("!rack[1:3]-*", "rack2-left") && !called("rack[1:3]-*", "rack4-left"));
        assert_eq!("web-[08:12]".parse::<Term>().unwrap().to_string(), "web-[08:12]");
        let wrong = "web-[12]".parse::<Term>().unwrap_err().to_string();
        assert_eq!(wrong, "`[12]` is no range; a range is two numbers, as in `web-[01:20]`");
    }

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
