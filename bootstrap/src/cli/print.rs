//! The only way out to the operator. The macros of std panic where nobody reads any more (a closed terminal, `| head`),
//! which would end a run in the middle of its hosts; clippy.toml bans them.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::failure::Exit;

/// Data for stdout was lost.
static CUT_SHORT: AtomicBool = AtomicBool::new(false);

/// The exit code of a program that has printed all it has to: a good one is only for those whose data is whole.
pub(super) fn all_said(exit: Exit) -> Exit {
    match exit {
        Exit::Good if CUT_SHORT.load(Ordering::Relaxed) => Exit::SomeHosts,
        exit => exit,
    }
}

/// Prints data on stdout. A reader that has seen enough (`| head`) is no reason to fail; a full disk is worth a word, and [an exit code](all_said).
pub(super) fn say(text: &str) {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            warn(format_args!("the result could not be printed: {error}"));
            CUT_SHORT.store(true, Ordering::Relaxed);
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
