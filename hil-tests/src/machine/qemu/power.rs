//! A machine of QEMU switched on and off, by boot or by snapshot, and what its monitor does to it.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use images::{Cache, Image};
use qapi::qmp;
use targets::{Arch, Board};

use super::arguments::{self, Start};
use super::monitor::{self, Monitor};
use super::{Accelerator, Qemu, port};
use crate::machine::{Machine as _, MachineError, console, timed_out};
use crate::process::Known;

/// A fresh port is tried so often when another program takes ours first.
const PORT_TRIES: u32 = 5;
/// QEMU ends at once when told to; a host that swaps may be slow.
const QUIT_LIMIT: Duration = Duration::from_secs(10);

impl Qemu {
    /// Switches it on for the first time; it may choose another SSH port then, since nobody knows it yet.
    pub fn first_power_on(&mut self) -> Result<(), MachineError> {
        self.on_a_free_port(Start::Boot)
    }

    pub(super) fn on_a_free_port(&mut self, start: Start<'_>) -> Result<(), MachineError> {
        for _ in 0..PORT_TRIES {
            if port_is_free(self.state.ssh_port) {
                match self.start(start) {
                    Err(MachineError::Tool { message, .. }) if message.contains("host forwarding") => {}
                    done => return done,
                }
            }
            self.state.ssh_port = port::free().unwrap_or_default();
            self.remember()?;
        }
        self.start(start)
    }

    pub(super) fn boot(&self) -> Result<(), MachineError> {
        self.start(Start::Boot)
    }

    /// What its instructions run on.
    pub fn accelerator(&self) -> Result<Accelerator, MachineError> {
        let image = Image::at(self.state.image.clone());
        let board = self.board()?;
        Ok(verdict_file().map_or(Accelerator::Tcg, |memory| Accelerator::choose(board, &image, &memory)))
    }

    /// Asks it to shut down and waits for it.
    pub(crate) async fn power_off(&self, limit: Duration) -> Result<(), MachineError> {
        self.hang_up().await;
        let Some(process) = self.process().filter(Known::is_alive) else { return Ok(()) };
        self.monitor("system_powerdown", |monitor| monitor.execute(&qmp::system_powerdown {}))?;
        if process.gone_within(limit).await { Ok(()) } else { Err(timed_out(self, "shutdown", limit)) }
    }

    pub(super) async fn quit(&self) -> Result<(), MachineError> {
        let Some(process) = self.process().filter(Known::is_alive) else { return Ok(()) };
        // A monitor that does not answer is no reason to leave the machine running.
        let asked = self.monitor("quit", |monitor| monitor.execute(&qmp::quit {}));
        if asked.is_ok() && process.gone_within(QUIT_LIMIT).await {
            return Ok(());
        }
        if process.stop(QUIT_LIMIT).await { Ok(()) } else { Err(timed_out(self, "end of QEMU", QUIT_LIMIT)) }
    }

    /// Loads a snapshot into the running QEMU, or starts one with it.
    pub(super) fn go_back_to(&self, snapshot: &str) -> Result<(), MachineError> {
        if !self.is_on() {
            return self.start(Start::Snapshot(snapshot));
        }
        let loaded = self.human("loadvm", snapshot);
        console::begin(&self.layout.console());
        // QEMU leaves the machine stopped if there is no such snapshot, or if it was paused before.
        let resumed = self.resume();
        loaded.and(resumed)
    }

    pub(super) fn plug(&self, up: bool) -> Result<(), MachineError> {
        let command = qmp::set_link { name: arguments::NETWORK_DEVICE.to_owned(), up };
        self.monitor(&format!("set_link {up}"), |monitor| monitor.execute(&command)).map(|_| ())
    }

    pub(super) fn pause(&self) -> Result<(), MachineError> {
        self.monitor("stop", |monitor| monitor.execute(&qmp::stop {})).map(|_| ())
    }

    pub(super) fn resume(&self) -> Result<(), MachineError> {
        self.monitor("cont", |monitor| monitor.execute(&qmp::cont {})).map(|_| ())
    }

    /// Through the human monitor: with `-blockdev`'s successor the machine protocol has no command for it.
    pub(super) fn throttle(&self, bytes_per_second: Option<u32>) -> Result<(), MachineError> {
        let line =
            format!("block_set_io_throttle {} {} 0 0 0 0 0", arguments::DISK, bytes_per_second.unwrap_or(0));
        self.monitor(&line, |monitor| monitor.human(&line))
    }

    /// The name becomes part of a command line of the monitor, so it is checked first.
    pub(super) fn human(&self, command: &str, snapshot: &str) -> Result<(), MachineError> {
        let line = format!("{command} {snapshot}");
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if snapshot.is_empty() || !snapshot.chars().all(allowed) {
            return Err(MachineError::Monitor {
                name: self.state.name.clone(),
                what: line,
                source: io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "a snapshot's name has letters, digits and -",
                ),
            });
        }
        self.monitor(&line, |monitor| monitor.human(&line))
    }

    /// One conversation with QEMU. It blocks for as long as QEMU does what it is told: at most a second or two.
    fn monitor<T>(
        &self,
        what: &str,
        talk: impl FnOnce(&mut Monitor) -> io::Result<T>,
    ) -> Result<T, MachineError> {
        if !self.is_on() {
            self.check_alive()?;
        }
        let talked = Monitor::connect(&self.layout.monitor()).and_then(|mut monitor| talk(&mut monitor));
        let result = talked.map_err(monitor::in_words);
        monitor::record(&self.layout.monitor_log(), what, result.as_ref().err());
        result.map_err(|source| MachineError::Monitor {
            name: self.state.name.clone(),
            what: what.to_owned(),
            source,
        })
    }

    fn start(&self, start: Start<'_>) -> Result<(), MachineError> {
        if self.is_on() {
            return Ok(());
        }
        // Left by a QEMU that was killed; a new one would refuse the pid file only if it were locked.
        for stale in [self.layout.pid_file(), self.layout.monitor()] {
            let _ = fs::remove_file(stale);
        }
        let board = self.board()?;
        self.check_firmware(board)?;
        self.check_image()?;
        console::begin(&self.layout.console());
        let mut command = Command::new(board.program.0);
        command.args(arguments::all(board, &self.state, &self.layout, self.accelerator()?, start));
        self.tool(board.program.0, board.program.1, &mut command)
    }

    /// Over a disk that was made anew an overlay would be a mixture of two. Its host key is as old as a machine, also in a copy.
    pub(super) fn check_image(&self) -> Result<(), MachineError> {
        let image = Image::at(self.state.image.clone());
        let changed = |path: PathBuf| fs::metadata(path).and_then(|file| file.modified());
        match (changed(image.disk()), changed(self.layout.host_key())) {
            (Ok(disk), Ok(machine)) if disk <= machine => Ok(()),
            _ => Err(MachineError::Stale {
                name: self.state.name.clone(),
                image: image.directory().to_owned(),
            }),
        }
    }

    fn check_firmware(&self, board: &Board) -> Result<(), MachineError> {
        let (file, package) = arguments::UEFI_ARM64;
        if self.state.append.is_some() || board.arch == Arch::X86_64 || Path::new(file).is_file() {
            return Ok(());
        }
        Err(MachineError::Tool {
            name: self.state.name.clone(),
            tool: file.to_owned(),
            message: format!("not installed; on Debian or Ubuntu: apt-get install {package}"),
        })
    }
}

fn verdict_file() -> Option<PathBuf> {
    Cache::of_user().ok().map(|cache| cache.directory().join("accelerator"))
}

fn port_is_free(port: u16) -> bool {
    port != 0 && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Layout, State};
    use super::*;
    use std::fs::File;
    use std::time::SystemTime;

    #[test]
    fn a_machine_does_not_start_over_an_image_that_is_gone_or_younger_than_itself() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().join("machine"));
        let state = State { image: directory.path().join("image"), ..State::example() };
        let disk = state.image.join("disk.qcow2");
        let machine = Qemu { layout, state };
        fs::create_dir(directory.path().join("machine")).unwrap();
        fs::write(machine.layout.host_key(), "").unwrap();
        assert!(matches!(machine.check_image(), Err(MachineError::Stale { .. })));
        fs::create_dir(directory.path().join("image")).unwrap();
        let file = File::create(&disk).unwrap();
        let minute = Duration::from_mins(1);
        for (made, fits) in [(SystemTime::now() - minute, true), (SystemTime::now() + minute, false)] {
            file.set_modified(made).unwrap();
            assert_eq!(machine.check_image().is_ok(), fits);
        }
    }
}
