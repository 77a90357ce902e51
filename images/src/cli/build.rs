//! `images build`: makes images that are not cached yet.

use std::io::{self, Write};
use std::path::PathBuf;

use images::{Inputs, Progress};

use super::{Failure, lock, recipe};

/// Build images, or find them in the cache; prints the directory of each.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names of recipes, or paths of recipes of your own, which end in .toml.
    #[arg(required = true, value_name = "RECIPE")]
    recipes: Vec<String>,
    /// A file that a recipe takes as input, such as rpm-host-base.rpm.
    #[arg(long = "input", value_name = "NAME=PATH", value_parser = input)]
    inputs: Vec<(String, PathBuf)>,
    /// A mirror of Debian instead of deb.debian.org.
    #[arg(long, env = "BOOTSTRAP_DEBIAN_MIRROR", value_name = "URL")]
    mirror: Option<String>,
    /// Fail if an image's packages are not those of its lock file.
    #[arg(long)]
    locked: bool,
    /// Where lock files lie; those of your own recipes lie beside them.
    #[arg(long, value_name = "DIRECTORY", default_value = "images/recipes")]
    locks: PathBuf,
    /// Show every line of every tool.
    #[arg(long, short)]
    verbose: bool,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut inputs = Inputs::new();
        for (name, path) in &self.inputs {
            inputs = inputs.file(name, path);
        }
        if let Some(mirror) = &self.mirror {
            inputs = inputs.mirror(mirror);
        }
        // All are read before the first is built: a slip in the last one is told at once.
        let recipes = self.recipes.iter().map(|name| recipe(name)).collect::<Result<Vec<_>, _>>()?;
        for (name, recipe) in self.recipes.iter().zip(&recipes) {
            let mut tell = |progress: Progress<'_>| {
                if self.verbose || !matches!(progress, Progress::Output { .. }) {
                    let _ = writeln!(io::stderr(), "{progress}");
                }
            };
            let image = images::build(recipe, &inputs, &mut tell)?;
            if self.locked {
                lock::compare(name, recipe, &image, &self.locks)?;
            }
            writeln!(io::stdout(), "{}", image.directory().display())?;
        }
        Ok(())
    }
}

fn input(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("an input is NAME=PATH")?;
    Ok((name.to_owned(), PathBuf::from(path)))
}
