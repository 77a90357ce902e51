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
    /// It is on, and its kernel has given up.
    pub dead: bool,
}

impl Status {
    pub(super) fn new(endpoint: Option<Endpoint>, machines: Vec<Qemu>, paths: Paths) -> Self {
        let guest = |machine: Qemu| {
            let pid = machine.pid();
            GuestStatus { dead: pid.is_some() && machine.check_alive().is_err(), pid, machine }
        };
        Self { paths, endpoint, guests: machines.into_iter().map(guest).collect() }
    }

    /// Is everything up that there is?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.endpoint.is_some()
            && !self.guests.is_empty()
            && self.guests.iter().all(|guest| guest.pid.is_some() && !guest.dead)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Some(endpoint) => writeln!(f, "endpoint  up    {}  pid {}", endpoint.url, endpoint.pid())?,
            None => writeln!(f, "endpoint  down")?,
        }
        for GuestStatus { machine, pid, dead } in &self.guests {
            let port = machine.ssh_port();
            match pid {
                Some(pid) if *dead => writeln!(
                    f,
                    "{:<9} dead  ssh port {port}  pid {pid}; `hil lab down --cut` and `hil lab up` boot it again",
                    machine.name()
                )?,
                Some(pid) => writeln!(f, "{:<9} up    ssh port {port}  pid {pid}", machine.name())?,
                None => writeln!(f, "{:<9} down  ssh port {port}", machine.name())?,
            }
        }
        write!(f, "inventory       {}", self.paths.inventory().display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Known;
    use crate::wait::Deadline;

    #[tokio::test]
    async fn a_guest_whose_kernel_has_given_up_is_not_up() {
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::new(directory.path()).unwrap();
        let guest = paths.guest("deb-1");
        std::fs::create_dir_all(&guest).unwrap();
        let state = r#"{"schema": 2, "name": "deb-1", "image": "/image", "board": "pc", "append": null,
            "ssh_port": 40022, "identity": "/id", "known_hosts": "/known_hosts"}"#;
        std::fs::write(guest.join("machine.json"), state).unwrap();
        // A stand-in for QEMU: any process with the pid file as a word of its command line.
        let mark = guest.join("pid");
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read line", "sh"])
            .arg(&mark)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::fs::write(&mark, child.id().to_string()).unwrap();
        // Right after its start a process has no command line for a moment.
        let known = Known { pid: child.id().cast_signed(), mark: mark.to_string_lossy().into_owned() };
        let deadline = Deadline::after(std::time::Duration::from_secs(20));
        while !known.is_alive() && deadline.pause(std::time::Duration::from_millis(1)).await {}
        let status = || {
            let machine = Qemu::open(&guest).unwrap().unwrap();
            Status::new(None, vec![machine], paths.clone()).to_string()
        };
        assert!(status().contains("deb-1     up "), "{}", status());
        std::fs::write(guest.join("console.log"), "---[ end Kernel panic - not syncing ]---\n").unwrap();
        assert!(
            status().contains("deb-1     dead ") && status().contains("hil lab down --cut"),
            "{}",
            status()
        );
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
