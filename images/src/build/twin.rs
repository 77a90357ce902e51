//! The root of another architecture: packages of that architecture, and the state that maintainer scripts leave, taken
//! from a twin. The twin is a root of this machine's architecture with the same packages, users and customizations; it
//! is kept, so that one serves all architectures. Apart from the native root, because only this way knows two of them.

use std::fs;
use std::path::PathBuf;

use super::fetch::{Package, What};
use super::{Build, ImageError, Listener, root};
use crate::cache::settle;
use crate::progress::Step;

impl Build<'_> {
    /// Makes ready what `foreign.sh` reads; the twin's tar.
    pub(super) fn foreign(&self, progress: Listener<'_>) -> Result<PathBuf, ImageError> {
        let base = &self.packages.base;
        let kept = self.kept()?;
        let mut twin = self.twin(&kept, progress)?;
        let fetch = |twin: &str, progress: Listener<'_>| {
            let names = twin.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
            self.fetch(Step::Packages, &base.architecture, &What::Packages(names), progress)
        };
        let mut packages = fetch(&twin, progress)?;
        // A kept twin gets old when the archive gets newer versions.
        if skew(&twin, &packages).is_some() {
            fs::remove_file(&kept.tar).map_err(|source| self.write_error(&kept.tar, source))?;
            twin = self.twin(&kept, progress)?;
            packages = fetch(&twin, progress)?;
        }
        if let Some(package) = skew(&twin, &packages) {
            let (image, architecture) = (self.recipe.name().to_owned(), base.architecture.clone());
            return Err(ImageError::Skew { image, package: package.to_owned(), architecture });
        }
        let directory = self.cache.packages(&base.suite, &base.architecture)?;
        let native = root::native();
        let (debs, list) = (directory.display(), self.list());
        let orders = format!("{}\n{native}\n{debs}\n{}\n", base.architecture, list.display());
        self.write(&self.work.join("foreign"), &orders)?;
        Ok(kept.tar)
    }

    /// The twin's manifest; it is built if it is not kept.
    fn twin(&self, kept: &root::Made, progress: Listener<'_>) -> Result<String, ImageError> {
        if !kept.tar.is_file() {
            let made =
                root::Made { tar: self.work.join("twin.tar"), manifest: self.work.join("twin.manifest") };
            self.step(Step::Twin, "mmdebstrap", &mut root::command(self, &made)?, progress)?;
            // The tar goes last: it is what makes a twin kept.
            for (from, to) in [(made.manifest, &kept.manifest), (made.tar, &kept.tar)] {
                settle(&from)
                    .and_then(|()| fs::rename(from, to))
                    .map_err(|source| self.write_error(to, source))?;
            }
        }
        self.read(&kept.manifest)
    }

    fn kept(&self) -> Result<root::Made, ImageError> {
        let directory = self.cache.twins()?;
        let name = |kind: &str| directory.join(format!("{}-{}.{kind}", self.packages.base.suite, self.twin));
        Ok(root::Made { tar: name("tar"), manifest: name("manifest") })
    }
}

/// The first package that is of another version in the twin. A rebuild without a change of source, `+b1`, is none.
fn skew<'a>(twin: &str, packages: &'a [Package]) -> Option<&'a str> {
    let source = |version: &str| match version.rsplit_once("+b") {
        Some((source, build)) if build.chars().all(|c| c.is_ascii_digit()) => source.to_owned(),
        _ => version.to_owned(),
    };
    let version = |name: &str| {
        let mut lines = twin.lines().map(|line| line.split(' '));
        lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next().map(source)).flatten())
    };
    let differs = |package: &&Package| {
        version(&package.name).is_some_and(|of_twin| of_twin != source(&package.version))
    };
    packages.iter().find(differs).map(|package| package.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str) -> Package {
        Package { file: String::new(), name: name.to_owned(), version: version.to_owned() }
    }

    #[test]
    fn a_rebuild_for_one_architecture_is_the_same_version_and_an_update_is_not() {
        let twin = "bash 5.2.15-2+b13 amd64\nsudo 1.9.13p3-1+deb12u4 amd64\n";
        assert_eq!(skew(twin, &[package("bash", "5.2.15-2+b9"), package("bash", "5.2.15-2")]), None);
        assert_eq!(skew(twin, &[package("sudo", "1.9.13p3-1+deb12u4")]), None);
        assert_eq!(skew(twin, &[package("sudo", "1.9.13p3-1+deb12u5")]), Some("sudo"));
    }
}
