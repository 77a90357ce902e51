//! The system's `ssh` as the way into a guest: commands as argv, files in and out over the same channel.
//!
//! Deliberately not the product's own SSH client: what tests the product must not share its bugs.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

/// What OpenSSH exits with when it never reached the command.
const SSH_FAILED: i32 = 255;
const DEFAULT_PORT: u16 = 22;
/// Seconds that a shared connection outlives its last command. Nobody ends it if we are killed.
const SHARED_FOR: &str = "ControlPersist=15";
/// A local word to a local process.
const HANG_UP_LIMIT: Duration = Duration::from_secs(5);

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
    /// Where it is reached: 127.0.0.1 for a guest of QEMU.
    pub address: String,
    /// Its port there; QEMU forwards a local one to the guest's port 22.
    pub port: u16,
    /// Private key.
    pub identity: PathBuf,
    /// Known hosts; a guest that is not in there is refused.
    pub known_hosts: PathBuf,
    /// Limit of one command.
    pub limit: Duration,
    /// The socket of a connection that this login's commands share, since under emulation a login costs as much as ten
    /// commands; `None` if each logs in anew.
    pub shared: Option<PathBuf>,
}

impl Ssh {
    /// The same guest with another limit for one command.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// user@host:port.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{}@{}:{}", self.user, self.address, self.port)
    }

    /// Runs a command; its output, whatever its exit code. 255 is OpenSSH's own and means that there was no connection.
    pub async fn output<S: AsRef<str>>(&self, command: &[S]) -> Result<Output, SshError> {
        let output = self.run_with(&words(command), Stdio::null(), Stdio::piped()).await?;
        match self.check(command, &output) {
            Err(error @ SshError::Connect { .. }) => Err(error),
            _ => Ok(output),
        }
    }

    /// Runs a command; its stdout without the last line end, an error if it fails.
    pub async fn run<S: AsRef<str>>(&self, command: &[S]) -> Result<String, SshError> {
        let output = self.output(command).await?;
        self.check(command, &output)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
    }

    /// Sends a local file to an absolute path of the guest.
    pub async fn copy_in(&self, from: &Path, to: &str) -> Result<(), SshError> {
        let file = File::open(from).map_err(|source| SshError::File { path: from.to_owned(), source })?;
        let command = words(&["dd", "bs=64k", "status=none", &format!("of={to}")]);
        let output = self.run_with(&command, file.into(), Stdio::piped()).await?;
        self.check(&command, &output)
    }

    /// Fetches a file of the guest.
    pub async fn copy_out(&self, from: &str, to: &Path) -> Result<(), SshError> {
        let file = File::create(to).map_err(|source| SshError::File { path: to.to_owned(), source })?;
        let command = words(&["cat", "--", from]);
        let output = self.run_with(&command, Stdio::null(), file.into()).await?;
        self.check(&command, &output)
    }

    /// Whether an earlier command has left a connection to share.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared.as_ref().is_some_and(|socket| socket.exists())
    }

    /// Ends the shared connection, if there is one: what it is connected to will not answer any more.
    pub async fn hang_up(&self) {
        let Some(socket) = self.shared.as_ref().filter(|socket| socket.exists()) else { return };
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-O", "exit", "-S"]).arg(socket).arg(&self.address).kill_on_drop(true);
        // Where none listens any more the next command takes the socket's place.
        let _ = timeout(HANG_UP_LIMIT, ssh.output()).await;
    }

    /// The system's `ssh` as a shell for a human, without a command.
    #[must_use]
    pub fn interactive(&self) -> Command {
        let mut arguments = Self { shared: None, ..self.clone() }.arguments::<&str>(&[]);
        // The empty command and the switch that wants no terminal.
        arguments.pop();
        arguments.retain(|word| word != "-T");
        let mut ssh = Command::new("ssh");
        ssh.args(arguments).env_remove("SSH_AUTH_SOCK");
        ssh
    }

    async fn run_with(&self, command: &[String], stdin: Stdio, stdout: Stdio) -> Result<Output, SshError> {
        let mut ssh = Command::new("ssh");
        ssh.args(self.arguments(command)).env_remove("SSH_AUTH_SOCK");
        ssh.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).kill_on_drop(true);
        let child = ssh.spawn().map_err(SshError::Start)?;
        let Ok(output) = timeout(self.limit, child.wait_with_output()).await else {
            // The next one must not wait for the same dead connection.
            self.hang_up().await;
            let (target, command) = (self.target(), command.to_vec());
            return Err(SshError::Timeout { target, command, limit: self.limit });
        };
        output.map_err(SshError::Start)
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
        let shared = self.shared.iter().flat_map(|socket| {
            ["ControlMaster=auto".into(), SHARED_FOR.into(), option("ControlPath", socket)]
        });
        for value in fixed.map(OsString::from).into_iter().chain(paths).chain(shared) {
            arguments.extend(["-o".into(), value]);
        }
        arguments.extend(["-p".into(), self.port.to_string().into(), "-l".into(), self.user.clone().into()]);
        arguments.extend([self.address.clone().into(), "--".into()]);
        let line: Vec<String> = command.iter().map(|word| quote(word.as_ref())).collect();
        arguments.push(line.join(" ").into());
        arguments
    }
}

fn words<S: AsRef<str>>(command: &[S]) -> Vec<String> {
    command.iter().map(|word| word.as_ref().to_owned()).collect()
}

/// One word for a shell, such as the guest's: OpenSSH hands over a line, not words.
pub(crate) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A line of `known_hosts`. By the default port a host is called without it: with it, nobody finds the line.
pub(crate) fn known_hosts_line(address: &str, port: u16, key: &str) -> String {
    if port == DEFAULT_PORT { format!("{address} {key}\n") } else { format!("[{address}]:{port} {key}\n") }
}

/// Does a server of SSH answer there? Cheap: no key exchange.
pub(crate) async fn answers(address: &str, port: u16) -> bool {
    let attempt = async {
        let mut stream = tokio::net::TcpStream::connect((address, port)).await?;
        let mut banner = [0; 4];
        stream.read_exact(&mut banner).await?;
        // Said politely, or sshd logs a broken identification at every look.
        stream.write_all(b"SSH-2.0-look\r\n").await?;
        Ok::<_, io::Error>(&banner == b"SSH-")
    };
    matches!(timeout(Duration::from_secs(2), attempt).await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Ssh {
        Ssh {
            user: "admin".to_owned(),
            address: "127.0.0.1".to_owned(),
            port: 22022,
            identity: "/lab dir/id".into(),
            known_hosts: "/lab dir/known_hosts".into(),
            limit: Duration::from_secs(1),
            shared: Some("/lab dir/ssh".into()),
        }
    }

    #[test]
    fn openssh_finds_a_host_by_its_line_on_the_default_port_and_on_others() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
        let lines = known_hosts_line("192.0.2.2", 22, key) + &known_hosts_line("127.0.0.1", 40022, key);
        std::fs::write(file.path(), lines).unwrap();
        let found = |name: &str| {
            let mut keygen = std::process::Command::new("ssh-keygen");
            keygen.args(["-F", name, "-f"]).arg(file.path()).output().unwrap().status.success()
        };
        assert!(found("192.0.2.2") && found("[127.0.0.1]:40022"));
        assert!(!found("[127.0.0.1]:40023") && !found("127.0.0.1"));
    }

    #[test]
    fn a_command_reaches_the_guest_word_by_word() {
        let arguments = login().arguments(&["printf", "%s|", "a b", "it's", "$HOME", ""]);
        let line = arguments.last().unwrap();
        let output = std::process::Command::new("sh").arg("-c").arg(line).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "a b|it's|$HOME||");
    }

    #[test]
    fn openssh_understands_every_option_also_with_a_space_in_the_path() {
        let mut arguments = login().arguments(&["true"]);
        arguments.insert(0, "-G".into());
        let Ok(output) = std::process::Command::new("ssh").args(arguments).output() else { return };
        let text = String::from_utf8(output.stdout).unwrap();
        for line in [
            "user admin",
            "port 22022",
            "userknownhostsfile /lab dir/known_hosts",
            "batchmode yes",
            "controlpath /lab dir/ssh",
            "controlpersist 15",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
    }
}
