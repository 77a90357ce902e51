//! The kinds of machines that scenarios run on: a name, and the recipe of its image. What the recipe's board needs is the
//! table of `targets`; a real board is one of these kinds too, by its file.

use targets::{Arch, PackageFormat};

/// A kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// What `--machine` takes.
    pub name: &'static str,
    /// In a few words.
    pub summary: &'static str,
    /// The recipe of its image.
    pub recipe: &'static str,
    /// The architecture of its userland, and so of the binaries that run there.
    pub arch: Arch,
    /// What its packages are.
    pub format: PackageFormat,
    /// Whether it is so slow that only the scenarios which must show it run there.
    pub slow: bool,
}

/// Every kind, the quickest first.
pub const KINDS: [Kind; 7] = [
    Kind {
        name: "x86_64",
        summary: "a server with .deb packages",
        recipe: "debian-12-amd64",
        arch: Arch::X86_64,
        format: PackageFormat::Deb,
        slow: false,
    },
    Kind {
        name: "x86_64-rpm",
        summary: "a server with .rpm packages",
        recipe: "rpm-host-amd64",
        arch: Arch::X86_64,
        format: PackageFormat::Rpm,
        slow: false,
    },
    Kind {
        name: "aarch64",
        summary: "a 64-bit ARM server",
        recipe: "debian-12-arm64",
        arch: Arch::Aarch64,
        format: PackageFormat::Deb,
        slow: false,
    },
    Kind {
        name: "armv7",
        summary: "a 32-bit ARM machine",
        recipe: "debian-12-armhf",
        arch: Arch::Armv7,
        format: PackageFormat::Deb,
        slow: false,
    },
    Kind {
        name: "mixed",
        summary: "a 32-bit userland on a 64-bit kernel, as on many a Raspberry Pi",
        recipe: "debian-12-mixed",
        arch: Arch::Armv7,
        format: PackageFormat::Deb,
        slow: false,
    },
    Kind {
        name: "raspi3b",
        summary: "a Raspberry Pi 3B with a 64-bit userland",
        recipe: "raspi3b",
        arch: Arch::Aarch64,
        format: PackageFormat::Deb,
        slow: true,
    },
    Kind {
        name: "raspi2b",
        summary: "a Raspberry Pi 2B",
        recipe: "raspi2b",
        arch: Arch::Armv7,
        format: PackageFormat::Deb,
        slow: true,
    },
];

impl Kind {
    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use images::Recipe;

    #[test]
    fn every_kind_has_a_recipe_whose_board_can_run_it() {
        for kind in KINDS {
            let recipe = Recipe::builtin(kind.recipe).unwrap();
            let board = targets::Board::named(&recipe.machine().board).unwrap();
            // A 64-bit board runs a 32-bit userland, never the other way.
            let runs = board.arch == kind.arch || (board.arch, kind.arch) == (Arch::Aarch64, Arch::Armv7);
            assert!(runs, "{} on {}", kind.name, board.name);
            assert_eq!(Kind::named(kind.name), Some(&kind));
        }
    }
}
