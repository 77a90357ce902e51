//! The system's `ssh` as the way into a guest: commands as argv, files in and out over the same channel.
//!
//! Deliberately not the product's own SSH client: what tests the product must not share its bugs.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use thiserror::Error;

use crate::wait;

/// What OpenSSH exits with when it never reached the command.
const SSH_FAILED: i32 = 255;

/// Why a command in a guest has no output to show.
#[derive(Debug, Error)]
pub enum SshError {
    /// The local `ssh` can't be run.
    #[error("ssh can't be run; on Debian or Ubuntu: apt-get install openssh-client")]
    Start(#[source] io::Error),
    /// A local file can't be read or written.
    #[error("can't open {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection failed.
    #[error("no SSH to {target}: {message}")]
    Connect {
        /// user@host:port.
        target: String,
        /// OpenSSH's words.
        message: String,
    },
    /// The command ran and failed.
    #[error("{command:?} on {target} exited with {code}: {stderr}")]
    Command {
        /// user@host:port.
        target: String,
        /// The command's words.
        command: Vec<String>,
        /// Its exit code.
        code: i32,
        /// What it said.
        stderr: String,
    },
    /// The command took too long and was ended.
    #[error("{command:?} on {target} took longer than {limit:?}")]
    Timeout {
        /// user@host:port.
        target: String,
        /// The command's words.
        command: Vec<String>,
        /// The limit.
        limit: Duration,
    },
}

/// A login on a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// Login name.
    pub user: String,
    /// Local port that QEMU forwards to the guest's port 22.
    pub port: u16,
    /// Private key.
    pub identity: PathBuf,
    /// Known hosts; a guest that is not in there is refused.
    pub known_hosts: PathBuf,
    /// Limit of one command.
    pub limit: Duration,
}

impl Ssh {
    /// The same guest as another user.
    #[must_use]
    pub fn with_user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    /// The same guest with another limit for one command.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// user@host:port.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{}@127.0.0.1:{}", self.user, self.port)
    }

    /// Runs a command; its output, whatever its exit code. 255 is OpenSSH's own and means that there was no connection.
    pub fn output<S: AsRef<str>>(&self, command: &[S]) -> Result<Output, SshError> {
        let output = self.run_with(command, Stdio::null(), Stdio::piped())?;
        match self.check(command, &output) {
            Err(error @ SshError::Connect { .. }) => Err(error),
            _ => Ok(output),
        }
    }

    /// Runs a command; its stdout without the last line end, an error if it fails.
    pub fn run<S: AsRef<str>>(&self, command: &[S]) -> Result<String, SshError> {
        let output = self.output(command)?;
        self.check(command, &output)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
    }

    /// Sends a local file to an absolute path of the guest.
    pub fn copy_in(&self, from: &Path, to: &str) -> Result<(), SshError> {
        let file = File::open(from).map_err(|source| SshError::File { path: from.to_owned(), source })?;
        let command = ["dd", "bs=64k", "status=none", &format!("of={to}")];
        let output = self.run_with(&command, file.into(), Stdio::piped())?;
        self.check(&command, &output)
    }

    /// Fetches a file of the guest.
    pub fn copy_out(&self, from: &str, to: &Path) -> Result<(), SshError> {
        let file = File::create(to).map_err(|source| SshError::File { path: to.to_owned(), source })?;
        let command = ["cat", "--", from];
        let output = self.run_with(&command, Stdio::null(), file.into())?;
        self.check(&command, &output)
    }

    fn run_with<S: AsRef<str>>(
        &self,
        command: &[S],
        stdin: Stdio,
        stdout: Stdio,
    ) -> Result<Output, SshError> {
        let mut ssh = Command::new("ssh");
        ssh.args(self.arguments(command)).env_remove("SSH_AUTH_SOCK");
        let child =
            ssh.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).spawn().map_err(SshError::Start)?;
        let output = output_within(child, self.limit).map_err(SshError::Start)?;
        output.ok_or_else(|| SshError::Timeout {
            target: self.target(),
            command: words(command),
            limit: self.limit,
        })
    }

    fn check<S: AsRef<str>>(&self, command: &[S], output: &Output) -> Result<(), SshError> {
        let stderr = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        match output.status.code() {
            Some(0) => Ok(()),
            Some(SSH_FAILED) | None => Err(SshError::Connect { target: self.target(), message: stderr }),
            Some(code) => {
                Err(SshError::Command { target: self.target(), command: words(command), code, stderr })
            }
        }
    }

    /// The arguments of `ssh`: nothing of the user's own configuration, no question, one key.
    fn arguments<S: AsRef<str>>(&self, command: &[S]) -> Vec<OsString> {
        let option = |name: &str, value: &Path| {
            let mut text = OsString::from(format!("{name}=\""));
            text.push(value);
            text.push("\"");
            text
        };
        let mut arguments: Vec<OsString> = ["-F", "none", "-T"].map(OsString::from).into();
        let fixed = [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=none",
            "ConnectTimeout=15",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=6",
            "LogLevel=ERROR",
        ];
        let paths = [option("IdentityFile", &self.identity), option("UserKnownHostsFile", &self.known_hosts)];
        for value in fixed.map(OsString::from).into_iter().chain(paths) {
            arguments.extend(["-o".into(), value]);
        }
        arguments.extend(["-p".into(), self.port.to_string().into(), "-l".into(), self.user.clone().into()]);
        arguments.extend(["127.0.0.1".into(), "--".into()]);
        let line: Vec<String> = command.iter().map(|word| quote(word.as_ref())).collect();
        arguments.push(line.join(" ").into());
        arguments
    }
}

fn words<S: AsRef<str>>(command: &[S]) -> Vec<String> {
    command.iter().map(|word| word.as_ref().to_owned()).collect()
}

/// One word for the guest's shell: OpenSSH hands over a line, not words.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The output of a child; `None` if it took longer and was killed.
fn output_within(mut child: std::process::Child, limit: Duration) -> io::Result<Option<Output>> {
    let stdout = child.stdout.take().map(read_aside);
    let stderr = child.stderr.take().map(read_aside);
    let status = wait::until(limit, Duration::from_millis(10), || child.try_wait())?;
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let text = |reader: Option<std::thread::JoinHandle<Vec<u8>>>| {
        reader.and_then(|thread| thread.join().ok()).unwrap_or_default()
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    Ok(status.map(|status| Output { status, stdout, stderr }))
}

/// Reads in a thread of its own, so that a full pipe never blocks the child.
fn read_aside(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before a broken pipe is still worth showing.
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}

/// Does a server of SSH answer on that local port? Cheap: no key exchange.
pub(crate) fn answers(port: u16) -> bool {
    let attempt = || -> io::Result<bool> {
        let limit = Duration::from_secs(2);
        let mut stream = std::net::TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), limit)?;
        stream.set_read_timeout(Some(limit))?;
        let mut banner = [0; 4];
        stream.read_exact(&mut banner)?;
        // Said politely, or sshd logs a broken identification at every look.
        stream.write_all(b"SSH-2.0-look\r\n")?;
        Ok(&banner == b"SSH-")
    };
    attempt().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Ssh {
        Ssh {
            user: "admin".to_owned(),
            port: 22022,
            identity: "/lab dir/id".into(),
            known_hosts: "/lab dir/known_hosts".into(),
            limit: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_command_reaches_the_guest_word_by_word() {
        let arguments = login().arguments(&["printf", "%s|", "a b", "it's", "$HOME", ""]);
        let line = arguments.last().unwrap();
        let output = Command::new("sh").arg("-c").arg(line).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "a b|it's|$HOME||");
    }

    #[test]
    fn openssh_understands_every_option_also_with_a_space_in_the_path() {
        let mut arguments = login().arguments(&["true"]);
        arguments.insert(0, "-G".into());
        let Ok(output) = Command::new("ssh").args(arguments).output() else { return };
        let text = String::from_utf8(output.stdout).unwrap();
        for line in ["user admin", "port 22022", "userknownhostsfile /lab dir/known_hosts", "batchmode yes"] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended() {
        let child = Command::new("sleep").arg("60").stdout(Stdio::piped()).spawn().unwrap();
        assert!(output_within(child, Duration::from_millis(50)).unwrap().is_none());
    }
}
