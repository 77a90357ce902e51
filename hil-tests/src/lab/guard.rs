//! Nothing of a test's lab survives the test: a watchman ends it when the test's program is gone, however it went.
//!
//! The watchman is `hil lab guard`, which reads its stdin; the other end of that pipe is held by the test's program
//! alone, and the kernel closes it even after SIGKILL. (`PR_SET_PDEATHSIG` follows the *thread* that started a child,
//! so with it a guest would die with the thread that booted it.)

use std::io::Read;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};

use super::guests::SwitchOff;
use super::{Lab, programs::Programs};
use crate::narration::Narration;

/// Holds the watchman's pipe open; dropping it ends the watchman.
#[derive(Debug)]
pub(super) struct Guard {
    pipe: Option<ChildStdin>,
    watchman: Child,
}

impl Guard {
    /// Starts a watchman for the lab in `directory`.
    pub(super) fn start(programs: &Programs, directory: &Path) -> Result<Self> {
        let mut command = Command::new("setsid");
        command.arg(&programs.hil).args(["lab", "guard", "--dir"]).arg(directory).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut watchman = command.spawn().context("can't start the watchman of a test's lab")?;
        Ok(Self { pipe: watchman.stdin.take(), watchman })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // It ends by itself now; waiting only keeps it from becoming a zombie.
        let _ = self.watchman.wait();
    }
}

/// The watchman's work: waits for the end of `pipe`, then ends the lab if it is still there.
pub fn watch(mut pipe: impl Read, directory: &Path) -> Result<()> {
    std::io::copy(&mut pipe, &mut std::io::sink()).context("can't read the watchman's pipe")?;
    if directory.is_dir() {
        Lab::down(directory, SwitchOff::Cut, &Narration::silent())?;
    }
    Ok(())
}
