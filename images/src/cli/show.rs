//! `images show`: one recipe and its image.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};

use images::{Cache, ImageHash, Origin};

use super::list::{newest, size};
use super::{Failure, recipe};

/// Show a recipe and its image: hash, files, kernel, command line, packages.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of a recipe, or path of a recipe of your own, which ends in .toml.
    recipe: String,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let recipe = recipe(&self.recipe)?;
        let stored = Cache::of_user()?.stored();
        let (state, image) = newest(&recipe, &stored);
        let machine = recipe.machine();
        let mut text = format!("name      {}\nsummary   {}\n", recipe.name(), recipe.summary());
        writeln!(text, "recipe    {}", ImageHash::of_recipe(&recipe))?;
        writeln!(text, "board     {}", machine.board)?;
        match recipe.origin() {
            Origin::Packages(packages) => writeln!(text, "append    {}", packages.boot.append)?,
            Origin::Cloud(image) => {
                writeln!(text, "source    {}\nsha256    {}", image.source, image.sha256)?;
                writeln!(text, "boot      by the firmware, from its own disk")?;
            }
        }
        if let Some(stored) = image {
            writeln!(text, "image     {} ({state}), {}", stored.hash, size(stored.bytes))?;
            writeln!(text, "path      {}", stored.image.directory().display())?;
            if recipe.packages().is_some() {
                text.push_str(&packages(&fs::read_to_string(stored.image.manifest())?)?);
            }
        } else {
            writeln!(text, "image     not built; `images build {}` makes it", self.recipe)?;
        }
        io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

/// The kernel, and every package.
fn packages(manifest: &str) -> Result<String, std::fmt::Error> {
    let (kernel, packages) = manifest.split_once('\n').unwrap_or((manifest, ""));
    let mut text = format!("kernel    {}\n", kernel.trim_start_matches("kernel "));
    writeln!(text, "packages  {}", packages.lines().count())?;
    packages.lines().try_for_each(|line| writeln!(text, "  {line}"))?;
    Ok(text)
}
