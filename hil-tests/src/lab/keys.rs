//! The lab key pair, and the file in which the guests' own keys are known before they boot.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::paths::Paths;
use crate::machine::Machine;
use crate::machine::qemu::Qemu;

/// Makes the lab key pair unless it is there.
pub(super) fn make(paths: &Paths) -> Result<()> {
    let identity = paths.identity();
    if identity.is_file() && identity.with_added_extension("pub").is_file() {
        return Ok(());
    }
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "bootstrap-lab", "-f"]).arg(&identity);
    let output = command
        .output()
        .context("ssh-keygen can't be run; on Debian or Ubuntu: apt-get install openssh-client")?;
    if !output.status.success() {
        bail!("ssh-keygen failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Writes `known_hosts` for all machines.
pub(super) fn write_known_hosts<'a>(paths: &Paths, machines: impl Iterator<Item = &'a Qemu>) -> Result<()> {
    let mut text = String::new();
    for machine in machines {
        text.push_str(&known_hosts_line(machine.ssh_port(), &machine.host_key()?));
    }
    let path = paths.known_hosts();
    crate::private_file::write(&path, &text).with_context(|| format!("can't write {}", path.display()))
}

fn known_hosts_line(port: u16, key: &str) -> String {
    format!("[127.0.0.1]:{port} {key}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openssh_finds_the_line_under_the_guests_port() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
        std::fs::write(file.path(), known_hosts_line(40022, key)).unwrap();
        let found = |name: &str| {
            let output =
                Command::new("ssh-keygen").args(["-F", name, "-f"]).arg(file.path()).output().unwrap();
            output.status.success()
        };
        assert!(found("[127.0.0.1]:40022"));
        assert!(!found("[127.0.0.1]:40023"));
    }
}
