//! How the program ends when it cannot do its work: what, because of what, and what to do about it.

use std::{fmt, process::ExitCode};

/// Exit codes; few, documented in `docs/report.md`, never a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Every host is where it should be.
    Good = 0,
    /// Some hosts are not.
    SomeHosts = 1,
    /// The command line is wrong (clap's own code).
    Usage = 2,
    /// The inventory is wrong.
    Inventory = 3,
    /// The run could not start: a key, the journal, the package, AWS.
    CannotStart = 4,
    /// Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the program ends without having done its work.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    what: String,
    because: Option<String>,
    hint: Option<String>,
}

impl Failure {
    /// A failure that ends with `exit`; `what` names the object.
    pub fn new(exit: Exit, what: impl fmt::Display) -> Self {
        Self { exit, what: what.to_string(), because: None, hint: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.because = Some(cause.to_string());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        if let Some(because) = &self.because {
            write!(f, "\nbecause: {because}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// An error with all its sources, `: ` between them; sources are never repeated in our own errors' texts.
pub fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
