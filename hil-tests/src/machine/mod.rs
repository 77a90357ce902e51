//! One QEMU machine: made once, powered on and off, found again by its files. Apart from the lab, because a machine
//! knows nothing of endpoints and inventories.
//!
//! QEMU detaches itself and so outlives the program that started it. Every wait asks whether the guest still lives, and
//! an error shows the end of its console.

mod accelerator;
mod arguments;
pub(crate) mod console;
mod faults;
mod layout;
mod monitor;
pub(crate) mod port;
mod power;
mod state;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use images::{Image, Recipe};
use thiserror::Error;

use crate::process::Known;
use crate::ssh::{Ssh, SshError};
pub use accelerator::Accelerator;
use layout::Layout;
pub use state::State;

/// The program; machines of other architectures are not made yet.
const QEMU: &str = "qemu-system-x86_64";
/// A unix socket's path may have 107 bytes.
const SOCKET_PATH_MAX: usize = 107;
/// Under emulation on a busy machine a login alone takes seconds.
const COMMAND_LIMIT: Duration = Duration::from_mins(2);

/// Why a machine does not do what it is told.
#[derive(Debug, Error)]
pub enum MachineError {
    /// One of its files.
    #[error("machine {name}: {action} {}", path.display())]
    File {
        /// The machine.
        name: String,
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// QEMU or one of its tools did not start.
    #[error("machine {name}: {tool} failed: {message}")]
    Tool {
        /// The machine.
        name: String,
        /// The program.
        tool: &'static str,
        /// What it said, or the package to install.
        message: String,
    },
    /// The path of its monitor's socket would be too long.
    #[error("machine {name}: {} is too long for a socket; choose a shorter --dir", path.display())]
    PathTooLong {
        /// The machine.
        name: String,
        /// The path.
        path: PathBuf,
    },
    /// The monitor can't be reached or refuses.
    #[error("machine {name}: {what} failed")]
    Monitor {
        /// The machine.
        name: String,
        /// What was asked.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// It is off and was expected to be on.
    #[error("machine {name} is not running; the end of its console:\n{console}")]
    Dead {
        /// The machine.
        name: String,
        /// Last lines.
        console: String,
    },
    /// Something did not happen in time.
    #[error("machine {name}: {what} not within {} s; the end of its console:\n{console}", limit.as_secs())]
    Timeout {
        /// The machine.
        name: String,
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// Last lines.
        console: String,
    },
    /// A command in the guest.
    #[error("machine {name}: a command failed")]
    Ssh {
        /// The machine.
        name: String,
        /// Why.
        source: SshError,
    },
}

/// What a new machine is to be.
#[derive(Debug, Clone)]
pub struct MachineSpec<'a> {
    /// Its name and host name.
    pub name: &'a str,
    /// What it boots.
    pub image: &'a Image,
    /// The image's recipe.
    pub recipe: &'a Recipe,
    /// The key pair of its users: the private key's path; the public key lies beside it as `.pub`.
    pub identity: &'a Path,
    /// The file where its host key is entered by whoever makes the machine.
    pub known_hosts: &'a Path,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Processors.
    pub cpus: u8,
}

/// A machine, on or off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    layout: Layout,
    state: State,
}

impl Machine {
    /// Makes a machine in `directory`, switched off: an overlay, a host key of its own, and its state file, which is
    /// written last.
    pub fn create(directory: &Path, spec: &MachineSpec<'_>) -> Result<Self, MachineError> {
        let layout = Layout::new(directory.to_owned());
        let state = State {
            schema: 1,
            name: spec.name.to_owned(),
            image: spec.image.directory().to_owned(),
            append: spec.recipe.machine().append.clone(),
            cpus: spec.cpus,
            memory_mib: spec.memory_mib,
            ssh_port: port::free().unwrap_or_default(),
            identity: spec.identity.to_owned(),
            known_hosts: spec.known_hosts.to_owned(),
        };
        let machine = Self { layout, state };
        let socket = machine.layout.monitor();
        if socket.as_os_str().len() > SOCKET_PATH_MAX {
            return Err(MachineError::PathTooLong { name: spec.name.to_owned(), path: socket });
        }
        machine.prepare(spec).map_err(|(action, path, source)| machine.file_error(action, path, source))?;
        let mut overlay = Command::new("qemu-img");
        overlay.args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]).arg(spec.image.disk());
        machine.tool("qemu-img", "qemu-utils", overlay.arg(machine.layout.disk()))?;
        let mut key = Command::new("ssh-keygen");
        key.args(["-q", "-t", "ed25519", "-N", "", "-C", spec.name, "-f"]).arg(machine.layout.host_key());
        machine.tool("ssh-keygen", "openssh-client", &mut key)?;
        machine.remember()?;
        Ok(machine)
    }

    /// The machine whose files are in `directory`; `None` if there is none.
    pub fn open(directory: &Path) -> Result<Option<Self>, MachineError> {
        let layout = Layout::new(directory.to_owned());
        match State::read(&layout.state()) {
            Ok(state) => Ok(Some(Self { layout, state })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(MachineError::File {
                name: directory.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                action: "can't read",
                path: layout.state(),
                source,
            }),
        }
    }

    /// Its name, which is its host name too.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// All that is remembered of it.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.layout.directory()
    }

    /// Local port of its SSH.
    #[must_use]
    pub fn ssh_port(&self) -> u16 {
        self.state.ssh_port
    }

    /// Its console's log.
    #[must_use]
    pub fn console(&self) -> PathBuf {
        self.layout.console()
    }

    /// Its public host key: type and base64.
    pub fn host_key(&self) -> Result<String, MachineError> {
        let path = self.layout.host_public_key();
        let text = fs::read_to_string(&path).map_err(|source| self.file_error("can't read", path, source))?;
        Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    /// A login as `user`.
    #[must_use]
    pub fn ssh(&self, user: &str) -> Ssh {
        Ssh {
            user: user.to_owned(),
            port: self.state.ssh_port,
            identity: self.state.identity.clone(),
            known_hosts: self.state.known_hosts.clone(),
            limit: COMMAND_LIMIT,
        }
    }

    /// Pid of its QEMU, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.process().filter(Known::is_alive).map(|process| process.pid)
    }

    /// Is it on?
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.pid().is_some()
    }

    /// What its pid file says, alive or not.
    fn process(&self) -> Option<Known> {
        let path = self.layout.pid_file();
        let pid = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
        Some(Known { pid, mark: path.to_string_lossy().into_owned() })
    }

    /// The files that the guest's seed reads.
    fn prepare(&self, spec: &MachineSpec<'_>) -> Result<(), (&'static str, PathBuf, io::Error)> {
        let directory = self.layout.directory();
        if directory.exists() {
            fs::remove_dir_all(directory).map_err(|error| ("can't delete", directory.to_owned(), error))?;
        }
        fs::create_dir_all(directory).map_err(|error| ("can't create", directory.to_owned(), error))?;
        let public = spec.identity.with_added_extension("pub");
        let keys = self.layout.authorized_keys();
        fs::copy(&public, keys).map_err(|error| ("can't copy", public, error))?;
        let name = self.layout.hostname();
        fs::write(&name, spec.name).map_err(|error| ("can't write", name, error))
    }

    fn remember(&self) -> Result<(), MachineError> {
        let path = self.layout.state();
        self.state.write(&path).map_err(|source| self.file_error("can't write", path, source))
    }

    fn tool(&self, tool: &'static str, package: &str, command: &mut Command) -> Result<(), MachineError> {
        let failed = |message| MachineError::Tool { name: self.state.name.clone(), tool, message };
        let output = command.output().map_err(|error| {
            failed(match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("not installed; on Debian or Ubuntu: apt-get install {package}")
                }
                _ => error.to_string(),
            })
        })?;
        if output.status.success() {
            return Ok(());
        }
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    fn file_error(&self, action: &'static str, path: PathBuf, source: io::Error) -> MachineError {
        MachineError::File { name: self.state.name.clone(), action, path, source }
    }

    fn dead(&self) -> MachineError {
        MachineError::Dead { name: self.state.name.clone(), console: self.console_tail() }
    }

    fn timeout(&self, what: &str, limit: Duration) -> MachineError {
        MachineError::Timeout {
            name: self.state.name.clone(),
            what: what.to_owned(),
            limit,
            console: self.console_tail(),
        }
    }
}
