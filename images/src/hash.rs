//! The name under which an image is cached: a digest of everything it is made of. Pure, so that it is tested alone.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::build::Inputs;
use crate::recipe::Recipe;
use crate::scripts;

/// Changes when the builder itself makes another image of the same parts.
const BUILDER: &str = "1";

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
        let mut digest = Sha256::new();
        part(&mut digest, "builder", BUILDER.as_bytes());
        part(&mut digest, "recipe", recipe.source().as_bytes());
        for (name, text) in scripts::of(recipe) {
            part(&mut digest, name, text.as_bytes());
        }
        for name in recipe.customize().iter().filter_map(|step| step.input.as_deref()) {
            let content = inputs.read(name).map_err(|error| (name.to_owned(), error))?;
            part(&mut digest, name, &content);
        }
        let mut short = [0; 8];
        for (to, from) in short.iter_mut().zip(digest.finalize()) {
            *to = from;
        }
        Ok(Self(short))
    }
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
    fn a_missing_input_is_named() {
        let recipe = Recipe::builtin("rpm-host-amd64").unwrap();
        let (name, _) = ImageHash::of(&recipe, &Inputs::new()).unwrap_err();
        assert_eq!(name, "rpm-host-base.rpm");
    }
}
