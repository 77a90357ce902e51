//! The lab key pair, and the file in which the guests' own keys are known before they boot.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::paths::Paths;
use crate::machine::Machine;
use crate::machine::qemu::Qemu;
use crate::ssh::known_hosts_line;

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
        text.push_str(&known_hosts_line("127.0.0.1", machine.ssh_port(), &machine.host_key()?));
    }
    let path = paths.known_hosts();
    crate::private_file::write(&path, &text).with_context(|| format!("can't write {}", path.display()))
}
