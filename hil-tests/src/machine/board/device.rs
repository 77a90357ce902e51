//! What keeps a wrong line in a board's file from costing this computer its disk: a device that it uses is never overwritten.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

/// Something that this computer uses: a device's numbers as `8:1`, and what for.
type Use = (String, String);

/// An error if the device, or a part of it, is mounted, swap space, or below another device. A file may always be written.
pub(super) fn refuse_used(device: &Path) -> io::Result<()> {
    let Some(numbers) = numbers(device)? else { return Ok(()) };
    let disk = fs::canonicalize(Path::new("/sys/dev/block").join(numbers))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    match use_of(&disk, &uses(&mounts, &swaps)) {
        None => Ok(()),
        Some(what) => Err(io::Error::other(format!(
            "this computer uses it: {what}; name the reader of the board's card, and let nothing mount the card here"
        ))),
    }
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
    use super::*;

    const MOUNTS: &str =
        "22 1 0:20 / /proc rw - proc proc rw\n30 1 8:2 / / rw,noatime shared:1 - ext4 /dev/root rw\n";

    /// A disk with two partitions, in a sysfs of its own.
    fn disk(root: &Path, number: &str) -> PathBuf {
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
        let used = use_of(&disk(root.path(), "8"), &uses(MOUNTS, ""));
        assert_eq!(used.as_deref(), Some("sda2 is mounted at /"));
        assert_eq!(use_of(&disk(root.path(), "9"), &uses(MOUNTS, "")), None);
    }

    #[test]
    fn a_disk_below_another_device_or_with_swap_space_is_used() {
        let root = tempfile::tempdir().unwrap();
        let disk = disk(root.path(), "8");
        let swap = [("8:1".to_owned(), "is swap space".to_owned())];
        assert_eq!(use_of(&disk, &swap).as_deref(), Some("sda1 is swap space"));
        fs::write(disk.join("sda2/holders/dm-0"), "").unwrap();
        assert_eq!(use_of(&disk, &[]).as_deref(), Some("sda2 is part of dm-0"));
    }

    #[test]
    fn a_file_may_be_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        refuse_used(file.path()).unwrap();
    }
}
