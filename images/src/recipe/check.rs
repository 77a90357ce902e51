//! What a recipe may hold. Apart from the shape of a recipe, because this is where its words are made safe to become
//! arguments of tools, lines of files and parts of paths.

use super::{Origin, Packages, Recipe, RecipeError, Sudo};
use crate::scripts;

/// Boards whose firmware boots a disk.
const WITH_FIRMWARE: [&str; 2] = ["pc", "virt-aarch64"];

/// Refuses the first value that would not survive the build.
pub(super) fn check(recipe: &Recipe) -> Result<(), RecipeError> {
    let refuse = |field, value: &str, problem| {
        Err(RecipeError::Value { name: recipe.name.clone(), field, value: value.to_owned(), problem })
    };
    let machine = &recipe.machine;
    let mut words = vec![("name", &recipe.name), ("board", &machine.board)];
    words.extend(recipe.users.iter().map(|user| ("user", &user.name)));
    words.extend(recipe.packages().map(words_of).unwrap_or_default());
    for (field, word) in words {
        if !is_word(word) {
            return refuse(field, word, "may hold only a-z 0-9 . + _ - and begins with a letter or digit");
        }
    }
    // QEMU refuses an SD card of any other size.
    if machine.board.starts_with("raspi") && !machine.disk_mib.is_power_of_two() {
        return refuse(
            "disk_mib",
            &machine.disk_mib.to_string(),
            "is not a power of two, as an SD card's must be",
        );
    }
    if matches!(recipe.origin, Origin::Cloud(_)) && !WITH_FIRMWARE.contains(&machine.board.as_str()) {
        return refuse(
            "board",
            &machine.board,
            "has no firmware that boots a disk; pc and virt-aarch64 have",
        );
    }
    for step in recipe.packages().map(|packages| packages.customize.as_slice()).unwrap_or_default() {
        if !scripts::exists(&step.script) {
            return refuse("script", &step.script, "is not in images/scripts");
        }
    }
    for user in &recipe.users {
        let password = user.password.as_deref().unwrap_or_default();
        if password.contains(['\n', ':']) {
            return refuse("password of", &user.name, "may hold neither a colon nor a line end");
        }
        if user.sudo == Sudo::Password && password.is_empty() {
            return refuse("user", &user.name, "has sudo = \"password\" and no password");
        }
    }
    Ok(())
}

fn words_of(packages: &Packages) -> Vec<(&'static str, &String)> {
    let Packages { base, boot, customize } = packages;
    let mut words =
        vec![("suite", &base.suite), ("architecture", &base.architecture), ("kernel", &base.kernel)];
    words.extend(base.kernel_architecture.iter().map(|word| ("kernel architecture", word)));
    words.extend(base.packages.iter().map(|package| ("package", package)));
    words.extend(boot.dtb.iter().map(|file| ("device tree", file)));
    words.extend(boot.initrd_modules.iter().map(|module| ("initrd module", module)));
    words.extend(customize.iter().filter_map(|step| step.input.as_ref()).map(|input| ("input", input)));
    words
}

fn is_word(text: &str) -> bool {
    let allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '+' | '_' | '-');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(allowed)
}
