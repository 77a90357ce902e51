//! What tests do to a machine beside switching it: network loss, hanging, snapshots.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use qapi::qmp;

use super::arguments::NETWORK_DEVICE;
use super::monitor::Monitor;
use super::{Machine, MachineError};

impl Machine {
    /// Plugs its network cable in, or pulls it.
    pub fn set_link(&self, up: bool) -> Result<(), MachineError> {
        let command = qmp::set_link { name: NETWORK_DEVICE.to_owned(), up };
        self.monitor("set_link", |monitor| monitor.execute(&command)).map(|_| ())
    }

    /// Stops its processors: a host that hangs.
    pub fn pause(&self) -> Result<(), MachineError> {
        self.monitor("stop", |monitor| monitor.execute(&qmp::stop {})).map(|_| ())
    }

    /// Lets its processors go on.
    pub fn resume(&self) -> Result<(), MachineError> {
        self.monitor("cont", |monitor| monitor.execute(&qmp::cont {})).map(|_| ())
    }

    /// Saves memory and disk under a name: letters, digits and `-`.
    pub fn save(&self, snapshot: &str) -> Result<(), MachineError> {
        self.human("savevm", snapshot)
    }

    /// Goes back to a snapshot, and waits until a login works and the clock is right.
    pub fn restore(&self, snapshot: &str, limit: Duration) -> Result<(), MachineError> {
        let loaded = self.human("loadvm", snapshot);
        // QEMU leaves the machine stopped if there is no such snapshot, or if it was paused before.
        let resumed = self.resume();
        loaded.and(resumed)?;
        self.wait_for(limit, Self::set_clock)
    }

    /// Sets the guest's clock to the controller's. A restored guest stands at its snapshot, and every signature it
    /// makes would be refused. It is late by what a login takes: a second, on a busy machine some.
    pub fn set_clock(&self) -> Result<(), MachineError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = format!("@{}.{:03}", now.as_secs(), now.subsec_millis());
        let set = self.ssh("root").run(&["date", "--utc", "--set", &time]);
        set.map(|_| ()).map_err(|source| MachineError::Ssh { name: self.name().to_owned(), source })
    }

    /// One conversation with QEMU.
    pub(super) fn monitor<T>(
        &self,
        what: &str,
        talk: impl FnOnce(&mut Monitor) -> io::Result<T>,
    ) -> Result<T, MachineError> {
        if !self.is_running() {
            return Err(self.dead());
        }
        Monitor::connect(&self.layout.monitor()).and_then(|mut monitor| talk(&mut monitor)).map_err(
            |source| MachineError::Monitor { name: self.name().to_owned(), what: what.to_owned(), source },
        )
    }

    /// The name becomes part of a command line of the monitor, so it is checked first.
    fn human(&self, command: &str, snapshot: &str) -> Result<(), MachineError> {
        let line = format!("{command} {snapshot}");
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if snapshot.is_empty() || !snapshot.chars().all(allowed) {
            return Err(MachineError::Monitor {
                name: self.name().to_owned(),
                what: line,
                source: io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "a snapshot's name has letters, digits and -",
                ),
            });
        }
        self.monitor(&line, |monitor| monitor.human(&line))
    }
}
