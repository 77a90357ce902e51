//! The commands of a board's file, which switch its power and its card, and where the card is.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::machine::MachineError;

/// A relay clicks at once; a multiplexer waits for the card to appear.
const LIMIT: Duration = Duration::from_mins(1);

/// Runs a command of the machine `name` to its end; all of it is killed if that is not waited for.
pub(super) async fn run(name: &str, words: &[String]) -> Result<(), MachineError> {
    let failed = |message| MachineError::Tool {
        name: name.to_owned(),
        tool: words.first().cloned().unwrap_or_default(),
        message,
    };
    if words.is_empty() {
        return Ok(());
    }
    // In a session, and so a group, of its own. A terminal's Ctrl-C goes to a whole group; what becomes of a switch then is for
    // whoever runs it to say. And who asks something there, of whom only the group is another, is stopped for ever.
    let mut command = Command::new("setsid");
    command.args(words);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut group = Group(command.spawn().map_err(|error| failed(format!("can't run setsid: {error}")))?);
    let (status, said) = timeout(LIMIT, group.end())
        .await
        .map_err(|_| failed(format!("it did not end within {} s", LIMIT.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(format!("{} ({status})", said.trim()))) }
}

/// A session by its first process. Dropped before that has ended, it is killed.
struct Group(Child);

impl Group {
    /// Waits for its end; how it ended, and what it said on stderr.
    async fn end(&mut self) -> io::Result<(ExitStatus, String)> {
        let mut said = Vec::new();
        if let Some(stderr) = &mut self.0.stderr {
            stderr.read_to_end(&mut said).await?;
        }
        Ok((self.0.wait().await?, String::from_utf8_lossy(&said).into_owned()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let pid = self.0.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid {
            // It may just have ended, or have no group of its own yet.
            let _ = kill_process(pid, Signal::KILL);
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Whether the card is connected to this computer, as far as is known; locked while it is switched.
#[derive(Debug, Default)]
pub(super) struct Card(Arc<Mutex<bool>>);

impl Card {
    /// Connects it to this computer, or to the machine `name`, by a command. A switch that has begun comes to its end, also
    /// if nobody waits for it any more.
    pub(super) async fn switch(&self, name: &str, words: &[String], here: bool) -> Result<(), MachineError> {
        let mut is_here = Arc::clone(&self.0).lock_owned().await;
        let (machine, words) = (name.to_owned(), words.to_vec());
        let switching = tokio::spawn(async move {
            // Until it is known to be back.
            *is_here = true;
            run(&machine, &words).await?;
            *is_here = here;
            Ok(())
        });
        let ended = switching.await.map_err(|error| MachineError::Tool {
            name: name.to_owned(),
            tool: "the switch of its card".to_owned(),
            message: error.to_string(),
        });
        ended?
    }

    /// Whether it has to be given back, once a switch that has begun is over.
    pub(super) async fn is_here(&self) -> bool {
        *self.0.lock().await
    }
}
