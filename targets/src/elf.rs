//! Which architecture a program was built for, read from its ELF header. Pure: it is given bytes, so that packages,
//! images and downloads are judged by the same few lines.

use crate::arch::{Arch, ROWS};

/// How an architecture's programs are marked: word size and `e_machine`, both of which tell the x86 ones apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elf {
    /// 32 or 64.
    pub bits: u8,
    /// `e_machine`, as `elf.h` numbers it.
    pub machine: u16,
}

/// Why a program's architecture cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// A script, a damaged file, or a program of another system.
    #[error("it is no little-endian ELF program")]
    NotElf,
    /// A Linux program of a machine that no row has.
    #[error("it is a {bits}-bit ELF program for machine {machine}, which the agent is not built for")]
    UnknownMachine {
        /// 32 or 64.
        bits: u8,
        /// `e_machine`.
        machine: u16,
    },
}

impl Arch {
    /// The architecture of a program, from its first 20 bytes.
    pub fn from_elf(program: &[u8]) -> Result<Self, NotOurs> {
        let Elf { bits, machine } = Elf::read(program).ok_or(NotOurs::NotElf)?;
        ROWS.iter()
            .find(|row| row.elf == Elf { bits, machine })
            .map(|row| row.arch)
            .ok_or(NotOurs::UnknownMachine { bits, machine })
    }
}

impl Elf {
    /// Magic, class and byte order come first in every ELF file; type and machine follow after 16 bytes.
    fn read(program: &[u8]) -> Option<Self> {
        let [0x7f, b'E', b'L', b'F', class, little_endian, rest @ ..] = program else { return None };
        let bits = match (class, little_endian) {
            (1, 1) => 32,
            (2, 1) => 64,
            _ => return None,
        };
        let machine = rest.get(12..14)?.try_into().ok()?;
        Some(Self { bits, machine: u16::from_le_bytes(machine) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of a program, with the numbers written as in the ELF specification's tables.
    fn header(class: u8, order: u8, machine: u16) -> Vec<u8> {
        let mut bytes = b"\x7fELF".to_vec();
        bytes.extend([class, order, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0]);
        bytes.extend(machine.to_le_bytes());
        bytes
    }

    #[test]
    fn every_architecture_is_known_by_the_numbers_of_the_elf_specification() {
        let (em_386, em_arm, em_x86_64, em_aarch64) = (3, 40, 62, 183);
        assert_eq!(Arch::from_elf(&header(2, 1, em_x86_64)), Ok(Arch::X86_64));
        assert_eq!(Arch::from_elf(&header(2, 1, em_aarch64)), Ok(Arch::Aarch64));
        assert_eq!(Arch::from_elf(&header(1, 1, em_arm)), Ok(Arch::Armv7));
        assert_eq!(Arch::from_elf(&header(1, 1, em_386)), Ok(Arch::I386));
    }

    #[test]
    fn this_test_knows_its_own_architecture() {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(Arch::from_elf(&program).ok(), Arch::of_this_build());
    }

    #[test]
    fn machines_without_an_agent_are_named_by_number() {
        let (em_riscv, em_x86_64) = (243, 62);
        assert_eq!(
            Arch::from_elf(&header(2, 1, em_riscv)),
            Err(NotOurs::UnknownMachine { bits: 64, machine: em_riscv })
        );
        // The x32 ABI: a 32-bit program for a 64-bit machine.
        assert!(Arch::from_elf(&header(1, 1, em_x86_64)).is_err());
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let whole = header(2, 1, 62);
        for length in 0..whole.len() {
            assert_eq!(Arch::from_elf(&whole[..length]), Err(NotOurs::NotElf), "{length} bytes");
        }
        assert_eq!(Arch::from_elf(b"#!/bin/sh\necho a long enough script\n"), Err(NotOurs::NotElf));
        assert_eq!(Arch::from_elf(&header(2, 2, 62)), Err(NotOurs::NotElf), "big-endian");
    }
}
