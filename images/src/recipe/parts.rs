//! A recipe as it is written in TOML. Apart from [`Recipe`](super::Recipe), because TOML can't say that a recipe has
//! either packages or a ready-made image, and that only the first names a kernel's command line.

use serde::Deserialize;

use super::{Base, CloudImage, Customize, KernelBoot, Machine, Origin, Packages, RecipeError, User};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) summary: String,
    base: Option<Base>,
    cloud: Option<CloudImage>,
    machine: WrittenMachine,
    #[serde(default)]
    pub(super) users: Vec<User>,
    #[serde(default)]
    customize: Vec<Customize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMachine {
    board: String,
    disk_mib: u32,
    memory_mib: Option<u32>,
    dtb: Option<String>,
    initrd_modules: Option<Vec<String>>,
    append: Option<String>,
}

impl Parts {
    /// The machine, and where its image comes from.
    pub(super) fn split(self) -> Result<(Machine, Origin), RecipeError> {
        let WrittenMachine { board, disk_mib, memory_mib, dtb, initrd_modules, append } = self.machine;
        let machine = Machine { board, disk_mib, memory_mib };
        let refuse = |field, problem| {
            Err(RecipeError::Value { name: self.name.clone(), field, value: machine.board.clone(), problem })
        };
        match (self.base, self.cloud) {
            (Some(base), None) => {
                let (Some(initrd_modules), Some(append)) = (initrd_modules, append) else {
                    return refuse("machine", "with [base] needs initrd_modules and append");
                };
                let boot = KernelBoot { dtb, initrd_modules, append };
                let origin = Origin::Packages(Packages { base, boot, customize: self.customize });
                Ok((machine, origin))
            }
            (None, Some(cloud)) => {
                if dtb.is_some() || initrd_modules.is_some() || append.is_some() {
                    return refuse(
                        "machine",
                        "with [cloud] has a kernel of its own: no dtb, initrd_modules, append",
                    );
                }
                if !self.customize.is_empty() {
                    return refuse("machine", "with [cloud] is as it was made: no [[customize]]");
                }
                Ok((machine, Origin::Cloud(cloud)))
            }
            (Some(_), Some(_)) | (None, None) => refuse("machine", "needs either [base] or [cloud]"),
        }
    }
}
