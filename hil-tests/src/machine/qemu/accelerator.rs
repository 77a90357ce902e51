//! Which accelerator QEMU uses. KVM only if it has just proved itself: a `/dev/kvm` that opens may be software
//! virtualisation under which a stock kernel never leaves early boot.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use images::Image;
use targets::{Arch, Board};

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
    pub(super) fn choose(board: &Board, image: &Image, memory: &Path) -> Self {
        let own = Arch::of_this_build() == Some(board.arch) && board.cpu.is_some();
        if !own || fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
            return Self::Tcg;
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let remembered = fs::read_to_string(memory).unwrap_or_default();
        if let Some(verdict) = remembered.strip_prefix(boot.trim()).and_then(|rest| Self::parse(rest.trim()))
        {
            return verdict;
        }
        // A ready-made image has no kernel that could be asked to switch off.
        if !image.kernel().is_file() {
            return Self::Tcg;
        }
        let verdict = if proves_itself(board, image) { Self::Kvm } else { Self::Tcg };
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
fn proves_itself(board: &Board, image: &Image) -> bool {
    let mut command = Command::new(board.program.0);
    command.args(["-no-user-config", "-nodefaults", "-M", board.machine, "-accel", "kvm", "-cpu", "host"]);
    command
        .args(["-m", "256", "-display", "none", "-append", "bootstrap.probe", "-kernel"])
        .arg(image.kernel());
    command.arg("-initrd").arg(image.initrd());
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = quiet.spawn() else { return false };
    let begin = Instant::now();
    while begin.elapsed() < PROOF_LIMIT {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => pause(),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

#[expect(clippy::disallowed_methods, reason = "once after a reboot, and nothing else can go on before it")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_board_is_never_accelerated() {
        let foreign = targets::BOARDS.iter().find(|board| Some(board.arch) != Arch::of_this_build()).unwrap();
        let image = Image::at("/nonexistent".into());
        assert_eq!(Accelerator::choose(foreign, &image, Path::new("/nonexistent/verdict")), Accelerator::Tcg);
    }

    #[test]
    fn a_verdict_of_this_boot_is_believed_and_one_of_another_boot_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let memory = directory.path().join("accelerator");
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let image = Image::at("/nonexistent".into());
        let board = Board::named("pc").unwrap();
        fs::write(&memory, format!("{} kvm\n", boot.trim())).unwrap();
        let opens = fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
        let expected =
            if opens && cfg!(target_arch = "x86_64") { Accelerator::Kvm } else { Accelerator::Tcg };
        assert_eq!(Accelerator::choose(board, &image, &memory), expected);
        fs::write(&memory, "another-boot kvm\n").unwrap();
        // Without a kernel nothing proves itself, and nothing is proved of the computer.
        assert_eq!(Accelerator::choose(board, &image, &memory), Accelerator::Tcg);
        assert_eq!(fs::read_to_string(&memory).unwrap(), "another-boot kvm\n");
    }
}
