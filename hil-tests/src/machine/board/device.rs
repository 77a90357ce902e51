//! What keeps a wrong line in a board's file from costing this computer its disk: only a card or a stick is overwritten, and
//! none that this computer uses.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, major, minor};

/// Something that this computer uses: a device's numbers as `8:1`, and what for.
type Use = (String, String);

/// Opens a device for writing, claimed: the kernel grants that to nobody who mounts it, in whatever namespace, builds on it or
/// claims a part of it, neither now nor while it is open. A regular file may always be written.
pub(super) fn open(device: &Path) -> io::Result<fs::File> {
    let kind = fs::metadata(device)?.file_type();
    // The flash of a router is a device of characters.
    if !kind.is_block_device() && !kind.is_file() {
        return Err(io::Error::other("it is neither a disk nor a file; name the reader of the board's card"));
    }
    let disk = disk(device)?;
    if let Some(disk) = &disk {
        refuse_used(disk)?;
        refuse_fixed(disk)?;
    }
    // For anything but a device the flag means nothing without O_CREAT.
    let claimed = OFlags::EXCL.bits().cast_signed();
    let opened = fs::OpenOptions::new().write(true).custom_flags(claimed).open(device);
    match (opened, &disk) {
        (Err(error), Some(disk)) if error.kind() == io::ErrorKind::ResourceBusy => {
            refuse_used(disk)?;
            Err(used("it, its disk or a part of it is claimed, by a mount elsewhere, a pool or a program"))
        }
        (opened, _) => opened,
    }
}

/// An error if the device, or a part of it, is mounted, swap space, or below another device, as far as can be seen from here.
fn refuse_used(disk: &Path) -> io::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    use_of(disk, &uses(&mounts, &swaps)).map_or(Ok(()), |what| Err(used(&what)))
}

fn used(what: &str) -> io::Error {
    io::Error::other(format!(
        "this computer uses it: {what}; name the reader of the board's card, and let nothing mount the card here"
    ))
}

/// An error unless it can be pulled out of this computer, or is a file behind a loop device.
fn refuse_fixed(disk: &Path) -> io::Result<()> {
    let is_part = disk.join("partition").is_file();
    let whole = disk.parent().filter(|_| is_part).unwrap_or(disk);
    let removable = fs::read_to_string(whole.join("removable")).is_ok_and(|text| text.trim() == "1");
    // A stick may say that it is fixed, and a card in a slot of its own always does, as does the soldered flash beside it.
    let plugged = whole.iter().any(|part| {
        let number = part.to_str().and_then(|part| part.strip_prefix("usb"));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let card = fs::read_to_string(whole.join("device/type")).is_ok_and(|text| text.trim() == "SD");
    if removable || plugged || card || whole.join("loop").is_dir() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "it is a fixed disk: neither removable nor an SD card nor of USB ({}); name the reader of the board's card",
        whole.display()
    )))
}

/// The directory in sysfs, if it is a block device.
fn disk(device: &Path) -> io::Result<Option<PathBuf>> {
    let numbers = numbers(device)?;
    numbers.map(|numbers| fs::canonicalize(Path::new("/sys/dev/block").join(numbers))).transpose()
}

/// `8:0`, if it is a block device.
fn numbers(path: &Path) -> io::Result<Option<String>> {
    let metadata = fs::metadata(path)?;
    let numbers = || format!("{}:{}", major(metadata.rdev()), minor(metadata.rdev()));
    Ok(metadata.file_type().is_block_device().then(numbers))
}

/// By the numbers that the kernel tells, and by the source, since btrfs has numbers of its own.
fn uses(mountinfo: &str, swaps: &str) -> Vec<Use> {
    let of_path = |path: &str| numbers(Path::new(path)).ok().flatten();
    let mut uses = Vec::new();
    for line in mountinfo.lines() {
        let (head, tail) = line.split_once(" - ").unwrap_or((line, ""));
        let mut fields = head.split(' ').skip(2);
        let (Some(numbers), Some(at)) = (fields.next(), fields.nth(1)) else { continue };
        let what = format!("is mounted at {at}");
        uses.extend(tail.split(' ').nth(1).and_then(of_path).map(|numbers| (numbers, what.clone())));
        uses.push((numbers.to_owned(), what));
    }
    let swaps = swaps.lines().skip(1).filter_map(|line| of_path(line.split(' ').next()?));
    uses.extend(swaps.map(|numbers| (numbers, "is swap space".to_owned())));
    uses
}

/// What a disk, or the first of its partitions that is used, is used for. `disk` is its directory in sysfs.
fn use_of(disk: &Path, uses: &[Use]) -> Option<String> {
    let entries = fs::read_dir(disk).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut parts: Vec<PathBuf> = entries.filter(|path| path.join("partition").is_file()).collect();
    parts.sort();
    parts.push(disk.to_owned());
    parts.iter().find_map(|part| {
        let name = part.file_name().unwrap_or_default().to_string_lossy();
        let numbers = fs::read_to_string(part.join("dev")).unwrap_or_default();
        if let Some((_, what)) = uses.iter().find(|(used, _)| used == numbers.trim()) {
            return Some(format!("{name} {what}"));
        }
        let holder = fs::read_dir(part.join("holders")).ok()?.flatten().next()?;
        Some(format!("{name} is part of {}", holder.file_name().to_string_lossy()))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::Command;

    use futures_util::FutureExt as _;

    use super::super::{PIECE, copy_flushed};
    use super::*;

    const MOUNTS: &str =
        "22 1 0:20 / /proc rw - proc proc rw\n30 1 8:2 / / rw,noatime shared:1 - ext4 /dev/root rw\n";

    /// A disk with two partitions, in a sysfs of its own.
    fn disk_in(root: &Path, number: &str) -> PathBuf {
        let disk = root.join("sda");
        for (directory, dev) in [("", "0"), ("sda1", "1"), ("sda2", "2")] {
            fs::create_dir_all(disk.join(directory).join("holders")).unwrap();
            fs::write(disk.join(directory).join("dev"), format!("{number}:{dev}\n")).unwrap();
        }
        for part in ["sda1", "sda2"] {
            fs::write(disk.join(part).join("partition"), "1\n").unwrap();
        }
        disk
    }

    #[test]
    fn a_disk_of_which_a_partition_is_mounted_is_used() {
        let root = tempfile::tempdir().unwrap();
        let used = use_of(&disk_in(root.path(), "8"), &uses(MOUNTS, ""));
        assert_eq!(used.as_deref(), Some("sda2 is mounted at /"));
        assert_eq!(use_of(&disk_in(root.path(), "9"), &uses(MOUNTS, "")), None);
    }

    #[test]
    fn a_disk_below_another_device_or_with_swap_space_is_used() {
        let root = tempfile::tempdir().unwrap();
        let disk = disk_in(root.path(), "8");
        let swap = [("8:1".to_owned(), "is swap space".to_owned())];
        assert_eq!(use_of(&disk, &swap).as_deref(), Some("sda1 is swap space"));
        fs::write(disk.join("sda2/holders/dm-0"), "").unwrap();
        assert_eq!(use_of(&disk, &[]).as_deref(), Some("sda2 is part of dm-0"));
    }

    #[test]
    fn a_disk_that_can_not_be_pulled_out_is_refused_and_so_is_a_part_of_it() {
        let root = tempfile::tempdir().unwrap();
        for (place, removable, kind, expected) in [
            ("pci0000:00/ata1/host0/block", "0", "0", false),
            ("pci0000:00/nvme0/mmc/usb", "0", "", false),
            ("pci0000:00/ata2/host1/block", "1", "0", true),
            ("pci0000:00/usb1/1-1/host2/block", "0", "0", true),
            ("soc/mmc_host/mmc0/mmc0:0001/block", "0", "SD", true),
            ("soc/mmc_host/mmc1/mmc1:0001/block", "0", "MMC", false),
        ] {
            let disk = disk_in(&root.path().join(place), "8");
            fs::create_dir(disk.join("device")).unwrap();
            for (file, text) in [("removable", removable), ("device/type", kind)] {
                fs::write(disk.join(file), format!("{text}\n")).unwrap();
            }
            for part in [disk.join("sda1"), disk] {
                let answer = refuse_fixed(&part);
                assert_eq!(answer.is_ok(), expected, "{answer:?}");
                assert!(answer.is_ok() || answer.unwrap_err().to_string().contains("fixed disk"));
            }
        }
    }

    /// A loop device, ended with the test.
    struct Loop(PathBuf);

    impl Loop {
        /// `None` where this user or this computer has none to give.
        fn of(file: &Path) -> Option<Self> {
            let output = Command::new("losetup").args(["--find", "--show"]).arg(file).output().ok()?;
            let path = String::from_utf8(output.stdout).ok()?.trim().to_owned();
            output.status.success().then(|| Self(path.into()))
        }
    }

    impl Drop for Loop {
        fn drop(&mut self) {
            let _ = Command::new("losetup").arg("--detach").arg(&self.0).status();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_device_that_somebody_has_claimed_is_refused_also_if_that_can_not_be_seen_and_a_free_one_is_written()
     {
        let card = tempfile::NamedTempFile::new().unwrap();
        card.as_file().set_len(1 << 20).unwrap();
        let Some(device) = Loop::of(card.path()) else {
            // Past the test's own capture: that it has shown nothing must be seen.
            let _ = writeln!(io::stderr(), "skipped: no loop device is to be had here, so none was claimed");
            return;
        };
        let image = tempfile::NamedTempFile::new().unwrap();
        fs::write(image.path(), "image").unwrap();
        // What a mount in another namespace, a pool of ZFS or a second device of btrfs is to the kernel.
        let claim = open(&device.0).unwrap();
        let error = copy_flushed(image.path(), &device.0).await.unwrap_err().to_string();
        assert!(error.starts_with("this computer uses it: "), "{error}");
        drop(claim);
        copy_flushed(image.path(), &device.0).await.unwrap();
        assert!(fs::read(card.path()).unwrap().starts_with(b"image\0"));
    }

    #[test]
    fn what_is_neither_a_disk_nor_a_file_is_refused() {
        let error = open(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(error.starts_with("it is neither a disk nor a file"), "{error}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_may_be_written_and_who_stops_that_waits_for_one_piece_only() {
        let (file, image) =
            (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let text = "image".repeat(usize::try_from(PIECE).unwrap() / 4);
        fs::write(image.path(), &text).unwrap();
        let mut copying = Box::pin(copy_flushed(image.path(), file.path()));
        assert!(copying.as_mut().now_or_never().is_none());
        drop(copying);
        assert_eq!(fs::metadata(file.path()).unwrap().len(), PIECE);
        copy_flushed(image.path(), file.path()).await.unwrap();
        assert!(fs::read(file.path()).unwrap() == text.as_bytes());
    }
}
