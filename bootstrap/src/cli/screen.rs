//! What may be done to stdout or stderr. Apart from those who print, because progress, tables and the history must agree on it.

use std::{ffi::OsString, io::IsTerminal, os::fd::AsFd};

/// One of the streams to the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Screen {
    /// A terminal that can move its cursor; else lines are all it can show.
    pub(super) moves: bool,
    /// With colours.
    pub(super) color: bool,
    /// The terminal's columns, if it knows them.
    pub(super) width: Option<u16>,
}

impl Screen {
    /// What is at the end of a stream.
    pub(super) fn of(stream: &(impl AsFd + IsTerminal)) -> Self {
        if !stream.is_terminal() {
            return Self::default();
        }
        let (term, no_color) = (std::env::var_os("TERM"), std::env::var_os("NO_COLOR"));
        let size = rustix::termios::tcgetwinsize(stream).ok();
        Self {
            width: size.map(|size| size.ws_col).filter(|columns| *columns > 0),
            ..Self::named(term, no_color)
        }
    }

    /// A terminal by the variables `TERM` and `NO_COLOR`. indicatif, too, draws nothing on one that is dumb or has no name.
    fn named(term: Option<OsString>, no_color: Option<OsString>) -> Self {
        let moves = term.is_some_and(|term| !term.is_empty() && term != "dumb");
        let color = moves && no_color.is_none_or(|value| value.is_empty());
        Self { moves, color, width: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_without_a_name_or_a_dumb_one_gets_lines_without_colours() {
        for (term, no_color, moves, color) in [
            (Some("xterm"), None, true, true),
            (Some("xterm"), Some(""), true, true),
            (Some("xterm"), Some("1"), true, false),
            (Some("dumb"), None, false, false),
            (Some(""), None, false, false),
            (None, None, false, false),
        ] {
            let screen = Screen::named(term.map(OsString::from), no_color.map(OsString::from));
            assert_eq!(screen, Screen { moves, color, width: None }, "{term:?} {no_color:?}");
        }
    }
}
