//! The one table of architectures: what each is called by dpkg, rpm, the kernel and Rust, and which agent
//! packages AWS builds for it.
//!
//! The userland decides, never the kernel alone: Raspberry Pi OS runs a 64-bit kernel under a 32-bit userland.

use std::fmt;
use std::str::FromStr;

use crate::elf::Elf;

/// A userland architecture that a host can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Arch {
    /// 64-bit x86, Debian's amd64.
    X86_64,
    /// 64-bit ARM, Debian's arm64.
    Aarch64,
    /// 32-bit ARM with hard float, Debian's armhf.
    Armv7,
    /// 32-bit x86. AWS builds agents for it; we build no binary of our own.
    I386,
}

/// How an agent package is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum PackageFormat {
    /// Debian's format, installed by dpkg.
    Deb,
    /// Red Hat's format, installed by rpm.
    Rpm,
}

/// Where AWS's download layout keeps the package of one architecture and format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Artifact {
    /// Directory under `latest/`, such as `debian_amd64`.
    pub directory: &'static str,
    /// File in it, such as `amazon-ssm-agent.deb`.
    pub file_name: &'static str,
}

/// One architecture under all its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// What this row is about.
    pub arch: Arch,
    /// Our own name for it, in words to users.
    pub name: &'static str,
    /// `dpkg --print-architecture`, and `Architecture:` of a .deb.
    pub dpkg: &'static str,
    /// `rpm --eval %{_arch}` and the architectures an .rpm may carry; the usual one first.
    pub rpm: &'static [&'static str],
    /// `uname -m` with `getconf LONG_BIT`; a 64-bit kernel may carry a 32-bit userland.
    pub uname: &'static [(&'static str, u8)],
    /// How its programs are marked.
    pub elf: Elf,
    /// The Rust target of our own static binary.
    pub rust_triple: Option<&'static str>,
    /// AWS's directory with a .deb.
    pub deb_directory: Option<&'static str>,
    /// AWS's directory with an .rpm.
    pub rpm_directory: Option<&'static str>,
}

const X86_64: Row = Row {
    arch: Arch::X86_64,
    name: "x86_64",
    dpkg: "amd64",
    rpm: &["x86_64"],
    uname: &[("x86_64", 64)],
    elf: Elf { bits: 64, machine: 62 },
    rust_triple: Some("x86_64-unknown-linux-musl"),
    deb_directory: Some("debian_amd64"),
    rpm_directory: Some("linux_amd64"),
};

const AARCH64: Row = Row {
    arch: Arch::Aarch64,
    name: "aarch64",
    dpkg: "arm64",
    rpm: &["aarch64"],
    uname: &[("aarch64", 64)],
    elf: Elf { bits: 64, machine: 183 },
    rust_triple: Some("aarch64-unknown-linux-musl"),
    deb_directory: Some("debian_arm64"),
    rpm_directory: Some("linux_arm64"),
};

const ARMV7: Row = Row {
    arch: Arch::Armv7,
    name: "armv7",
    dpkg: "armhf",
    // `%{_arch}` is plain "arm" on every 32-bit ARM; packages say armv7hl.
    rpm: &["armv7hl", "armv7hnl", "arm"],
    uname: &[("armv7l", 32), ("armv8l", 32), ("aarch64", 32)],
    elf: Elf { bits: 32, machine: 40 },
    rust_triple: Some("armv7-unknown-linux-musleabihf"),
    deb_directory: Some("debian_arm"),
    rpm_directory: None,
};

const I386: Row = Row {
    arch: Arch::I386,
    name: "i386",
    dpkg: "i386",
    rpm: &["i386", "i486", "i586", "i686"],
    uname: &[("i386", 32), ("i486", 32), ("i586", 32), ("i686", 32), ("x86_64", 32)],
    elf: Elf { bits: 32, machine: 3 },
    rust_triple: None,
    deb_directory: Some("debian_386"),
    rpm_directory: Some("linux_386"),
};

/// Every architecture, in the order of `Arch`.
pub const ROWS: [Row; 4] = [X86_64, AARCH64, ARMV7, I386];

/// A name of an architecture that no row has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("architecture {name} (as said by {source_command}) is not one the agent is built for")]
pub struct UnknownArch {
    /// The name as it was read.
    pub name: String,
    /// Who said it, such as `dpkg --print-architecture`.
    pub source_command: &'static str,
}

/// A name of a package format that is neither deb nor rpm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("package format {0:?} is neither deb nor rpm")]
pub struct UnknownFormat(pub String);

impl Arch {
    /// All architectures.
    pub const ALL: [Self; 4] = [Self::X86_64, Self::Aarch64, Self::Armv7, Self::I386];

    /// This architecture's row of the table.
    #[must_use]
    pub const fn row(self) -> &'static Row {
        match self {
            Self::X86_64 => &X86_64,
            Self::Aarch64 => &AARCH64,
            Self::Armv7 => &ARMV7,
            Self::I386 => &I386,
        }
    }

    /// From the output of `dpkg --print-architecture`, or the `Architecture` of a .deb.
    pub fn from_dpkg(name: &str) -> Result<Self, UnknownArch> {
        find(name, "dpkg --print-architecture", |row, name| row.dpkg == name)
    }

    /// From the output of `rpm --eval %{_arch}`, or the architecture of an .rpm.
    pub fn from_rpm(name: &str) -> Result<Self, UnknownArch> {
        find(name, "rpm --eval %{_arch}", |row, name| row.rpm.contains(&name))
    }

    /// From the output of `uname -m` and of `getconf LONG_BIT`, for hosts without a package manager's word.
    ///
    /// `armv6l` stays unknown: our own binary does not run there.
    pub fn from_uname(machine: &str, long_bit: u8) -> Result<Self, UnknownArch> {
        find(machine, "uname -m and getconf LONG_BIT", |row, name| row.uname.contains(&(name, long_bit)))
    }

    /// The bits of a `long` in userland, as `getconf LONG_BIT` prints them.
    #[must_use]
    pub fn long_bit(text: &str) -> Option<u8> {
        text.trim().parse().ok().filter(|bits| matches!(bits, 32 | 64))
    }

    /// The architecture this program was built for, if it is one of ours.
    #[must_use]
    pub fn of_this_build() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            "arm" => Some(Self::Armv7),
            "x86" => Some(Self::I386),
            _ => None,
        }
    }

    /// What packages of `format` call this architecture.
    #[must_use]
    pub fn name_in(self, format: PackageFormat) -> &'static str {
        match format {
            PackageFormat::Deb => self.row().dpkg,
            PackageFormat::Rpm => self.row().rpm.first().copied().unwrap_or(self.row().name),
        }
    }

    /// From what a package of `format` says of itself.
    pub fn from_package(format: PackageFormat, name: &str) -> Result<Self, UnknownArch> {
        match format {
            PackageFormat::Deb => Self::from_dpkg(name),
            PackageFormat::Rpm => Self::from_rpm(name),
        }
    }

    /// AWS's package for this architecture; there is none for armv7 as rpm.
    #[must_use]
    pub fn artifact(self, format: PackageFormat) -> Option<Artifact> {
        let directory = match format {
            PackageFormat::Deb => self.row().deb_directory,
            PackageFormat::Rpm => self.row().rpm_directory,
        }?;
        Some(Artifact { directory, file_name: format.file_name() })
    }
}

fn find(
    text: &str,
    source_command: &'static str,
    matches: impl Fn(&Row, &str) -> bool,
) -> Result<Arch, UnknownArch> {
    let name = text.trim();
    ROWS.iter()
        .find(|row| matches(row, name))
        .map(|row| row.arch)
        .ok_or_else(|| UnknownArch { name: name.to_owned(), source_command })
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.row().name)
    }
}

impl FromStr for Arch {
    type Err = UnknownArch;

    /// Reads our own name, and those of dpkg and rpm.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        find(text, "the user", |row, name| row.name == name || row.dpkg == name || row.rpm.contains(&name))
    }
}

impl PackageFormat {
    /// Both formats.
    pub const ALL: [Self; 2] = [Self::Deb, Self::Rpm];

    /// File name extension without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Rpm => "rpm",
        }
    }

    /// What AWS calls the file in every directory.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Deb => "amazon-ssm-agent.deb",
            Self::Rpm => "amazon-ssm-agent.rpm",
        }
    }
}

impl fmt::Display for PackageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.extension())
    }
}

impl FromStr for PackageFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|format| format.extension() == text)
            .ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_each_of_its_names() {
        for (row, arch) in ROWS.iter().zip(Arch::ALL) {
            assert_eq!(row.arch, arch);
            assert_eq!(arch.row(), row);
            assert_eq!(Arch::from_dpkg(row.dpkg), Ok(arch));
            assert_eq!(row.name.parse(), Ok(arch));
            assert_eq!(arch.to_string(), row.name);
            for name in row.rpm {
                assert_eq!(Arch::from_rpm(name), Ok(arch), "{name}");
            }
            for (machine, bits) in row.uname {
                assert_eq!(Arch::from_uname(machine, *bits), Ok(arch), "{machine} {bits}");
            }
            for format in PackageFormat::ALL {
                assert_eq!(Arch::from_package(format, arch.name_in(format)), Ok(arch));
            }
            assert!(row.deb_directory.is_some());
        }
    }

    #[test]
    fn no_name_belongs_to_two_rows() {
        let mut seen = std::collections::BTreeSet::new();
        for row in &ROWS {
            assert!(seen.insert(("dpkg", row.dpkg.to_owned())));
            for name in row.rpm {
                assert!(seen.insert(("rpm", (*name).to_owned())));
            }
            for (machine, bits) in row.uname {
                assert!(seen.insert(("uname", format!("{machine}{bits}"))));
            }
        }
    }

    // Seen on guests of these kinds.
    #[test]
    fn the_userland_decides_and_not_the_kernel() {
        assert_eq!(Arch::from_uname("aarch64", 32), Ok(Arch::Armv7));
        assert_eq!(Arch::from_uname("aarch64\n", 64), Ok(Arch::Aarch64));
        assert_eq!(Arch::from_uname("armv7l", 32), Ok(Arch::Armv7));
        assert_eq!(Arch::from_dpkg("armhf\n"), Ok(Arch::Armv7));
        assert_eq!(Arch::from_uname("x86_64", 32), Ok(Arch::I386));
    }

    #[test]
    fn getconf_tells_32_bits_from_64() {
        assert_eq!((Arch::long_bit("64\n"), Arch::long_bit("32")), (Some(64), Some(32)));
        assert_eq!(
            (Arch::long_bit(""), Arch::long_bit("undefined"), Arch::long_bit("31")),
            (None, None, None)
        );
    }

    #[test]
    fn architectures_without_an_agent_are_refused_with_their_name() {
        for name in ["riscv64", "ppc64el", "s390x", "armel", ""] {
            assert_eq!(Arch::from_dpkg(name).unwrap_err().name, name);
        }
        assert!(Arch::from_uname("armv6l", 32).is_err());
        assert!(Arch::from_uname("x86_64", 31).is_err());
        let said = Arch::from_dpkg("riscv64").unwrap_err().to_string();
        assert!(said.contains("riscv64") && said.contains("dpkg --print-architecture"), "{said}");
    }

    #[test]
    fn aws_builds_no_rpm_for_armv7() {
        assert_eq!(Arch::Armv7.artifact(PackageFormat::Rpm), None);
        let deb = Arch::Armv7.artifact(PackageFormat::Deb).unwrap();
        assert_eq!((deb.directory, deb.file_name), ("debian_arm", "amazon-ssm-agent.deb"));
        let rpm = Arch::X86_64.artifact(PackageFormat::Rpm).unwrap();
        assert_eq!((rpm.directory, rpm.file_name), ("linux_amd64", "amazon-ssm-agent.rpm"));
    }
}
