//! Which distributions the agent can be installed on, and by which package format; for the others, why not.
//!
//! One table by `ID`, then `ID_LIKE`, so that a derivative nobody has heard of is taken for what it says it is
//! like, while one that only looks alike (an immutable or snap-only variant) is refused with a reason.

use crate::{OsRelease, PackageFormat};
use std::fmt;

/// Distributions that are installed on in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Family {
    /// Debian, Ubuntu, Raspberry Pi OS and theirs: dpkg.
    Debian,
    /// Red Hat, Rocky, Alma, Fedora, Oracle and theirs: rpm with dnf or yum.
    RedHat,
    /// Amazon Linux: rpm with dnf or yum.
    Amazon,
    /// SUSE Linux Enterprise and openSUSE: rpm with zypper.
    Suse,
    /// Photon OS and Azure Linux: rpm with tdnf, which is not dnf, even under the name of yum.
    Photon,
}

impl Family {
    /// How its packages are wrapped.
    #[must_use]
    pub const fn format(self) -> PackageFormat {
        match self {
            Self::Debian => PackageFormat::Deb,
            Self::RedHat | Self::Amazon | Self::Suse | Self::Photon => PackageFormat::Rpm,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Debian => "Debian",
            Self::RedHat => "Red Hat",
            Self::Amazon => "Amazon",
            Self::Suse => "SUSE",
            Self::Photon => "Photon",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A distribution the agent can be installed on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Distribution {
    /// Its `ID`.
    pub id: String,
    /// How it is installed on.
    pub family: Family,
    /// Its name in words to users.
    pub pretty_name: String,
}

/// A distribution the agent cannot be installed on, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pretty_name} is not supported: {reason}")]
pub struct Unsupported {
    /// Its name in words to users.
    pub pretty_name: String,
    /// Why not, as a clause.
    pub reason: &'static str,
}

const FAMILIES: [(&str, Family); 30] = [
    ("debian", Family::Debian),
    ("ubuntu", Family::Debian),
    ("raspbian", Family::Debian),
    ("linuxmint", Family::Debian),
    ("pop", Family::Debian),
    ("devuan", Family::Debian),
    ("kali", Family::Debian),
    ("proxmox", Family::Debian),
    ("rhel", Family::RedHat),
    ("centos", Family::RedHat),
    ("fedora", Family::RedHat),
    ("rocky", Family::RedHat),
    ("almalinux", Family::RedHat),
    ("ol", Family::RedHat),
    ("scientific", Family::RedHat),
    ("eurolinux", Family::RedHat),
    ("cloudlinux", Family::RedHat),
    ("virtuozzo", Family::RedHat),
    ("amzn", Family::Amazon),
    ("sles", Family::Suse),
    ("sles_sap", Family::Suse),
    ("sled", Family::Suse),
    ("sle_hpc", Family::Suse),
    ("suse", Family::Suse),
    ("opensuse", Family::Suse),
    ("opensuse-leap", Family::Suse),
    ("opensuse-tumbleweed", Family::Suse),
    ("photon", Family::Photon),
    ("azurelinux", Family::Photon),
    ("mariner", Family::Photon),
];

const IMMUTABLE: &str =
    "its system image cannot be changed by rpm or dpkg; build the agent into the image instead";

const UNSUPPORTED: [(&str, &str); 19] = [
    ("alpine", "it has musl instead of glibc, and AWS builds no apk of the agent"),
    ("postmarketos", "it has musl instead of glibc, and AWS builds no apk of the agent"),
    ("openwrt", "it has musl instead of glibc, and AWS builds no package of the agent for it"),
    ("arch", "AWS builds no pacman package of the agent"),
    ("archarm", "AWS builds no pacman package of the agent"),
    ("manjaro", "AWS builds no pacman package of the agent"),
    ("gentoo", "AWS builds no package of the agent for it"),
    ("void", "AWS builds no package of the agent for it"),
    ("slackware", "AWS builds no package of the agent for it"),
    ("nixos", "packages can only come from its own configuration; set services.amazon-ssm-agent.enable"),
    ("ubuntu-core", "it takes confined snaps only, and the agent's is a classic one"),
    ("bottlerocket", "it brings the agent in its control container; register that instead"),
    ("flatcar", IMMUTABLE),
    ("rhcos", IMMUTABLE),
    ("opensuse-microos", IMMUTABLE),
    ("opensuse-leap-micro", IMMUTABLE),
    ("sle-micro", IMMUTABLE),
    ("sl-micro", IMMUTABLE),
    ("steamos", IMMUTABLE),
];

/// Variants of otherwise supported distributions whose system image is immutable: Fedora's, and SUSE's since 16. So are those
/// that end in `-atomic`, as Fedora's later ones do.
const IMMUTABLE_VARIANTS: [&str; 7] =
    ["coreos", "iot", "silverblue", "kinoite", "sericea", "onyx", "transactional"];

const UNKNOWN: &str =
    "neither its ID nor its ID_LIKE in /etc/os-release is one that AWS builds packages of the agent for";

impl OsRelease {
    /// As what the agent is installed on this distribution. One that is like an immutable one is immutable, whatever else it is
    /// like.
    pub fn distribution(&self) -> Result<Distribution, Unsupported> {
        let variant = self.variant_id.as_str();
        let immutable = IMMUTABLE_VARIANTS.contains(&variant)
            || variant.ends_with("-atomic")
            || self.names().any(|name| is_immutable(name));
        if immutable { Err(self.refuse(IMMUTABLE)) } else { self.kind() }
    }

    /// Of which family it is, also if its image is immutable and nothing can be installed.
    pub fn family(&self) -> Result<Family, Unsupported> {
        self.kind().map(|distribution| distribution.family)
    }

    /// Of which package format it is; as [`Self::family`].
    pub fn package_format(&self) -> Result<PackageFormat, Unsupported> {
        self.family().map(Family::format)
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.id).chain(&self.id_like)
    }

    fn refuse(&self, reason: &'static str) -> Unsupported {
        Unsupported { pretty_name: self.pretty_name.clone(), reason }
    }

    /// By `ID`, then by `ID_LIKE` in its order.
    fn kind(&self) -> Result<Distribution, Unsupported> {
        for name in self.names().filter(|name| !is_immutable(name)) {
            if let Some((_, reason)) = UNSUPPORTED.iter().find(|(id, _)| id == name) {
                return Err(self.refuse(reason));
            }
            if let Some((_, family)) = FAMILIES.iter().find(|(id, _)| id == name) {
                let (id, pretty_name) = (self.id.clone(), self.pretty_name.clone());
                return Ok(Distribution { id, family: *family, pretty_name });
            }
        }
        Err(self.refuse(if is_immutable(&self.id) { IMMUTABLE } else { UNKNOWN }))
    }
}

fn is_immutable(name: &str) -> bool {
    UNSUPPORTED.contains(&(name, IMMUTABLE))
}

#[cfg(test)]
#[path = "os_tests.rs"]
mod tests;
