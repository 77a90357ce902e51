//! A shell or command on a terminal of its own, read and written without blocking, killed and reaped with its owner.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::process::Child;
use std::thread;

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use thiserror::Error;

use super::task::Launch;
use super::user::{Identity, UserError};
use crate::agent::children::starting;
use crate::agent::node::Node;

/// Input the shell has not read yet; with more waiting, input is not taken.
const LARGEST_INPUT: usize = 64 << 10;

/// Why there is no shell.
#[derive(Debug, Error)]
pub enum ShellError {
    /// No terminal, or no child on it.
    #[error("Failed to start pty: {0}")]
    Terminal(#[from] pty_process::Error),
    /// The terminal cannot be set up.
    #[error("Failed to start pty")]
    Setup(#[from] io::Error),
    /// Nobody to run it as.
    #[error(transparent)]
    User(#[from] UserError),
    /// The thread that starts it died.
    #[error("Failed to start pty: the starting thread is gone")]
    Thread,
}

/// What reading the terminal gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// Nobody has the terminal open any more.
    End,
}

/// The running shell.
pub struct Shell {
    pty: Pty,
    child: Child,
    reaped: bool,
    input: VecDeque<u8>,
}

impl std::fmt::Debug for Shell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shell").field("child", &self.child).finish_non_exhaustive()
    }
}

impl Shell {
    /// Starts it.
    pub fn start(node: &Node, launch: &Launch) -> Result<Self, ShellError> {
        let identity = Identity::find(node, &launch.user)?;
        let (pty, pts) = open()?;
        rustix::io::ioctl_fionbio(&pty, true).map_err(io::Error::from)?;
        let mut command = Command::new("sh").env("TERM", "xterm-256color");
        if let Some(text) = &launch.command {
            command = command.arg("-c").arg(text);
        }
        if std::env::var_os("LANG").is_none_or(|lang| lang.is_empty()) {
            command = command.env("LANG", "C.UTF-8");
        }
        if let Some(home) = identity.home() {
            command = command.env("HOME", home);
        }
        let child = thread::scope(|scope| {
            let starting = scope.spawn(move || -> Result<Child, ShellError> {
                identity.take()?;
                Ok(starting(|| command.spawn(pts))?)
            });
            starting.join().unwrap_or(Err(ShellError::Thread))
        })?;
        let mut shell = Self { pty, child, reaped: false, input: VecDeque::new() };
        if launch.command.is_none() && !launch.profile.trim().is_empty() {
            shell.write(format!("{}\n", launch.profile).as_bytes());
        }
        Ok(shell)
    }

    /// What to hand to [`wait`](crate::agent::bell::wait); output is only waited for if it is wanted.
    #[must_use]
    pub fn watched(&self, wants_output: bool) -> PollFd<'_> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, wants_output);
        flags.set(PollFlags::OUT, !self.input.is_empty());
        PollFd::new(&self.pty, flags)
    }

    /// Whether input waits for it.
    #[must_use]
    pub fn has_waiting_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Whether it takes more input.
    #[must_use]
    pub fn takes_input(&self) -> bool {
        self.input.len() < LARGEST_INPUT
    }

    /// Hands input to it, as much as it takes now; the rest waits.
    pub fn write(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
        self.feed();
    }

    /// Hands over input that waits. To a terminal nobody reads any more it is lost, and that shows when reading.
    pub fn feed(&mut self) {
        while !self.input.is_empty() {
            let (front, _) = self.input.as_slices();
            match self.pty.write(front) {
                Ok(0) => break,
                Ok(written) => drop(self.input.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.input.clear(),
            }
        }
    }

    /// Reads what is there.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Output> {
        match self.pty.read(buffer) {
            Ok(0) => Ok(Output::End),
            Ok(length) => Ok(Output::Bytes(length)),
            // So Linux says that the last one closed it.
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(Output::End),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Output::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// Changes the terminal's size.
    pub fn resize(&self, columns: u32, rows: u32) {
        let cut = |size: u32| u16::try_from(size).unwrap_or(u16::MAX);
        let _ = self.pty.resize(Size::new(cut(rows), cut(columns)));
    }

    /// Whether it has ended; others may still hold its terminal.
    pub fn has_ended(&mut self) -> bool {
        self.reaped = self.reaped || !matches!(self.child.try_wait(), Ok(None));
        self.reaped
    }
}

impl Drop for Shell {
    /// Ends what the shell left running, too: jobs in the background have process groups of their own.
    fn drop(&mut self) {
        let leader = self.child.id();
        if !self.has_ended() {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        }
        for pid in members_of(leader) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// The processes of the terminal's session, which is named after the shell that leads it.
fn members_of(leader: u32) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| {
            let pid: i32 = process.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
            // After the name, which may hold anything: state, parent, group, session.
            let session = stat.rsplit_once(')')?.1.split_whitespace().nth(3)?;
            (session == leader.to_string()).then(|| Pid::from_raw(pid))?
        })
        .collect()
}
