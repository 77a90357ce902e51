//! What installs a package file on a host, so that dependencies are met and the package database stays true.

use std::fmt;
use std::str::FromStr;

use crate::{Family, OsRelease, PackageFormat, Unsupported};

/// A program that installs package files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum PackageTool {
    /// dpkg, of Debian and its children.
    Dpkg,
    /// dnf, of Fedora, of Red Hat and its children since 8, and of Amazon Linux 2023.
    Dnf,
    /// yum, before dnf; where both names exist it is dnf under its old one.
    Yum,
    /// zypper, of SUSE.
    Zypper,
    /// rpm alone, where none of these is there.
    Rpm,
}

/// A name of a program that installs no packages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("package tool {0:?} is not known")]
pub struct UnknownPackageTool(pub String);

impl PackageTool {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Dpkg, Self::Dnf, Self::Yum, Self::Zypper, Self::Rpm];

    /// The program's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dpkg => "dpkg",
            Self::Dnf => "dnf",
            Self::Yum => "yum",
            Self::Zypper => "zypper",
            Self::Rpm => "rpm",
        }
    }

    /// What it installs.
    #[must_use]
    pub const fn format(self) -> PackageFormat {
        match self {
            Self::Dpkg => PackageFormat::Deb,
            Self::Dnf | Self::Yum | Self::Zypper | Self::Rpm => PackageFormat::Rpm,
        }
    }

    /// The command by which an operator ends a hold on the agent's package; nothing where a hold cannot be.
    #[must_use]
    pub const fn release_command(self) -> Option<&'static str> {
        match self {
            Self::Dpkg => Some("apt-mark unhold amazon-ssm-agent"),
            Self::Dnf => Some("dnf versionlock delete amazon-ssm-agent"),
            Self::Yum => Some("yum versionlock delete amazon-ssm-agent"),
            Self::Zypper => Some("zypper removelock amazon-ssm-agent"),
            Self::Rpm => None,
        }
    }

    /// What a host with these programs uses, if this is its distribution's own tool: itself, else the plain one of
    /// its format.
    #[must_use]
    pub fn among(self, present: &[Self]) -> Self {
        match self.format() {
            PackageFormat::Deb => Self::Dpkg,
            PackageFormat::Rpm if present.contains(&self) => self,
            PackageFormat::Rpm => Self::Rpm,
        }
    }
}

impl fmt::Display for PackageTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PackageTool {
    type Err = UnknownPackageTool;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|tool| tool.name() == text.trim())
            .ok_or_else(|| UnknownPackageTool(text.trim().to_owned()))
    }
}

impl Family {
    /// Its own tool, by the release's first number; dnf for those that roll and have none.
    const fn package_tool(self, major: Option<u32>) -> PackageTool {
        match (self, major) {
            (Self::Debian, _) => PackageTool::Dpkg,
            (Self::Suse, _) => PackageTool::Zypper,
            (Self::Photon, _) => PackageTool::Rpm,
            // Red Hat's releases count from 1, Fedora has long passed 8; Amazon's are 2017.09, 2018.03, 2, then 2023.
            (Self::RedHat, Some(..8)) | (Self::Amazon, Some(..2022)) => PackageTool::Yum,
            (Self::RedHat | Self::Amazon, _) => PackageTool::Dnf,
        }
    }
}

impl OsRelease {
    /// The package tool that this distribution's release brings.
    pub fn package_tool(&self) -> Result<PackageTool, Unsupported> {
        let major = self.version_id.split('.').next().and_then(|number| number.parse().ok());
        self.distribution().map(|distribution| distribution.family.package_tool(major))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_read_back_from_its_name() {
        for tool in PackageTool::ALL {
            assert_eq!(tool.to_string().parse(), Ok(tool));
        }
        assert_eq!("apk".parse::<PackageTool>(), Err(UnknownPackageTool("apk".to_owned())));
    }

    // The releases in which Red Hat and Amazon went from yum to dnf.
    #[test]
    fn the_release_decides_between_yum_and_dnf() {
        let cases = [
            ("ID=centos\nVERSION_ID=7", PackageTool::Yum),
            ("ID=rhel\nVERSION_ID=7.9", PackageTool::Yum),
            ("ID=rhel\nVERSION_ID=8.10", PackageTool::Dnf),
            ("ID=rhel\nVERSION_ID=10.0", PackageTool::Dnf),
            ("ID=fedora\nVERSION_ID=40", PackageTool::Dnf),
            ("ID=amzn\nVERSION_ID=2018.03", PackageTool::Yum),
            ("ID=amzn\nVERSION_ID=2", PackageTool::Yum),
            ("ID=amzn\nVERSION_ID=2023", PackageTool::Dnf),
            ("ID=sles\nVERSION_ID=15.6", PackageTool::Zypper),
            ("ID=opensuse-tumbleweed\nVERSION_ID=20241010", PackageTool::Zypper),
            ("ID=debian", PackageTool::Dpkg),
            // Its `yum` is tdnf, which has no localinstall.
            ("ID=photon\nVERSION_ID=4.0", PackageTool::Rpm),
            ("ID=azurelinux\nVERSION_ID=3.0", PackageTool::Rpm),
        ];
        for (text, tool) in cases {
            assert_eq!(OsRelease::parse(text).package_tool(), Ok(tool), "{text}");
        }
    }

    #[test]
    fn a_host_without_its_distributions_tool_uses_the_plain_one() {
        assert_eq!(PackageTool::Dnf.among(&[PackageTool::Dnf, PackageTool::Rpm]), PackageTool::Dnf);
        assert_eq!(PackageTool::Dnf.among(&[PackageTool::Rpm, PackageTool::Yum]), PackageTool::Rpm);
        assert_eq!(PackageTool::Zypper.among(&[]), PackageTool::Rpm);
        assert_eq!(PackageTool::Dpkg.among(&[PackageTool::Rpm]), PackageTool::Dpkg);
    }
}
