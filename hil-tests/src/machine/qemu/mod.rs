//! A machine of QEMU: made once, powered on and off, found again by its files.
//!
//! QEMU detaches itself and so outlives the program that started it; whoever owns the machine's directory ends it.

mod accelerator;
mod arguments;
mod layout;
mod monitor;
mod power;
mod seed;
mod state;
mod template;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use images::{Image, Recipe};
use targets::Board;

use super::{Ability, Machine, MachineError, port};
use crate::process::Known;
use crate::ssh::Ssh;
pub use accelerator::Accelerator;
use layout::Layout;
pub use state::State;
pub use template::{FRESH, Template};

/// A unix socket's path may have 107 bytes.
const SOCKET_PATH_MAX: usize = 107;
/// OpenSSH binds a name that is so much longer, and renames it.
const SSH_SOCKET_SUFFIX: usize = 17;
/// Under emulation on a busy machine a login alone takes seconds.
const COMMAND_LIMIT: Duration = Duration::from_mins(2);
/// Where QEMU's user network shows the host to a guest.
const HOST_SEEN_FROM_INSIDE: &str = "10.0.2.2";

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
}

/// A machine of QEMU, on or off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qemu {
    layout: Layout,
    state: State,
}

impl Qemu {
    /// Makes a machine in `directory`, switched off: an overlay, a host key of its own, and its state file, which is
    /// written last. What is there is thrown away, and ended if it runs.
    pub async fn create(directory: &Path, spec: &MachineSpec<'_>) -> Result<Self, MachineError> {
        let layout = Layout::new(directory.to_owned());
        let wanted = spec.recipe.machine();
        let state = State {
            schema: state::SCHEMA,
            name: spec.name.to_owned(),
            image: spec.image.directory().to_owned(),
            board: wanted.board.clone(),
            append: spec.recipe.append().map(str::to_owned),
            memory_mib: wanted.memory_mib,
            ssh_port: port::free().unwrap_or_default(),
            identity: spec.identity.to_owned(),
            known_hosts: spec.known_hosts.to_owned(),
        };
        let machine = Self { layout, state };
        machine.board()?;
        machine.check_socket()?;
        machine.quit().await?;
        let directory = machine.layout.directory();
        if directory.exists() {
            fs::remove_dir_all(directory)
                .map_err(|error| machine.file_error("can't delete", directory.to_owned(), error))?;
        }
        fs::create_dir_all(directory)
            .map_err(|error| machine.file_error("can't create", directory.to_owned(), error))?;
        machine.make_disk()?;
        let mut key = Command::new("ssh-keygen");
        key.args(["-q", "-t", "ed25519", "-N", "", "-C", spec.name, "-f"]).arg(machine.layout.host_key());
        machine.tool("ssh-keygen", "openssh-client", &mut key)?;
        machine.make_seed(spec.recipe)?;
        machine.remember()?;
        Ok(machine)
    }

    /// The machine whose files are in `directory`; `None` if there is none.
    pub fn open(directory: &Path) -> Result<Option<Self>, MachineError> {
        let layout = Layout::new(directory.to_owned());
        match State::read(&layout.state()) {
            Ok(state) if state.schema == state::SCHEMA => Ok(Some(Self { layout, state })),
            // Of an older program; whoever wants the machine makes it anew.
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(MachineError::File {
                name: directory.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                action: "can't read",
                path: layout.state(),
                source,
            }),
        }
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

    /// Pid of its QEMU, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.process().filter(Known::is_alive).map(|process| process.pid)
    }

    fn board(&self) -> Result<&'static Board, MachineError> {
        Board::named(&self.state.board).ok_or_else(|| MachineError::UnknownBoard {
            name: self.state.name.clone(),
            board: self.state.board.clone(),
        })
    }

    fn check_socket(&self) -> Result<(), MachineError> {
        let path = self.layout.monitor();
        if path.as_os_str().len() > SOCKET_PATH_MAX {
            return Err(MachineError::PathTooLong { name: self.state.name.clone(), path });
        }
        Ok(())
    }

    /// What its pid file says, alive or not.
    fn process(&self) -> Option<Known> {
        let path = self.layout.pid_file();
        let pid = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
        Some(Known { pid, mark: path.to_string_lossy().into_owned() })
    }

    fn make_disk(&self) -> Result<(), MachineError> {
        let image = Image::at(self.state.image.clone());
        let mut overlay = Command::new("qemu-img");
        overlay.args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]).arg(image.disk());
        self.tool("qemu-img", "qemu-utils", overlay.arg(self.layout.disk()))
    }

    /// This machine's keys and name, so that one image serves every machine: behind the image's initrd, or for cloud-init.
    fn make_seed(&self, recipe: &Recipe) -> Result<(), MachineError> {
        if self.state.append.is_none() {
            return seed::volume(&self.layout, &self.state.identity, &self.state.name, recipe.users())
                .map_err(|(action, path, source)| self.file_error(action, path, source));
        }
        let image = Image::at(self.state.image.clone());
        let public = self.state.identity.with_added_extension("pub");
        let files = [
            ("ssh_host_ed25519_key", self.layout.host_key()),
            ("ssh_host_ed25519_key.pub", self.layout.host_public_key()),
            ("authorized_keys", public),
        ];
        seed::append(&image.initrd(), &files, &self.state.name, &self.layout.initrd())
            .map_err(|(action, path, source)| self.file_error(action, path, source))
    }

    /// Ends the connection that root's commands share, before the machine at its other end is another one.
    async fn hang_up(&self) {
        self.login("root").hang_up().await;
    }

    fn remember(&self) -> Result<(), MachineError> {
        let path = self.layout.state();
        self.state.write(&path).map_err(|source| self.file_error("can't write", path, source))
    }

    fn tool(&self, tool: &str, package: &str, command: &mut Command) -> Result<(), MachineError> {
        let failed =
            |message| MachineError::Tool { name: self.state.name.clone(), tool: tool.to_owned(), message };
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
}

#[async_trait]
impl Machine for Qemu {
    fn name(&self) -> &str {
        &self.state.name
    }

    fn runs_on(&self) -> &'static str {
        self.accelerator().map_or("", Accelerator::word)
    }

    fn can(&self, ability: Ability) -> bool {
        ability != Ability::Snapshots || self.board().is_ok_and(Board::has_snapshots)
    }

    fn login(&self, user: &str) -> Ssh {
        let shared = self.layout.shared_login();
        let fits = shared.as_os_str().len() + SSH_SOCKET_SUFFIX <= SOCKET_PATH_MAX;
        Ssh {
            user: user.to_owned(),
            address: "127.0.0.1".to_owned(),
            port: self.state.ssh_port,
            identity: self.state.identity.clone(),
            known_hosts: self.state.known_hosts.clone(),
            limit: COMMAND_LIMIT,
            shared: (fits && user == "root").then_some(shared),
        }
    }

    fn console(&self) -> PathBuf {
        self.layout.console()
    }

    fn host_key(&self) -> Result<String, MachineError> {
        let path = self.layout.host_public_key();
        let text = fs::read_to_string(&path).map_err(|source| self.file_error("can't read", path, source))?;
        Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    fn host_seen_from_inside(&self) -> &'static str {
        HOST_SEEN_FROM_INSIDE
    }

    fn clock_falls_behind(&self) -> bool {
        self.board().is_ok_and(Board::counts_instructions)
    }

    fn is_on(&self) -> bool {
        self.pid().is_some()
    }

    async fn power_on(&self) -> Result<(), MachineError> {
        self.boot()
    }

    async fn power_cut(&self) -> Result<(), MachineError> {
        self.hang_up().await;
        self.quit().await
    }

    async fn reinstall(&self) -> Result<(), MachineError> {
        self.hang_up().await;
        self.quit().await?;
        self.make_disk()
    }

    async fn save(&self, snapshot: &str) -> Result<(), MachineError> {
        self.human("savevm", snapshot)
    }

    async fn load(&self, snapshot: &str) -> Result<(), MachineError> {
        self.hang_up().await;
        self.go_back_to(snapshot)
    }

    async fn set_link(&self, up: bool) -> Result<(), MachineError> {
        self.hang_up().await;
        self.plug(up)
    }

    async fn set_paused(&self, paused: bool) -> Result<(), MachineError> {
        if paused { self.pause() } else { self.resume() }
    }

    async fn limit_disk(&self, bytes_per_second: Option<u32>) -> Result<(), MachineError> {
        self.throttle(bytes_per_second)
    }
}
