//! Which accelerator QEMU uses. KVM only if it has just proved itself: a `/dev/kvm` that opens may be software
//! virtualisation under which a stock kernel never leaves early boot.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use images::Image;

use super::QEMU;
use crate::wait;

/// A kernel and its initrd are through in under a second where KVM is real.
const PROOF_LIMIT: Duration = Duration::from_secs(8);

/// What runs a guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// Translation in QEMU; works everywhere.
    Tcg,
    /// The host's processor.
    Kvm,
}

impl Accelerator {
    /// Asks the verdict in `memory`, which holds until the host reboots; else boots the image's kernel under KVM.
    pub(super) fn choose(image: &Image, memory: &Path) -> Self {
        if fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
            return Self::Tcg;
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let remembered = fs::read_to_string(memory).unwrap_or_default();
        if let Some(verdict) = remembered.strip_prefix(boot.trim()).and_then(|rest| Self::parse(rest.trim()))
        {
            return verdict;
        }
        let verdict = if proves_itself(image) { Self::Kvm } else { Self::Tcg };
        // A verdict that is not remembered is only asked for again.
        let _ = fs::write(memory, format!("{} {}\n", boot.trim(), verdict.word()));
        verdict
    }

    /// Its name in QEMU.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Tcg, Self::Kvm].into_iter().find(|known| known.word() == word)
    }
}

/// Boots kernel and initrd, which switch off at once because of `bootstrap.probe`.
fn proves_itself(image: &Image) -> bool {
    let mut command = Command::new(QEMU);
    command.args([
        "-no-user-config",
        "-nodefaults",
        "-M",
        "q35",
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-m",
        "256",
    ]);
    command.args(["-display", "none", "-append", "bootstrap.probe", "-kernel"]).arg(image.kernel());
    command.arg("-initrd").arg(image.initrd());
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = quiet.spawn() else { return false };
    let status = wait::until(PROOF_LIMIT, Duration::from_millis(20), || child.try_wait());
    if let Ok(Some(status)) = status {
        return status.success();
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}
