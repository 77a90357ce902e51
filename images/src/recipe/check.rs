//! What a recipe may hold. Apart from the shape of a recipe, because this is where its words are made safe to become
//! arguments of tools, lines of files and parts of paths.

use super::{Parts, RecipeError, Sudo};
use crate::scripts;

/// Refuses the first value that would not survive the build.
pub(super) fn check(parts: &Parts) -> Result<(), RecipeError> {
    let refuse = |field, value: &str, problem| {
        Err(RecipeError::Value { name: parts.name.clone(), field, value: value.to_owned(), problem })
    };
    let base = &parts.base;
    let machine = &parts.machine;
    let mut words = vec![("name", &parts.name), ("suite", &base.suite), ("board", &machine.board)];
    words.push(("architecture", &base.architecture));
    words.push(("kernel", &base.kernel));
    words.extend(base.kernel_architecture.iter().map(|word| ("kernel architecture", word)));
    words.extend(base.packages.iter().map(|package| ("package", package)));
    words.extend(machine.dtb.iter().map(|file| ("device tree", file)));
    words.extend(machine.initrd_modules.iter().map(|module| ("initrd module", module)));
    words.extend(parts.users.iter().map(|user| ("user", &user.name)));
    words.extend(parts.customize.iter().filter_map(|step| step.input.as_ref()).map(|input| ("input", input)));
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
    for step in &parts.customize {
        if !scripts::exists(&step.script) {
            return refuse("script", &step.script, "is not in images/scripts");
        }
    }
    for user in &parts.users {
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

fn is_word(text: &str) -> bool {
    let allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '+' | '_' | '-');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(allowed)
}
