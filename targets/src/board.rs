//! The machines that QEMU emulates: what each needs on its command line. Rows of a table like everything else here;
//! the images' recipes name one, and whoever starts QEMU reads it.

use crate::Arch;

/// How a board's disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskPort {
    /// `virtio-blk-pci`.
    VirtioPci,
    /// `virtio-blk-device`, memory-mapped.
    VirtioMmio,
    /// The board's own SD card slot; the card's size must be a power of two.
    Sd,
}

/// How a board gets its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkPort {
    /// `virtio-net-pci`.
    VirtioPci,
    /// `virtio-net-device`, memory-mapped.
    VirtioMmio,
    /// `usb-net` on the board's USB controller. It cannot be part of a snapshot.
    Usb,
}

/// A machine of QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Board {
    /// The name that recipes use.
    pub name: &'static str,
    /// The architecture of its processor. A userland may be narrower.
    pub arch: Arch,
    /// QEMU's program, and the package of Debian that has it.
    pub program: (&'static str, &'static str),
    /// Argument of `-M`.
    pub machine: &'static str,
    /// Argument of `-cpu` under translation; boards with one processor type need none.
    pub cpu: Option<&'static str>,
    /// Argument of `-accel` under translation.
    pub translation: &'static str,
    /// Further arguments.
    pub more: &'static [&'static str],
    /// Processors.
    pub cpus: u8,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Where the disk goes.
    pub disk: DiskPort,
    /// Where the network goes.
    pub network: NetworkPort,
    /// The kernel's name of the serial port that is its console.
    pub console: &'static str,
}

/// Translated code may take a gigabyte if it is not bounded.
const MANY_THREADS: &str = "tcg,thread=multi,tb-size=256";
const QEMU_X86: (&str, &str) = ("qemu-system-x86_64", "qemu-system-x86");
const QEMU_ARM64: (&str, &str) = ("qemu-system-aarch64", "qemu-system-arm");
const QEMU_ARM: (&str, &str) = ("qemu-system-arm", "qemu-system-arm");

/// Every board.
pub const BOARDS: [Board; 5] = [
    Board {
        name: "pc",
        arch: Arch::X86_64,
        program: QEMU_X86,
        machine: "q35",
        // Each later instruction set is translated too: `max` costs a fifth more.
        cpu: Some("Nehalem"),
        translation: MANY_THREADS,
        more: &[],
        cpus: 2,
        memory_mib: 512,
        disk: DiskPort::VirtioPci,
        network: NetworkPort::VirtioPci,
        console: "ttyS0",
    },
    Board {
        name: "virt-aarch64",
        arch: Arch::Aarch64,
        program: QEMU_ARM64,
        machine: "virt",
        cpu: Some("cortex-a72"),
        translation: MANY_THREADS,
        more: &[],
        cpus: 2,
        memory_mib: 768,
        disk: DiskPort::VirtioMmio,
        network: NetworkPort::VirtioMmio,
        console: "ttyAMA0",
    },
    Board {
        name: "virt-armv7",
        arch: Arch::Armv7,
        program: QEMU_ARM,
        machine: "virt",
        cpu: Some("cortex-a15"),
        translation: MANY_THREADS,
        more: &[],
        cpus: 2,
        memory_mib: 512,
        disk: DiskPort::VirtioMmio,
        network: NetworkPort::VirtioMmio,
        console: "ttyAMA0",
    },
    Board {
        name: "raspi3b",
        arch: Arch::Aarch64,
        program: QEMU_ARM64,
        machine: "raspi3b",
        cpu: None,
        // With several threads, or without a clock that follows the instructions, the SD card's driver oopses under load.
        translation: "tcg,thread=single",
        more: &["-icount", "shift=4"],
        cpus: 4,
        memory_mib: 1024,
        disk: DiskPort::Sd,
        network: NetworkPort::Usb,
        console: "ttyAMA0",
    },
    Board {
        name: "raspi2b",
        arch: Arch::Armv7,
        program: QEMU_ARM,
        machine: "raspi2b",
        cpu: None,
        translation: "tcg,thread=single",
        more: &["-icount", "shift=4"],
        cpus: 4,
        memory_mib: 1024,
        disk: DiskPort::Sd,
        network: NetworkPort::Usb,
        console: "ttyAMA0",
    },
];

impl Board {
    /// Whether its clock goes by the instructions that it executes: behind ours, when there are more than the emulation manages.
    #[must_use]
    pub fn counts_instructions(&self) -> bool {
        self.more.contains(&"-icount")
    }

    /// The board of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        BOARDS.iter().find(|board| board.name == name)
    }

    /// Can memory and devices be saved and loaded again?
    #[must_use]
    pub fn has_snapshots(&self) -> bool {
        self.network != NetworkPort::Usb
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_board_is_found_by_its_name_and_no_name_is_twice() {
        for (at, board) in BOARDS.iter().enumerate() {
            let found = BOARDS.iter().position(|other| other.name == board.name);
            assert_eq!(found, Some(at));
            assert_eq!(Board::named(board.name), Some(board));
        }
        assert_eq!(Board::named("beagle"), None);
    }

    #[test]
    fn a_pi_has_its_own_slots_and_no_snapshots() {
        for board in BOARDS {
            let pi = board.machine.starts_with("raspi");
            assert_eq!((board.disk == DiskPort::Sd, board.has_snapshots()), (pi, !pi), "{}", board.name);
        }
    }
}
