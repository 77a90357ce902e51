//! The name under which an image is cached: a digest of everything it is made of. Pure, so that it is tested alone.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::build::Inputs;
use crate::recipe::{Packages, Recipe, User};
use crate::scripts;

/// Changes when the builder itself makes another image of the same parts.
const BUILDER: &str = "4";

/// Digest of a recipe, the scripts and the inputs; shown as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageHash([u8; 8]);

impl fmt::Display for ImageHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl ImageHash {
    /// Reads every input; fails with the name of the one that can't be read.
    pub(crate) fn of(recipe: &Recipe, inputs: &Inputs) -> Result<Self, (String, io::Error)> {
        let mut digest = Self::without_inputs(recipe);
        if let Some(packages) = recipe.packages() {
            customizations(&mut digest, packages, inputs)?;
        }
        Ok(Self::short(digest))
    }

    /// The same without the inputs, which whoever only lists or deletes images does not have.
    #[must_use]
    pub fn of_recipe(recipe: &Recipe) -> Self {
        Self::short(Self::without_inputs(recipe))
    }

    fn without_inputs(recipe: &Recipe) -> Sha256 {
        let mut digest = Sha256::new();
        part(&mut digest, "builder", BUILDER.as_bytes());
        part(&mut digest, "recipe", recipe.source().as_bytes());
        // Nothing is run in a ready-made image, so no script makes another of it.
        for (name, text) in recipe.packages().into_iter().flat_map(scripts::of) {
            part(&mut digest, name, text.as_bytes());
        }
        digest
    }

    /// The same of what goes into a root of this machine's architecture, whose other parts (kernel, board, name of the
    /// recipe) may differ: recipes of several architectures share it.
    pub fn of_twin(
        users: &[User],
        packages: &Packages,
        inputs: &Inputs,
    ) -> Result<Self, (String, io::Error)> {
        let mut digest = Sha256::new();
        part(&mut digest, "builder", BUILDER.as_bytes());
        part(&mut digest, "suite", packages.base.suite.as_bytes());
        part(&mut digest, "packages", packages.base.packages.join(" ").as_bytes());
        for user in users {
            part(&mut digest, &user.name, user.sudo.word().as_bytes());
            part(&mut digest, "password", user.password.as_deref().unwrap_or_default().as_bytes());
        }
        for (name, text) in scripts::of_root(packages) {
            part(&mut digest, name, text.as_bytes());
        }
        for step in &packages.customize {
            part(&mut digest, &step.script, step.args.join("\0").as_bytes());
        }
        customizations(&mut digest, packages, inputs)?;
        Ok(Self::short(digest))
    }

    fn short(digest: Sha256) -> Self {
        let mut short = [0; 8];
        for (to, from) in short.iter_mut().zip(digest.finalize()) {
            *to = from;
        }
        Self(short)
    }
}

fn customizations(
    digest: &mut Sha256,
    packages: &Packages,
    inputs: &Inputs,
) -> Result<(), (String, io::Error)> {
    for name in packages.customize.iter().filter_map(|step| step.input.as_deref()) {
        let content = inputs.read(name).map_err(|error| (name.to_owned(), error))?;
        part(digest, name, &content);
    }
    Ok(())
}

/// Lengths go in too, so that a byte can't move from one part to the next unseen.
fn part(digest: &mut Sha256, name: &str, content: &[u8]) {
    for bytes in [name.as_bytes(), content] {
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    }
}

impl Inputs {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = self.path(name).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "not given"))?;
        let mut content = Vec::new();
        File::open(path)?.read_to_end(&mut content)?;
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str, input: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), input).unwrap();
        let inputs = Inputs::new().file("rpm-host-base.rpm", file.path());
        ImageHash::of(&Recipe::parse(text).unwrap(), &inputs).unwrap().to_string()
    }

    #[test]
    fn the_same_parts_make_the_same_hash_and_a_changed_part_another() {
        let text = Recipe::builtin("rpm-host-amd64").unwrap().source().to_owned();
        let first = hash(&text, b"one");
        assert_eq!(first.len(), 16);
        assert_eq!(hash(&text, b"one"), first);
        assert_ne!(hash(&text, b"two"), first);
        assert_ne!(hash(&text.replace("2048", "2049"), b"one"), first);
    }

    #[test]
    fn recipes_that_differ_in_architecture_and_kernel_share_a_twin_and_other_packages_do_not() {
        let twin = |text: &str| {
            let recipe = Recipe::parse(text).unwrap();
            ImageHash::of_twin(recipe.users(), recipe.packages().unwrap(), &Inputs::new()).unwrap()
        };
        let source = |name: &str| Recipe::builtin(name).unwrap().source().to_owned();
        assert_eq!(twin(&source("debian-12-arm64")), twin(&source("debian-12-armhf")));
        assert_eq!(twin(&source("debian-12-arm64")), twin(&source("debian-12-mixed")));
        let other = source("debian-12-arm64").replace("\"procps\"", "\"procps\", \"less\"");
        assert_ne!(twin(&source("debian-12-arm64")), twin(&other));
    }

    #[test]
    fn a_missing_input_is_named() {
        let recipe = Recipe::builtin("rpm-host-amd64").unwrap();
        let (name, _) = ImageHash::of(&recipe, &Inputs::new()).unwrap_err();
        assert_eq!(name, "rpm-host-base.rpm");
    }
}
