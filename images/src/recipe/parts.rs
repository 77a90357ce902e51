//! A recipe as it is written in TOML. Apart from [`Recipe`](super::Recipe), because TOML can't say that a recipe has
//! either packages or a ready-made image, and that only the first names a kernel's command line.

use serde::Deserialize;
use targets::{Board, DiskPort};
use toml::Spanned;

use super::words;
use super::{
    Base, CloudImage, Customize, KernelBoot, Machine, Origin, Packages, Recipe, RecipeError, Sudo, User,
};

/// Boards whose firmware boots a disk.
const WITH_FIRMWARE: [&str; 2] = ["pc", "virt-aarch64"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parts {
    #[serde(deserialize_with = "words::word")]
    name: String,
    summary: String,
    base: Option<Base>,
    cloud: Option<CloudImage>,
    machine: Spanned<WrittenMachine>,
    #[serde(default)]
    users: Vec<Spanned<User>>,
    #[serde(default)]
    customize: Vec<Customize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMachine {
    #[serde(deserialize_with = "words::board")]
    board: &'static Board,
    disk_mib: u32,
    memory_mib: Option<u32>,
    #[serde(default, deserialize_with = "words::one_or_none")]
    dtb: Option<String>,
    #[serde(default, deserialize_with = "words::some_words")]
    initrd_modules: Option<Vec<String>>,
    append: Option<String>,
}

impl Parts {
    /// The recipe that was read from `text`.
    pub(super) fn recipe(self, text: &str) -> Result<Recipe, RecipeError> {
        let Self { name, summary, base, cloud, machine, users, customize } = self;
        let contradiction = |at: usize, problem: String| {
            let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
            RecipeError::Contradiction { name: name.clone(), line, problem }
        };
        for user in &users {
            let User { name, sudo, password } = user.get_ref();
            if *sudo == Sudo::Password && password.as_deref().unwrap_or_default().is_empty() {
                let problem = format!("user {name:?} has sudo = \"password\" and no password");
                return Err(contradiction(user.span().start, problem));
            }
        }
        let at = machine.span().start;
        let (machine, origin) = split(base, cloud, machine.into_inner(), customize)
            .map_err(|problem| contradiction(at, format!("the machine {problem}")))?;
        let users = users.into_iter().map(Spanned::into_inner).collect();
        Ok(Recipe { name, source: text.to_owned(), summary, machine, users, origin })
    }
}

/// The machine, and where its image comes from; or what the machine can't be.
fn split(
    base: Option<Base>,
    cloud: Option<CloudImage>,
    machine: WrittenMachine,
    customize: Vec<Customize>,
) -> Result<(Machine, Origin), String> {
    let WrittenMachine { board, disk_mib, memory_mib, dtb, initrd_modules, append } = machine;
    // QEMU refuses an SD card of any other size.
    if board.disk == DiskPort::Sd && !disk_mib.is_power_of_two() {
        return Err(format!("has disk_mib {disk_mib}, which is not a power of two, as an SD card's must be"));
    }
    let machine = Machine { board: board.name.to_owned(), disk_mib, memory_mib };
    match (base, cloud) {
        (Some(base), None) => {
            let (Some(initrd_modules), Some(append)) = (initrd_modules, append) else {
                return Err("with [base] needs initrd_modules and append".to_owned());
            };
            let boot = KernelBoot { dtb, initrd_modules, append };
            Ok((machine, Origin::Packages(Packages { base, boot, customize })))
        }
        (None, Some(cloud)) => {
            if dtb.is_some() || initrd_modules.is_some() || append.is_some() {
                return Err("with [cloud] has a kernel of its own: no dtb, initrd_modules, append".to_owned());
            }
            if !customize.is_empty() {
                return Err("with [cloud] is as it was made: no [[customize]]".to_owned());
            }
            if !WITH_FIRMWARE.contains(&board.name) {
                let (name, able) = (board.name, WITH_FIRMWARE.join(" and "));
                return Err(format!("{name:?} has no firmware that boots a disk; {able} have"));
            }
            Ok((machine, Origin::Cloud(cloud)))
        }
        (Some(_), Some(_)) | (None, None) => Err("needs either [base] or [cloud]".to_owned()),
    }
}
