//! An image of the user's own, which is a machine beside those of the table: a recipe in a file, and the row of the table that
//! it is like. Apart from the kinds, because nothing about it is known before a user names it.

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use images::Recipe;
use targets::Board;

use crate::kinds::{KINDS, Kind};

/// A recipe of the user's own.
#[derive(Debug, Clone)]
pub struct OwnImage {
    /// What its userland and packages are.
    pub kind: &'static Kind,
    /// The recipe; its name is the machine's.
    pub recipe: Recipe,
    /// Where the recipe is.
    pub path: PathBuf,
}

impl FromStr for OwnImage {
    type Err = String;

    /// `KIND=RECIPE.toml`.
    fn from_str(text: &str) -> Result<Self, String> {
        let known = || KINDS.map(|kind| kind.name).join(", ");
        let (kind, path) = text
            .split_once('=')
            .ok_or_else(|| format!("it is KIND=RECIPE.toml, where KIND says what it is like: {}", known()))?;
        let kind = Kind::named(kind).ok_or_else(|| format!("no kind {kind:?}; there are: {}", known()))?;
        let source = fs::read_to_string(path).map_err(|error| format!("can't read {path}: {error}"))?;
        let recipe = Recipe::parse(&source).map_err(|error| format!("{path}: {error}"))?;
        let board = &recipe.machine().board;
        if Board::named(board).is_none_or(|board| board.arch != kind.arch) {
            return Err(format!("{path} is for the board {board:?}, which is no {}", kind.name));
        }
        if Kind::named(recipe.name()).is_some() {
            return Err(format!("{path} has the name of a machine that there is; give the recipe another"));
        }
        let path = std::path::absolute(path).map_err(|error| format!("can't resolve {path}: {error}"))?;
        Ok(Self { kind, recipe, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, name: &str, board: &str) -> Result<OwnImage, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rocky.toml");
        let digest = "0".repeat(64);
        let text = format!(
            "name = {name:?}\nsummary = \"\"\n[cloud]\nsource = \"/a.qcow2\"\nsha256 = {digest:?}\n\
             [machine]\nboard = {board:?}\ndisk_mib = 10240\n"
        );
        fs::write(&path, text).unwrap();
        format!("{kind}={}", path.display()).parse()
    }

    #[test]
    fn a_recipe_is_a_machine_of_the_kind_it_is_like() {
        let own = read("x86_64-rpm", "rocky-9", "pc").unwrap();
        assert_eq!((own.kind.format, own.recipe.name()), (targets::PackageFormat::Rpm, "rocky-9"));
    }

    #[test]
    fn another_architecture_an_unknown_kind_and_a_name_that_is_taken_are_refused() {
        assert!(
            read("x86_64-rpm", "rocky-9", "virt-aarch64").unwrap_err().contains("which is no x86_64-rpm")
        );
        let error = read("x86_64", "rocky 9", "pc").unwrap_err();
        assert!(error.contains("/rocky.toml: recipe") && error.contains("line 1"), "{error}");
        assert!(read("x86", "rocky-9", "pc").unwrap_err().contains("there are: x86_64, x86_64-rpm, "));
        assert!(read("x86_64", "x86_64", "pc").unwrap_err().contains("give the recipe another"));
        assert!("rocky.toml".parse::<OwnImage>().unwrap_err().contains("KIND=RECIPE.toml"));
    }
}
