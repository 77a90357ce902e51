//! Hosts that forget: what is done on them lasts until their next boot. A warning and no refusal, since a fleet without disks
//! may want it so.

use crate::{
    actions::Action,
    facts::{Facts, Memory},
};

/// What the operator must know of a host before these actions, if it forgets them.
#[must_use]
pub fn forgets(facts: &Facts, actions: &[Action]) -> Option<String> {
    let lasts = |action: &Action| !matches!(action, Action::Tag(_) | Action::Tidy(_) | Action::Start(_));
    let memory = facts.memory.filter(|_| actions.iter().any(lasts))?;
    let (place, remedy) = match memory {
        Memory::FileSystem => {
            ("/var/lib/amazon/ssm lies in memory", "if it shall stay one node, put that directory on a disk")
        }
        Memory::Overlay => (
            "its disk is under an overlay in memory",
            "switch the overlay off, run again, then switch it on (`raspi-config`; with overlayroot, in /etc/overlayroot.conf by `overlayroot-chroot`; a reboot each)",
        ),
    };
    Some(format!(
        "{place}: at its next boot what is done now is gone, and the run after that makes another node of it; {remedy}"
    ))
}
