//! The scripts that run while an image is made, carried in the binary so that it needs no source tree.
//! Apart from the build, because their text is part of an image's hash.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::recipe::Packages;

/// A script's file name and text; `images/scripts/` is their home.
pub(crate) type Script = (&'static str, &'static str);

/// Scripts that every build runs.
const OF_EVERY_BUILD: [Script; 7] = [
    ("disk.sh", include_str!("../scripts/disk.sh")),
    ("fetch.sh", include_str!("../scripts/fetch.sh")),
    ("foreign.sh", include_str!("../scripts/foreign.sh")),
    ("init.sh", include_str!("../scripts/init.sh")),
    ("initrd.sh", include_str!("../scripts/initrd.sh")),
    ("kernel.sh", include_str!("../scripts/kernel.sh")),
    ("unpacked.sh", include_str!("../scripts/unpacked.sh")),
];

/// Of those, the ones that run in the root or stay there.
const OF_EVERY_ROOT: [Script; 4] = [
    ("lean.sh", include_str!("../scripts/lean.sh")),
    ("manifest.sh", include_str!("../scripts/manifest.sh")),
    ("seed.sh", include_str!("../scripts/seed.sh")),
    ("user.sh", include_str!("../scripts/user.sh")),
];

/// Scripts that a recipe names under `customize`.
const OF_RECIPES: [Script; 2] = [
    ("guest.sh", include_str!("../scripts/guest.sh")),
    ("rpm-only.sh", include_str!("../scripts/rpm-only.sh")),
];

/// Names of the scripts that a recipe may name.
pub(crate) fn of_recipes() -> impl Iterator<Item = &'static str> {
    OF_RECIPES.iter().map(|(name, _)| *name)
}

/// The scripts that take part in a build: changing another one changes no image.
pub(crate) fn of(packages: &Packages) -> impl Iterator<Item = Script> {
    OF_EVERY_BUILD.into_iter().chain(of_root(packages))
}

/// Those of them that take part in making a root, with or without a kernel and a disk.
pub(crate) fn of_root(packages: &Packages) -> impl Iterator<Item = Script> {
    let named = |name: &str| packages.customize.iter().any(|step| step.script == name);
    OF_EVERY_ROOT.into_iter().chain(OF_RECIPES.into_iter().filter(move |(name, _)| named(name)))
}

/// Writes the scripts of a build, executable, into `directory`, which must exist.
pub(crate) fn write_all(packages: &Packages, directory: &Path) -> io::Result<()> {
    for (name, text) in of(packages) {
        let path = directory.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipe;

    #[test]
    fn every_script_file_is_carried() {
        let home = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
        let mut files: Vec<String> = fs::read_dir(home.join("scripts"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let mut carried: Vec<&str> =
            OF_EVERY_BUILD.iter().chain(&OF_EVERY_ROOT).chain(&OF_RECIPES).map(|(name, _)| *name).collect();
        carried.sort_unstable();
        assert_eq!(files, carried);
    }

    #[test]
    fn a_recipe_carries_only_the_customizations_it_names() {
        let names = |recipe| {
            let recipe = Recipe::builtin(recipe).unwrap();
            of(recipe.packages().unwrap()).map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert!(names("rpm-host-amd64").contains(&"rpm-only.sh"));
        assert!(!names("debian-12-amd64").contains(&"rpm-only.sh"));
        assert!(names("debian-12-amd64").contains(&"disk.sh"));
    }
}
