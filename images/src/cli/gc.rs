//! `images gc`: deletes what no recipe makes any more.

use std::error::Error as _;
use std::io::{self, Write};

use images::{Cache, ImageHash, Inputs, Keep, Origin, Recipe};

use super::{Failure, recipe};

/// Delete images whose recipe has changed, what killed builds have left, and packages that no image holds. An image
/// that a machine uses stays.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Recipes of your own whose images stay, besides those that come with this program.
    #[arg(value_name = "PATH.toml")]
    recipes: Vec<String>,
    /// Delete all images that no machine uses.
    #[arg(long, conflicts_with = "recipes")]
    all: bool,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let swept = Cache::of_user()?.sweep(&self.keep()?)?;
        let mut out = io::stdout();
        for (path, bytes) in &swept.deleted {
            writeln!(out, "deleted {} ({bytes} bytes)", path.display())?;
        }
        for path in &swept.held {
            writeln!(out, "kept {}: a machine uses it", path.display())?;
        }
        if swept.building {
            writeln!(out, "kept packages and leavings of builds: another process builds now")?;
        }
        let bytes: u64 = swept.deleted.iter().map(|(_, bytes)| bytes).sum();
        writeln!(out, "{} deleted, {bytes} bytes", swept.deleted.len())?;
        for error in &swept.stuck {
            let why = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            writeln!(io::stderr(), "{error}{why}")?;
        }
        match swept.stuck.len() {
            0 => Ok(()),
            stuck => Err(format!("{stuck} could not be deleted").into()),
        }
    }

    fn keep(&self) -> Result<Keep, Failure> {
        let mut keep = Keep::default();
        if self.all {
            return Ok(keep);
        }
        let builtin = Recipe::builtin_names().map(|name| Ok(Recipe::builtin(name)?));
        for recipe in builtin.chain(self.recipes.iter().map(|path| recipe(path))) {
            let recipe: Recipe = recipe?;
            keep.recipes.push((recipe.name().to_owned(), ImageHash::of_recipe(&recipe).to_string()));
            // Where an input is wanted that is not known here, the twin is made again at need.
            match recipe.origin() {
                Origin::Packages(packages) => {
                    let hash = ImageHash::of_twin(recipe.users(), packages, &Inputs::new());
                    keep.twins.extend(hash.ok().map(|hash| hash.to_string()));
                }
                Origin::Cloud(image) => keep.downloads.push(image.sha256.to_string()),
            }
        }
        Ok(keep)
    }
}
