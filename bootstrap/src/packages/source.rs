//! Where packages come from, as users write it in an inventory, and how strictly each source is verified.

use reqwest::Url;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use targets::s3::Channel;

/// Where agent packages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageSource {
    /// One .deb or .rpm.
    File(PathBuf),
    /// A directory, in AWS's layout or flat.
    Directory(PathBuf),
    /// One .deb or .rpm, or the root of AWS's layout, on a web server.
    Url(Url),
    /// AWS's bucket of a region.
    Aws {
        /// Region, such as `eu-west-1`.
        region: String,
        /// Which release.
        channel: Channel,
    },
}

/// How a package's OpenPGP signature is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// There must be a good signature beside the package.
    Required,
    /// A signature must be good where there is one.
    IfPresent,
    /// Signatures are not looked at.
    Off,
}

/// A text that names no source of packages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Nothing is written.
    #[error("the package source is empty")]
    Empty,
    /// A URL of a kind that we don't speak.
    #[error("package source {text:?} has the scheme {scheme}, which is not https or http")]
    Scheme {
        /// What was written.
        text: String,
        /// Its scheme.
        scheme: String,
    },
    /// A text that starts like a URL and is none.
    #[error("package source {text:?} is not a URL: {reason}")]
    Url {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// AWS's buckets have no such release.
    #[error("package source {text:?} asks AWS for a release that is neither latest, stable nor a version")]
    Channel {
        /// What was written.
        text: String,
    },
}

impl SourceError {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Scheme { scheme, .. } if scheme == "s3" => {
                "write the bucket's https:// URL, or copy the files to a directory".to_owned()
            }
            Self::Channel { .. } => "write \"aws\", \"aws:stable\" or \"aws:3.3.987.0\"".to_owned(),
            Self::Empty | Self::Scheme { .. } | Self::Url { .. } => {
                "write \"aws\", an https:// URL, or the path of a .deb, an .rpm or a directory of them"
                    .to_owned()
            }
        }
    }
}

impl PackageSource {
    /// Reads a source: `aws`, `aws:stable`, `aws:3.3.987.0`, a URL, or a path (`file://` too). AWS's bucket is
    /// that of `region`. A path is taken as it is: the caller knows what relative ones are relative to.
    pub fn parse(text: &str, region: &str) -> Result<Self, SourceError> {
        let text = text.trim();
        let owned = || text.to_owned();
        if text.is_empty() {
            return Err(SourceError::Empty);
        }
        if let Some(channel) = aws_channel(text) {
            let channel = channel.parse().map_err(|_| SourceError::Channel { text: owned() })?;
            return Ok(Self::Aws { region: region.to_owned(), channel });
        }
        match text.split_once("://") {
            None => Ok(Self::path(text)),
            Some(("file", path)) => Ok(Self::path(path)),
            Some(("https" | "http", _)) => match Url::parse(text) {
                Ok(url) => Ok(Self::Url(url)),
                Err(error) => Err(SourceError::Url { text: owned(), reason: error.to_string() }),
            },
            Some((scheme, _)) => Err(SourceError::Scheme { text: owned(), scheme: scheme.to_owned() }),
        }
    }

    fn path(text: &str) -> Self {
        let path = PathBuf::from(text);
        if is_package(text) { Self::File(path) } else { Self::Directory(path) }
    }

    /// How strictly this source is verified where the user says nothing: what comes over a network must be signed.
    #[must_use]
    pub fn default_verify(&self) -> Verify {
        match self {
            Self::File(_) | Self::Directory(_) => Verify::IfPresent,
            Self::Url(_) | Self::Aws { .. } => Verify::Required,
        }
    }
}

fn aws_channel(text: &str) -> Option<&str> {
    match text.strip_prefix("aws")? {
        "" => Some("latest"),
        rest => rest.strip_prefix(':').filter(|rest| !rest.starts_with("//")),
    }
}

/// Whether a path or the path of a URL names a package and not a directory.
pub(super) fn is_package(path: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|extension| {
        extension.eq_ignore_ascii_case("deb") || extension.eq_ignore_ascii_case("rpm")
    })
}

/// A URL as it may be shown: without credentials, and without the query, which carries a signature where
/// buckets are shared by signed links.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PackageSource, SourceError> {
        PackageSource::parse(text, "eu-west-1")
    }

    #[test]
    fn sources_are_read_as_users_write_them() {
        let aws = |channel| PackageSource::Aws { region: "eu-west-1".to_owned(), channel };
        assert_eq!(parse("aws"), Ok(aws(Channel::Latest)));
        assert_eq!(parse("aws:stable"), Ok(aws(Channel::Stable)));
        assert_eq!(parse("aws:3.3.987.0"), Ok(aws(Channel::Version("3.3.987.0".parse().unwrap()))));
        assert_eq!(parse(" pkgs/agent.deb "), Ok(PackageSource::File("pkgs/agent.deb".into())));
        assert_eq!(parse("/srv/agent.RPM"), Ok(PackageSource::File("/srv/agent.RPM".into())));
        assert_eq!(parse("./mirror"), Ok(PackageSource::Directory("./mirror".into())));
        assert_eq!(parse("awsome"), Ok(PackageSource::Directory("awsome".into())));
        assert_eq!(parse("file:///srv/mirror"), Ok(PackageSource::Directory("/srv/mirror".into())));
        let url = "https://mirror.example/ssm/";
        assert_eq!(parse(url), Ok(PackageSource::Url(Url::parse(url).unwrap())));
    }

    #[test]
    fn what_is_no_source_is_refused_with_a_remedy() {
        assert_eq!(parse("  "), Err(SourceError::Empty));
        assert!(matches!(parse("https://"), Err(SourceError::Url { .. })));
        assert!(matches!(parse("aws:newest"), Err(SourceError::Channel { .. })));
        let s3 = parse("s3://bucket/key").unwrap_err();
        assert!(s3.to_string().contains("s3") && s3.hint().contains("https://"), "{s3}: {}", s3.hint());
        for error in [parse(""), parse("ftp://x/y"), parse("aws:x")] {
            assert!(!error.unwrap_err().hint().is_empty());
        }
    }

    #[test]
    fn what_comes_over_a_network_must_be_signed() {
        for text in ["aws", "http://127.0.0.1:1/x", "https://mirror.example/a.deb"] {
            assert_eq!(parse(text).unwrap().default_verify(), Verify::Required, "{text}");
        }
        for text in ["a.deb", "directory"] {
            assert_eq!(parse(text).unwrap().default_verify(), Verify::IfPresent, "{text}");
        }
    }

    #[test]
    fn credentials_and_signed_queries_are_never_shown() {
        let url = Url::parse("https://user:hunter2@mirror.example/a.deb?X-Amz-Signature=beef#f").unwrap();
        assert_eq!(shown(&url), "https://mirror.example/a.deb");
    }
}
