//! What configurations may refer to on this machine, collected once, so that all that follows is a pure function of it
//! and of the files.

use std::{collections::HashMap, fmt, path::PathBuf};

use crate::inventory;

/// Who and where we are.
#[derive(Clone, Debug)]
pub struct Local {
    /// The user's home directory, if there is one.
    pub home: Option<PathBuf>,
    /// The user's name, if anything tells it.
    pub user: Option<String>,
    /// The user's number.
    pub uid: u32,
    /// The name of this machine, with its domain if it has it.
    pub host: String,
    /// The environment.
    pub variables: Variables,
}

impl Local {
    /// This process's user and machine.
    #[must_use]
    pub fn here() -> Self {
        Self {
            home: inventory::home(),
            user: inventory::login_name(),
            uid: rustix::process::getuid().as_raw(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        }
    }

    /// The name of this machine without its domain.
    pub(super) fn short_host(&self) -> &str {
        self.host.split('.').next().unwrap_or_default()
    }

    pub(in crate::ssh) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.0.get(name).map(String::as_str)
    }
}

/// Environment variables. Some hold secrets, so none is ever shown.
#[derive(Clone, Default)]
pub struct Variables(HashMap<String, String>);

impl FromIterator<(String, String)> for Variables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} variables", self.0.len())
    }
}
