//! The only way out to the operator. The macros of std panic where nobody reads any more (a closed terminal, `| head`),
//! which would end a run in the middle of its hosts; clippy.toml bans them.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};

/// Prints data on stdout. A reader that has seen enough (`| head`) is no reason to fail; a full disk is worth a word.
pub(super) fn say(text: &str) {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            warn(format_args!("the result could not be printed: {error}"));
        }
        _ => {}
    }
}

/// Prints a message on stderr, and a line break.
pub(super) fn tell(text: impl Display) {
    // In one piece: others write there too.
    io::stderr().write_all(format!("{text}\n").as_bytes()).ok();
}

/// Prints a warning on stderr.
pub(super) fn warn(text: impl Display) {
    tell(format_args!("warning: {text}"));
}
