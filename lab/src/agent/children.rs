//! Starting children beside writing scripts. A child started by one thread holds, until it has become its program,
//! what another thread has open for writing; a script in that state cannot be run ("text file busy"). So nothing is
//! started while a script is written.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

static STARTING: Mutex<()> = Mutex::new(());

/// Starts what `start` starts, while no script is being written.
pub fn starting<T>(start: impl FnOnce() -> T) -> T {
    let _guard = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    start()
}

/// Starts a command.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    starting(|| command.spawn())
}

/// Runs a short command to its end.
pub fn output(command: &mut Command) -> io::Result<Output> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    spawn(command)?.wait_with_output()
}

/// Writes a script that can be run at once.
pub fn write_script(path: &Path, content: &str) -> io::Result<()> {
    starting(|| {
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o700).open(path)?;
        file.write_all(content.as_bytes())
    })
}
