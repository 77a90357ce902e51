//! What can be wrong with a configuration: always with its place and what to do.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Whose file something is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The user's own.
    User,
    /// The whole machine's: often it is what a distribution ships.
    System,
}

/// A line of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Whose file it is.
    pub origin: Origin,
    /// The file.
    pub file: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What OpenSSH does then, taking any key, is done half.
pub(super) const CHECKS_NOTHING: &str = "StrictHostKeyChecking no";

/// Something in a configuration that `ssh` would follow and bootstrap does not. To be said, not to be passed over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unsupported {
    /// Where it is.
    pub place: Place,
    /// The keyword, as `ssh_config(5)` spells it; for a criterion of `Match` both, as in `Match exec`.
    pub keyword: String,
}

impl Unsupported {
    /// Each keyword once per file, where it is first: what is worth saying of all hosts of a run.
    pub fn once_per_file(all: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut all: Vec<Self> = all.into_iter().collect();
        all.sort();
        let mut seen = std::collections::HashSet::new();
        all.retain(|one| seen.insert((Arc::clone(&one.place.file), one.keyword.clone())));
        all
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, keyword } = self;
        if keyword == CHECKS_NOTHING {
            return write!(f, "{place}: `{keyword}` is taken as `accept-new`: a changed host key is refused");
        }
        let left_out = if keyword.starts_with("Match ") {
            "the lines below it are left out"
        } else {
            "it has no effect"
        };
        write!(f, "{place}: `{keyword}` is not supported: {left_out}")
    }
}

/// A configuration that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file is there but cannot be read.
    #[error("SSH configuration {} cannot be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could have written a file that says which keys and hosts are ours.
    #[error("SSH configuration {} {how}", file.display())]
    Exposed {
        /// The file.
        file: PathBuf,
        /// Who could.
        how: String,
    },
    /// Far more than anybody writes: files that include each other.
    #[error("SSH configuration {} includes too many files", file.display())]
    TooManyFiles {
        /// The file where the limit was reached.
        file: PathBuf,
    },
    /// A line makes no sense, or none for the host in question.
    #[error("{place}: {what}")]
    Line {
        /// The line.
        place: Place,
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The way to a host leads through itself.
    #[error("jump hosts go round in circles: {}", chain.join(" -> "))]
    JumpLoop {
        /// From the target to the host that was there before.
        chain: Vec<String>,
    },
    /// A longer way than makes sense.
    #[error("the way to `{alias}` has more than {limit} jump hosts")]
    TooManyJumps {
        /// The target.
        alias: String,
        /// How many there may be.
        limit: usize,
    },
}

impl ConfigError {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { file, .. } => {
                format!("check that it is a file you may read: `ls -l {}`", file.display())
            }
            Self::Exposed { file, .. } => {
                let file = file.display();
                format!("see that it says what you mean, then `chown \"$(id -u)\" {file}; chmod go-w {file}`")
            }
            Self::TooManyFiles { .. } => "look for files that `Include` each other".to_owned(),
            Self::Line { hint, .. } => hint.clone(),
            Self::JumpLoop { chain } => {
                let last = chain.last().map_or("the jump host", String::as_str);
                format!(
                    "exempt it, before the line that sets `ProxyJump`: `Host {last}` with `ProxyJump none`"
                )
            }
            Self::TooManyJumps { .. } => "shorten the chain of `ProxyJump`s".to_owned(),
        }
    }
}

/// What is wrong with a line, as the parsers say it, which don't know where they are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) hint: String,
}

impl Fault {
    pub(super) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }

    /// The error that it is at its place.
    pub(super) fn at(self, place: &Place) -> ConfigError {
        ConfigError::Line { place: place.clone(), what: self.what, hint: self.hint }
    }
}
