//! `images list`: the recipes, and which of them are built.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use images::{Cache, ImageHash, Recipe, Stored};

use super::Failure;

/// List the recipes, and which of them are built.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Self {} = self;
        let stored = Cache::of_user()?.stored();
        let mut text = format!("{:<18} {:<9} {:>8} {:>5}  {}\n", "RECIPE", "STATE", "SIZE", "AGE", "SUMMARY");
        for name in Recipe::builtin_names() {
            let recipe = Recipe::builtin(name)?;
            let (state, image) = newest(&recipe, &stored);
            let size = image.map(|image| size(image.bytes)).unwrap_or_default();
            let age = image.map(|image| age(image.built)).unwrap_or_default();
            writeln!(text, "{name:<18} {state:<9} {size:>8} {age:>5}  {}", recipe.summary())?;
        }
        io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

/// The newest image of a recipe; "outdated" is one that its recipe would now make anew.
pub(super) fn newest<'a>(recipe: &Recipe, stored: &'a [Stored]) -> (&'static str, Option<&'a Stored>) {
    let hash = ImageHash::of_recipe(recipe).to_string();
    let mut of_name = stored.iter().filter(|image| image.name == recipe.name());
    let current = of_name.clone().find(|image| image.recipe_hash == hash);
    match (current, of_name.next()) {
        (Some(image), _) => ("built", Some(image)),
        (None, Some(image)) => ("outdated", Some(image)),
        (None, None) => ("-", None),
    }
}

pub(super) fn size(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1024 * 1024))
}

fn age(built: SystemTime) -> String {
    let minutes = built.elapsed().unwrap_or(Duration::ZERO).as_secs() / 60;
    match minutes {
        0..60 => format!("{minutes} m"),
        60..2880 => format!("{} h", minutes / 60),
        _ => format!("{} d", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up_and_ages_have_one_unit() {
        assert_eq!(size(1), "1 MiB");
        assert_eq!(size(2 * 1024 * 1024), "2 MiB");
        let ago = |minutes| age(SystemTime::now() - Duration::from_mins(minutes));
        assert_eq!([ago(5), ago(119), ago(2880)], ["5 m", "1 h", "2 d"]);
    }
}
