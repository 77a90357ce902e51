//! The machine that this program runs on, as a host: the same commands as over SSH, by the same line and the same
//! stdin, of a child process. What differs is made alike: the child has no terminal and none of our environment,
//! where cloud credentials may be, and to be left alone is to it what a lost connection is.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    pin::pin,
    process::{ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, geteuid, kill_process, kill_process_group};
use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin},
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};

use super::{Capture, Command, Host, HostError, LINGER, Output, Privilege};
use crate::inventory::Escalation;

/// What a login over SSH would have set, too.
const KEPT_VARIABLES: [&str; 4] = ["PATH", "HOME", "USER", "LOGNAME"];
/// For a program that was started without any `PATH`.
const DEFAULT_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
const CHUNK_BYTES: usize = 16 << 10;

/// The machine that this program runs on.
#[derive(Debug)]
pub struct LocalHost {
    ascends: bool,
}

impl LocalHost {
    /// This machine; `escalation` is how a user who is not root becomes it.
    #[must_use]
    pub fn new(escalation: Escalation) -> Self {
        Self { ascends: escalation != Escalation::None && !geteuid().is_root() }
    }
}

impl Host for LocalHost {
    async fn run(
        &mut self,
        command: &Command,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Output, HostError> {
        let line = command.line(self.ascends && command.privilege() == Privilege::Root);
        match timeout(command.limit(), execute(&line, command, on_line)).await {
            Ok(result) => result,
            Err(_) => Err(HostError::TimedOut { command: command.name(), limit: command.limit() }),
        }
    }
}

async fn execute(
    line: &str,
    command: &Command,
    on_line: &mut (dyn FnMut(&str) + Send),
) -> Result<Output, HostError> {
    let not_run = |error: io::Error| HostError::NotRun {
        command: command.name(),
        cause: format!("`setsid sh` cannot be started here: {error}"),
    };
    let mut child = spawn(line).map_err(not_run)?;
    let mut leash = Leash::of(&child);
    let mut capture = Capture::new(on_line);
    let status = converse(&mut child, command, &mut capture, &mut leash)
        .await
        .map_err(|error| HostError::Lost { command: command.name(), cause: error.to_string() })?;
    if let Some(signal) = status.signal() {
        capture.stderr(format!("\n(ended by signal {signal})").as_bytes());
    }
    Ok(capture.finish(status.code().and_then(|code| code.try_into().ok())))
}

/// In a session of its own, which is also a process group: without a terminal, as over SSH, so that neither Ctrl-C
/// nor sudo's or a package's questions get in between.
fn spawn(line: &str) -> io::Result<Child> {
    // Under nohup this program ignores SIGHUP, and a child would inherit that: nothing could end it. With a handler it does not.
    let _handler_stays = signal(SignalKind::hangup())?;
    let mut process = tokio::process::Command::new("setsid");
    process
        .args(["sh", "-c", line])
        .current_dir("/")
        .env_clear()
        .env("PATH", DEFAULT_PATH)
        .envs(KEPT_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Writes and reads at the same time, until the child has ended and its output, too.
async fn converse(
    child: &mut Child,
    command: &Command,
    capture: &mut Capture<'_>,
    leash: &mut Leash,
) -> io::Result<ExitStatus> {
    let mut sending = pin!(send_stdin(child.stdin.take(), command));
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut out, mut err) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let (mut sent, mut ended) = (false, None);
    loop {
        if let (Some(status), None, None) = (ended, &stdout, &stderr) {
            return Ok(status);
        }
        tokio::select! {
            // A child that reads no more has ended or is about to; that shows below.
            _ = &mut sending, if !sent => sent = true,
            text = read(&mut stdout, &mut out), if stdout.is_some() => match text {
                Some(text) => capture.stdout(text),
                None => stdout = None,
            },
            text = read(&mut stderr, &mut err), if stderr.is_some() => match text {
                Some(text) => capture.stderr(text),
                None => stderr = None,
            },
            status = child.wait(), if ended.is_none() => {
                ended = Some(status?);
                leash.let_go();
            }
            () = sleep(LINGER), if ended.is_some() => (stdout, stderr) = (None, None),
        }
    }
}

/// The next piece; `None` at the end.
async fn read<'b>(pipe: &mut Option<impl AsyncRead + Unpin>, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    match pipe.as_mut()?.read(buffer).await {
        Ok(0) | Err(_) => None,
        Ok(length) => buffer.get(..length),
    }
}

async fn send_stdin(stdin: Option<ChildStdin>, command: &Command) -> io::Result<()> {
    let Some(mut stdin) = stdin else { return Ok(()) };
    stdin.write_all(command.text().expose_secret().as_bytes()).await?;
    if let Some(payload) = command.payload() {
        stdin.write_all(payload).await?;
    }
    stdin.shutdown().await
}

/// Hangs up on a child that is left before its end: the whole group, unless it ignores that, as the script that
/// changes a host does so that no package manager is stopped half way.
struct Leash(Option<Pid>);

impl Leash {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| id.try_into().ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// The child was waited for: its number may be another's by now.
    fn let_go(&mut self) {
        self.0 = None;
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        let Some(id) = self.0 else { return };
        // A child that has not come to its own group yet is alone; one that belongs to root by now is left by its
        // closed pipes.
        if kill_process_group(id, Signal::HUP).is_err() {
            kill_process(id, Signal::HUP).ok();
        }
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
