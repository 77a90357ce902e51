//! `images lock`: writes down the versions of an image's packages; and the comparison that `images build --locked` does.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use images::{Cache, Image, Lock, Origin, Recipe};

use super::list::newest;
use super::{Failure, is_path, recipe};

/// Where the lock files of the recipes that come with this program lie, in a checkout.
const HOME: &str = "images/recipes";

/// Write the lock files of images that are built: the versions of all their packages.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names of recipes, or paths of recipes of your own, which end in .toml.
    #[arg(required = true, value_name = "RECIPE")]
    recipes: Vec<String>,
    /// Where lock files lie; those of your own recipes lie beside them.
    #[arg(long, value_name = "DIRECTORY", default_value = HOME)]
    locks: PathBuf,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let stored = Cache::of_user()?.stored();
        for name in &self.recipes {
            let recipe = recipe(name)?;
            if let Origin::Cloud(image) = recipe.origin() {
                return Err(format!(
                    "{name} needs no lock file: it is a ready-made image, and its digest in the recipe, {}, fixes every byte",
                    image.sha256
                )
                .into());
            }
            let ("built", Some(image)) = newest(&recipe, &stored) else {
                return Err(format!("{name} is not built; `images build {name}` makes it").into());
            };
            let path = path(name, &recipe, &self.locks);
            let text = Lock::of_manifest(&fs::read_to_string(image.image.manifest())?).to_string();
            fs::write(&path, text).map_err(|source| {
                format!("can't write {}: {source}; run this in a checkout, or say --locks", path.display())
            })?;
            writeln!(io::stdout(), "{}", path.display())?;
        }
        Ok(())
    }
}

/// Fails if the image is not what its lock file says.
pub(super) fn compare(name: &str, recipe: &Recipe, image: &Image, locks: &Path) -> Result<(), Failure> {
    // The build has compared a ready-made image's digest.
    if recipe.packages().is_none() {
        return Ok(());
    }
    let path = path(name, recipe, locks);
    let text = fs::read_to_string(&path).map_err(|source| {
        format!("can't read {}: {source}; `images lock {name}` writes it", path.display())
    })?;
    let found = Lock::of_manifest(&fs::read_to_string(image.manifest())?);
    let differences = Lock::parse(&text).differences(&found);
    if differences.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = differences.iter().map(|difference| format!("  {difference}")).collect();
    let lines = lines.join("\n");
    Err(format!("image {name} is not as locked:\n{lines}\n`images lock {name}` accepts it as it is").into())
}

fn path(name: &str, recipe: &Recipe, locks: &Path) -> PathBuf {
    if is_path(name) {
        Path::new(name).with_extension("lock")
    } else {
        locks.join(format!("{}.lock", recipe.name()))
    }
}
