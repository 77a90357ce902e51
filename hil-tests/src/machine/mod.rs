//! What scenarios drive: a machine with a power switch, a console and a way in. QEMU's machines are one kind, a real board
//! on a desk is the other; a scenario asks what the machine before it can do, never which it is.

pub mod board;
pub(crate) mod console;
pub(crate) mod port;
pub mod qemu;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use thiserror::Error;

use crate::lab::endpoint::LOOPBACK;
use crate::ssh::{Ssh, SshError};
use crate::wait::Deadline;

/// One attempt to log in; the next may find sshd less busy.
const LOGIN_LIMIT: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(200);
/// Less than a shared connection outlives its last command, and far less than the skew that AWS allows.
const TICK: Duration = Duration::from_secs(10);
/// Past it the shared connection is ended, under whoever uses it.
const TICK_LIMIT: Duration = Duration::from_mins(5);

/// What not every machine can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ability {
    /// Its power can be cut.
    PowerCut,
    /// Memory and disk can be saved, and gone back to in seconds.
    Snapshots,
    /// Its network cable can be pulled.
    Link,
    /// Its processors can be stopped: a host that hangs.
    Pause,
    /// Its disk can be slowed down.
    SlowDisk,
    /// It can be given the disk of its image again.
    Reinstall,
}

impl Ability {
    /// In words, as in "it has no way to ...".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::PowerCut => "cut its power",
            Self::Snapshots => "save and load snapshots",
            Self::Link => "pull its network cable",
            Self::Pause => "stop its processors",
            Self::SlowDisk => "slow its disk down",
            Self::Reinstall => "be reinstalled, for which a board's file needs [media]",
        }
    }
}

/// A machine, on or off.
#[async_trait]
pub trait Machine: fmt::Debug + Send + Sync {
    /// Its name.
    fn name(&self) -> &str;

    /// What its instructions run on: `tcg`, `kvm` or `hardware`.
    fn runs_on(&self) -> &'static str;

    /// What it can do beyond the methods that have no [`Ability`].
    fn can(&self, ability: Ability) -> bool;

    /// A login as `user`.
    fn login(&self, user: &str) -> Ssh;

    /// The log of its serial console.
    fn console(&self) -> PathBuf;

    /// Its public host key: type and base64.
    fn host_key(&self) -> Result<String, MachineError>;

    /// Where this computer is, as seen from the machine.
    fn host_seen_from_inside(&self) -> &str;

    /// The address of this computer on which the machine's connections arrive.
    fn controller_address(&self) -> IpAddr {
        LOOPBACK
    }

    /// Its clock falls behind while it works, and nothing in it mends that.
    fn clock_falls_behind(&self) -> bool {
        false
    }

    /// Is it on, as far as can be told from outside?
    fn is_on(&self) -> bool;

    /// Switches it on; nothing happens if it is on. Returns long before it is up.
    async fn power_on(&self) -> Result<(), MachineError>;

    /// Pulls the plug: what it has not written is lost.
    async fn power_cut(&self) -> Result<(), MachineError>;

    /// Gives it the disk of its image again and switches it off; needs [`Ability::Reinstall`].
    async fn reinstall(&self) -> Result<(), MachineError>;

    /// Saves memory and disk under a name: letters, digits and `-`.
    async fn save(&self, _snapshot: &str) -> Result<(), MachineError> {
        Err(self.cannot(Ability::Snapshots))
    }

    /// Goes back to a snapshot, on or off before. Its clock stands where it stood then.
    async fn load(&self, _snapshot: &str) -> Result<(), MachineError> {
        Err(self.cannot(Ability::Snapshots))
    }

    /// Plugs its network cable in, or pulls it.
    async fn set_link(&self, _up: bool) -> Result<(), MachineError> {
        Err(self.cannot(Ability::Link))
    }

    /// Stops its processors, or lets them go on.
    async fn set_paused(&self, _paused: bool) -> Result<(), MachineError> {
        Err(self.cannot(Ability::Pause))
    }

    /// Limits its disk, in bytes a second; `None` is no limit.
    async fn limit_disk(&self, _bytes_per_second: Option<u32>) -> Result<(), MachineError> {
        Err(self.cannot(Ability::SlowDisk))
    }

    /// The error of something that it can't do.
    fn cannot(&self, ability: Ability) -> MachineError {
        MachineError::Unable { name: self.name().to_owned(), what: ability.words() }
    }

    /// The last lines of its console.
    fn console_tail(&self) -> String {
        console::tail(&self.console(), console::LINES)
    }

    /// An error if nobody can expect an answer from it any more: it is off, or its kernel has given up.
    fn check_alive(&self) -> Result<(), MachineError> {
        let console = self.console_tail();
        if self.is_on() && !console::has_panicked(&console) {
            return Ok(());
        }
        Err(MachineError::Dead { name: self.name().to_owned(), console })
    }
}

/// Does its SSH server answer? Needs no login, so it is quick.
pub async fn answers(machine: &dyn Machine) -> bool {
    let login = machine.login("root");
    machine.is_on() && crate::ssh::answers(&login.address, login.port).await
}

/// Waits until a login works, and sets the clock in that login, which is what costs seconds under emulation.
pub async fn wait_for_ssh(machine: &dyn Machine, limit: Duration) -> Result<(), MachineError> {
    let deadline = Deadline::after(limit);
    let login = machine.login("root");
    loop {
        machine.check_alive()?;
        if (login.is_shared() || answers(machine).await) && set_clock(machine).await.is_ok() {
            return Ok(());
        }
        if !deadline.pause(LOOK).await {
            return Err(timed_out(machine, "SSH", limit));
        }
    }
}

/// Waits until systemd has started everything; its word, `running` or `degraded`.
pub async fn wait_until_booted(machine: &dyn Machine, limit: Duration) -> Result<String, MachineError> {
    let login = machine.login("root").with_limit(limit);
    let output = login.output(&["systemctl", "is-system-running", "--wait"]).await;
    let output = output.map_err(|source| ssh_error(machine, source))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Sets the machine's clock to ours. A restored guest stands at its snapshot and a Pi has no clock, so every signature
/// they make would be refused. It is late by what a login takes: a second, on a busy machine some.
pub async fn set_clock(machine: &dyn Machine) -> Result<(), MachineError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    set_clock_to(machine, now).await
}

/// Sets a machine's clock again and again, as NTP would, by the connection that its commands share, while there is one.
pub async fn keep_time(login: Ssh) {
    let login = login.with_limit(TICK_LIMIT);
    loop {
        tokio::time::sleep(TICK).await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if login.is_shared() {
            // The next one will do; a machine that does not answer is noticed by whoever wants something of it.
            let _ = login.run(&["date", "--utc", "--set", &seconds(now)]).await;
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("@{}.{:03}", time.as_secs(), time.subsec_millis())
}

/// Sets the machine's clock to a time since 1970 began.
pub async fn set_clock_to(machine: &dyn Machine, time: Duration) -> Result<(), MachineError> {
    let login = machine.login("root").with_limit(LOGIN_LIMIT);
    login
        .run(&["date", "--utc", "--set", &seconds(time)])
        .await
        .map_err(|source| ssh_error(machine, source))?;
    Ok(())
}

fn ssh_error(machine: &dyn Machine, source: SshError) -> MachineError {
    MachineError::Ssh { name: machine.name().to_owned(), source }
}

pub(crate) fn timed_out(machine: &dyn Machine, what: &str, limit: Duration) -> MachineError {
    MachineError::Timeout {
        name: machine.name().to_owned(),
        what: what.to_owned(),
        limit,
        console: machine.console_tail(),
    }
}

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
    /// A program that it needs did not do its work.
    #[error("machine {name}: {tool} failed: {message}")]
    Tool {
        /// The machine.
        name: String,
        /// The program.
        tool: String,
        /// What it said, or the package to install.
        message: String,
    },
    /// A board of which neither the power could be cut nor the card be given back.
    #[error("{off}; nor could its card be given back to it: {card}")]
    OnWithoutCard {
        /// Why it may be on.
        off: Box<MachineError>,
        /// Why its card may be here.
        card: Box<MachineError>,
    },
    /// The path of its monitor's socket would be too long.
    #[error("machine {name}: {} is too long for a socket; choose a shorter directory", path.display())]
    PathTooLong {
        /// The machine.
        name: String,
        /// The path.
        path: PathBuf,
    },
    /// Its disk is an overlay of another disk than there is now.
    #[error(
        "machine {name}: its image {} was deleted or made anew after it; make the machine anew, a lab's with `hil lab up --fresh`",
        image.display()
    )]
    Stale {
        /// The machine.
        name: String,
        /// The image's directory.
        image: PathBuf,
    },
    /// Its image names a board that nobody knows.
    #[error("machine {name}: no board is called {board:?}")]
    UnknownBoard {
        /// The machine.
        name: String,
        /// As its recipe has it.
        board: String,
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
    #[error("machine {name} is dead; the end of its console:\n{console}")]
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
    /// It has no such ability.
    #[error("machine {name} has no way to {what}")]
    Unable {
        /// The machine.
        name: String,
        /// What.
        what: &'static str,
    },
}
