//! On, off and everything between: starting QEMU, waiting for SSH, switching off, pulling the plug.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use images::{Cache, Image};
use qapi::qmp;

use super::arguments::{self, Start};
use super::{Accelerator, Machine, MachineError, QEMU, port};
use crate::process::Known;
use crate::ssh;
use crate::wait;

/// A fresh port is tried so often when another program takes ours first.
const PORT_TRIES: u32 = 5;
/// QEMU ends at once when told to; a host that swaps may be slow.
const QUIT_LIMIT: Duration = Duration::from_secs(10);
/// One attempt to log in; the next may find sshd less busy.
const LOGIN_LIMIT: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(200);

impl Machine {
    /// Switches it on for the first time; it may choose another SSH port then, since nobody knows it yet.
    pub fn first_power_on(&mut self) -> Result<(), MachineError> {
        for _ in 0..PORT_TRIES {
            if port_is_free(self.state.ssh_port) {
                match self.start(Start::Boot) {
                    Err(MachineError::Tool { message, .. }) if message.contains("host forwarding") => {}
                    done => return done,
                }
            }
            self.state.ssh_port = port::free().unwrap_or_default();
            self.remember()?;
        }
        self.start(Start::Boot)
    }

    /// Switches it on; nothing happens if it is on. Returns when QEMU runs, long before the guest is up.
    pub fn power_on(&self) -> Result<(), MachineError> {
        self.start(Start::Boot)
    }

    /// Switches it on where a snapshot stands, with the clock of now.
    pub fn power_on_from(&self, snapshot: &str, limit: Duration) -> Result<(), MachineError> {
        self.start(Start::Snapshot(snapshot))?;
        self.wait_for(limit, Self::set_clock)
    }

    /// Asks the guest to shut down, as its power button does, and waits for it.
    pub fn power_off(&self, limit: Duration) -> Result<(), MachineError> {
        let Some(process) = self.process().filter(Known::is_alive) else { return Ok(()) };
        self.monitor("power down", |monitor| monitor.execute(&qmp::system_powerdown {}))?;
        if process.gone_within(limit) { Ok(()) } else { Err(self.timeout("shutdown", limit)) }
    }

    /// Pulls the plug: what the guest has not written is lost.
    pub fn power_cut(&self) -> Result<(), MachineError> {
        let Some(process) = self.process().filter(Known::is_alive) else { return Ok(()) };
        // A monitor that does not answer is no reason to leave the machine running.
        let asked = self.monitor("quit", |monitor| monitor.execute(&qmp::quit {}));
        if asked.is_ok() && process.gone_within(QUIT_LIMIT) {
            return Ok(());
        }
        if process.stop(QUIT_LIMIT) { Ok(()) } else { Err(self.timeout("end of QEMU", QUIT_LIMIT)) }
    }

    /// Does its SSH server answer? Needs no login, so it is quick.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.is_running() && ssh::answers(self.state.ssh_port)
    }

    /// Waits until a login works.
    pub fn wait_for_ssh(&self, limit: Duration) -> Result<(), MachineError> {
        let login = self.ssh("root").with_limit(LOGIN_LIMIT);
        self.wait_for(limit, |_| login.run(&["true"]).map(|_| ()))
    }

    /// Waits until `login`, which needs SSH, succeeds. A login costs seconds under emulation, so what is wanted of the
    /// first one is done in it.
    pub(super) fn wait_for<E>(
        &self,
        limit: Duration,
        login: impl Fn(&Self) -> Result<(), E>,
    ) -> Result<(), MachineError> {
        let ready = || {
            if !self.is_running() || self.has_panicked() {
                return Err(self.dead());
            }
            Ok((self.answers() && login(self).is_ok()).then_some(()))
        };
        wait::until(limit, LOOK, ready)?.ok_or_else(|| self.timeout("SSH", limit))
    }

    /// Waits until systemd has started everything; its word, `running` or `degraded`.
    pub fn wait_until_booted(&self, limit: Duration) -> Result<String, MachineError> {
        let login = self.ssh("root").with_limit(limit);
        let output = login
            .output(&["systemctl", "is-system-running", "--wait"])
            .map_err(|source| MachineError::Ssh { name: self.name().to_owned(), source })?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn start(&self, start: Start<'_>) -> Result<(), MachineError> {
        if self.is_running() {
            return Ok(());
        }
        // Left by a QEMU that was killed; a new one would refuse the pid file only if it were locked.
        for stale in [self.layout.pid_file(), self.layout.monitor()] {
            let _ = fs::remove_file(stale);
        }
        let image = Image::at(self.state.image.clone());
        let accelerator =
            verdict_file().map_or(Accelerator::Tcg, |memory| Accelerator::choose(&image, &memory));
        let mut command = Command::new(QEMU);
        command.args(arguments::all(&self.state, &self.layout, accelerator, start));
        self.tool(QEMU, "qemu-system-x86", &mut command)
    }
}

fn verdict_file() -> Option<PathBuf> {
    Cache::of_user().ok().map(|cache| cache.directory().join("accelerator"))
}

fn port_is_free(port: u16) -> bool {
    port != 0 && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
