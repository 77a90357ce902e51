//! The machine that this program runs on, as a host: the same commands as over SSH, by the same line and the same
//! stdin, of a child process. What differs is made alike: the child has no terminal and none of our environment,
//! where cloud credentials may be, and to be left alone is to it what a lost connection is.

use std::{io, os::unix::process::ExitStatusExt, process::Stdio};

use rustix::process::{Signal, geteuid};
use secrecy::ExposeSecret;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin},
    signal::unix::{SignalKind, signal},
    time::timeout,
};

use super::{Capture, Command, Host, HostError, Output, Privilege, child::attend};
use crate::inventory::Escalation;

/// What a login over SSH would have set, too.
const KEPT_VARIABLES: [&str; 4] = ["PATH", "HOME", "USER", "LOGNAME"];
/// For a program that was started without any `PATH`.
const DEFAULT_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

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
    let mut capture = Capture::new(on_line);
    let sending = send_stdin(child.stdin.take(), command);
    // The whole group, unless it ignores that, as the script that changes a host does so that no package manager is stopped
    // half way.
    let status = attend(&mut child, Signal::HUP, sending, &mut capture)
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

async fn send_stdin(stdin: Option<ChildStdin>, command: &Command) -> io::Result<()> {
    let Some(mut stdin) = stdin else { return Ok(()) };
    stdin.write_all(command.text().expose_secret().as_bytes()).await?;
    if let Some(payload) = command.payload() {
        stdin.write_all(payload).await?;
    }
    stdin.shutdown().await
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
