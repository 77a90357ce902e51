//! The lock file of a recipe: which version of each package its image was last accepted with. Apart from the build,
//! because nothing is chosen by it: Debian's archive holds one version of a package at a time, so what a lock file can
//! do is tell that an image has become another.

use std::collections::BTreeMap;
use std::fmt;

/// Packages with their versions, by name and architecture.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    packages: BTreeMap<(String, String), String>,
}

/// A package that is not as it was locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub package: String,
    /// Its version in the lock file; none if it is new.
    pub locked: Option<String>,
    /// Its version in the image; none if it is gone.
    pub found: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let package = &self.package;
        match (&self.locked, &self.found) {
            (Some(locked), Some(found)) => write!(f, "{package} is {found}, locked is {locked}"),
            (None, Some(found)) => write!(f, "{package} {found} is not in the lock file"),
            (Some(locked), None) => write!(f, "{package}, locked as {locked}, is not in the image"),
            (None, None) => write!(f, "{package}"),
        }
    }
}

impl Lock {
    /// What an image holds, from the text of its manifest.
    #[must_use]
    pub fn of_manifest(text: &str) -> Self {
        let line = |line: &str| match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["kernel", name, version] => {
                Some((((*name).to_owned(), "kernel".to_owned()), (*version).to_owned()))
            }
            [name, version, architecture] => {
                Some((((*name).to_owned(), (*architecture).to_owned()), (*version).to_owned()))
            }
            _ => None,
        };
        Self { packages: text.lines().filter_map(line).collect() }
    }

    /// Reads a lock file; lines that are none are passed over, so that they count as packages not locked.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| match line.split('=').collect::<Vec<_>>().as_slice() {
            [name, version, architecture] => {
                Some((((*name).to_owned(), (*architecture).to_owned()), (*version).to_owned()))
            }
            _ => None,
        };
        Self { packages: text.lines().filter(|text| !text.starts_with('#')).filter_map(line).collect() }
    }

    /// Every package that is not as `self` has it.
    #[must_use]
    pub fn differences(&self, found: &Self) -> Vec<Difference> {
        let keys =
            self.packages.keys().chain(found.packages.keys().filter(|key| !self.packages.contains_key(*key)));
        let difference = |key: &(String, String)| {
            let (locked, found) = (self.packages.get(key), found.packages.get(key));
            let package = key.0.clone();
            (locked != found).then(|| Difference { package, locked: locked.cloned(), found: found.cloned() })
        };
        keys.filter_map(difference).collect()
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Written by `images lock`: package=version=architecture.")?;
        self.packages.iter().try_for_each(|((package, architecture), version)| {
            writeln!(f, "{package}={version}={architecture}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str =
        "kernel linux-image-6.1.0-56-arm64 6.1.192-2\nbash 5.2.15-2+b13 arm64\nlogin 1:4.13 arm64\n";

    #[test]
    fn a_lock_file_is_a_line_per_package_and_reads_back() {
        let lock = Lock::of_manifest(MANIFEST);
        let text = lock.to_string();
        assert!(
            text.contains("\nlogin=1:4.13=arm64\n")
                && text.contains("\nlinux-image-6.1.0-56-arm64=6.1.192-2=kernel\n")
        );
        assert_eq!(Lock::parse(&text), lock);
    }

    #[test]
    fn a_newer_a_new_and_a_missing_package_are_each_named() {
        let lock = Lock::parse(
            "bash=5.2.15-2+b12=arm64\nlinux-image-6.1.0-56-arm64=6.1.192-2=kernel\nucf=3.0=all\n",
        );
        let said: Vec<String> =
            lock.differences(&Lock::of_manifest(MANIFEST)).iter().map(Difference::to_string).collect();
        assert_eq!(
            said,
            [
                "bash is 5.2.15-2+b13, locked is 5.2.15-2+b12",
                "ucf, locked as 3.0, is not in the image",
                "login 1:4.13 is not in the lock file",
            ]
        );
    }
}
