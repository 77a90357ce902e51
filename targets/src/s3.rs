//! The layout of AWS's download buckets, which mirrors and directories of users follow too.

use crate::{Arch, PackageFormat};
use std::fmt;
use std::str::FromStr;

/// Which release a bucket is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Channel {
    /// The newest release.
    Latest,
    /// The release that AWS calls stable.
    Stable,
    /// One version, such as `3.3.987.0`.
    Version(crate::AgentVersion),
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.pad("latest"),
            Self::Stable => f.pad("stable"),
            Self::Version(version) => version.fmt(f),
        }
    }
}

impl FromStr for Channel {
    type Err = crate::InvalidVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "latest" => Ok(Self::Latest),
            "stable" => Ok(Self::Stable),
            version => version.parse().map(Self::Version),
        }
    }
}

/// The bucket of a region, such as `https://s3.eu-west-1.amazonaws.com/amazon-ssm-eu-west-1`.
#[must_use]
pub fn bucket(region: &str) -> String {
    format!("https://s3.{region}.{}/amazon-ssm-{region}", crate::partition::domain(region))
}

/// Path of a package under a bucket, such as `latest/debian_amd64/amazon-ssm-agent.deb`; nothing where AWS
/// builds no such package.
#[must_use]
pub fn package_path(channel: &Channel, arch: Arch, format: PackageFormat) -> Option<String> {
    let artifact = arch.artifact(format)?;
    Some(format!("{channel}/{}/{}", artifact.directory, artifact.file_name))
}

/// URL of a package in a region's bucket.
#[must_use]
pub fn package_url(region: &str, channel: &Channel, arch: Arch, format: PackageFormat) -> Option<String> {
    Some(format!("{}/{}", bucket(region), package_path(channel, arch, format)?))
}

/// URL or path of the detached signature of the package at `package`.
#[must_use]
pub fn signature_of(package: &str) -> String {
    format!("{package}.sig")
}

#[cfg(test)]
mod tests {
    use super::*;

    // As AWS's documentation and the agent's own updater write them.
    #[test]
    fn urls_are_those_of_aws() {
        let url = |region, arch, format| package_url(region, &Channel::Latest, arch, format).unwrap();
        assert_eq!(
            url("us-east-1", Arch::X86_64, PackageFormat::Rpm),
            "https://s3.us-east-1.amazonaws.com/amazon-ssm-us-east-1/latest/linux_amd64/amazon-ssm-agent.rpm"
        );
        assert_eq!(
            url("eu-west-1", Arch::Armv7, PackageFormat::Deb),
            "https://s3.eu-west-1.amazonaws.com/amazon-ssm-eu-west-1/latest/debian_arm/amazon-ssm-agent.deb"
        );
    }

    // As AWS's SDKs have them in their table of partitions; Europe's sovereign cloud as its documentation has it.
    #[test]
    fn every_partition_has_its_domain() {
        for (region, host) in [
            ("us-gov-west-1", "s3.us-gov-west-1.amazonaws.com"),
            ("eusc-de-east-1", "s3.eusc-de-east-1.amazonaws.eu"),
            ("us-iso-east-1", "s3.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "s3.us-isob-east-1.sc2s.sgov.gov"),
            ("eu-isoe-west-1", "s3.eu-isoe-west-1.cloud.adc-e.uk"),
            ("us-isof-south-1", "s3.us-isof-south-1.csp.hci.ic.gov"),
        ] {
            assert_eq!(bucket(region), format!("https://{host}/amazon-ssm-{region}"));
        }
    }

    #[test]
    fn china_has_a_domain_of_its_own() {
        assert_eq!(
            package_url("cn-north-1", &Channel::Latest, Arch::Aarch64, PackageFormat::Deb).unwrap(),
            "https://s3.cn-north-1.amazonaws.com.cn/amazon-ssm-cn-north-1/latest/debian_arm64/amazon-ssm-agent.deb"
        );
    }

    #[test]
    fn a_version_takes_the_place_of_latest() {
        let channel: Channel = "3.3.987.0".parse().unwrap();
        assert_eq!(
            package_path(&channel, Arch::I386, PackageFormat::Rpm).unwrap(),
            "3.3.987.0/linux_386/amazon-ssm-agent.rpm"
        );
        assert_eq!("latest".parse::<Channel>().unwrap(), Channel::Latest);
        assert_eq!("stable".parse::<Channel>().unwrap().to_string(), "stable");
        assert!("newest".parse::<Channel>().is_err());
    }

    #[test]
    fn every_artifact_of_the_table_has_a_path_and_a_signature_beside_it() {
        for arch in Arch::ALL {
            for format in PackageFormat::ALL {
                let path = package_path(&Channel::Latest, arch, format);
                assert_eq!(path.is_none(), (arch, format) == (Arch::Armv7, PackageFormat::Rpm));
                if let Some(path) = path {
                    assert_eq!(path.split('/').count(), 3);
                    assert!(signature_of(&path).ends_with(&format!("amazon-ssm-agent.{format}.sig")));
                }
            }
        }
    }
}
