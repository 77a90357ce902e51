//! What is up and what is not, as a value and as lines for humans.

use std::fmt;

use super::endpoint::Endpoint;
use super::paths::Paths;
use crate::machine::Machine as _;
use crate::machine::qemu::Qemu;

/// A lab, seen from outside.
#[derive(Debug)]
pub struct Status {
    /// Its files.
    pub paths: Paths,
    /// Its endpoint, if it runs.
    pub endpoint: Option<Endpoint>,
    /// Its guests.
    pub guests: Vec<GuestStatus>,
}

/// A guest, seen from outside.
#[derive(Debug)]
pub struct GuestStatus {
    /// The machine.
    pub machine: Qemu,
    /// Pid of its QEMU, if it is on.
    pub pid: Option<i32>,
}

impl Status {
    pub(super) fn new(endpoint: Option<Endpoint>, machines: Vec<Qemu>, paths: Paths) -> Self {
        let guests =
            machines.into_iter().map(|machine| GuestStatus { pid: machine.pid(), machine }).collect();
        Self { paths, endpoint, guests }
    }

    /// Is everything up that there is?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.endpoint.is_some()
            && !self.guests.is_empty()
            && self.guests.iter().all(|guest| guest.pid.is_some())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Some(endpoint) => writeln!(f, "endpoint  up    {}  pid {}", endpoint.url, endpoint.pid())?,
            None => writeln!(f, "endpoint  down")?,
        }
        for GuestStatus { machine, pid } in &self.guests {
            let port = machine.ssh_port();
            match pid {
                Some(pid) => writeln!(f, "{:<9} up    ssh port {port}  pid {pid}", machine.name())?,
                None => writeln!(f, "{:<9} down  ssh port {port}", machine.name())?,
            }
        }
        write!(f, "inventory       {}", self.paths.inventory().display())
    }
}
