//! How a run looks while it goes on. Two readers of events, both on stderr: [`Terminal`] moves,
//! [`Plain`] writes a line for each event worth reading. Which one it is, is decided here once.

mod active;
mod apart;
mod plain;
#[cfg(test)]
pub(crate) mod story;
mod terminal;
mod wording;

use self::apart::Apart;
use crate::events::Reader;

pub use plain::{Plain, Verbosity};
pub use terminal::Terminal;
pub(crate) use wording::{Paint, clean, elapsed, plural, retry, typed};

/// What shows a run's progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Moving lines and a bar.
    Terminal {
        /// With colours.
        color: bool,
    },
    /// A line for each event worth reading.
    Plain(Verbosity),
}

/// Chooses the display. `--quiet` leaves only what went wrong; a program that asks for JSON on stdout
/// gets a stderr that it can log, and moving lines are for a person at a terminal that can move its cursor.
#[must_use]
#[expect(
    clippy::fn_params_excessive_bools,
    reason = "each is one fact about the surroundings or the command line"
)]
pub fn choose(stderr_moves: bool, color: bool, quiet: bool, output_json: bool) -> Choice {
    if quiet {
        Choice::Plain(Verbosity::Trouble)
    } else if stderr_moves && !output_json {
        Choice::Terminal { color }
    } else {
        Choice::Plain(Verbosity::Everything)
    }
}

impl Choice {
    /// The reader for it, on this process's stderr; one that hangs makes nobody wait.
    #[must_use]
    pub fn reader(self) -> Box<dyn Reader> {
        let display: Box<dyn Reader> = match self {
            Self::Terminal { color } => Box::new(Terminal::stderr(color)),
            Self::Plain(verbosity) => Box::new(Plain::new(std::io::stderr(), verbosity)),
        };
        Box::new(Apart::start(display))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_at_a_terminal_sees_moving_lines() {
        assert_eq!(choose(true, true, false, false), Choice::Terminal { color: true });
        assert_eq!(choose(true, false, false, false), Choice::Terminal { color: false });
    }

    #[test]
    fn a_log_or_a_program_gets_plain_lines() {
        assert_eq!(choose(false, false, false, false), Choice::Plain(Verbosity::Everything));
        assert_eq!(choose(true, false, false, true), Choice::Plain(Verbosity::Everything));
    }

    #[test]
    fn quiet_leaves_only_trouble_even_on_a_terminal() {
        assert_eq!(choose(true, false, true, false), Choice::Plain(Verbosity::Trouble));
        assert_eq!(choose(false, true, true, true), Choice::Plain(Verbosity::Trouble));
    }
}
