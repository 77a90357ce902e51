//! A recipe: what is in an image, read from TOML. Apart from the build, because it is pure: parsed and checked before
//! any tool runs.

mod cloud;
mod parts;
mod words;

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

pub use self::cloud::{CloudImage, Sha256, Source};
use self::parts::Parts;

/// The recipes that come with this crate; `images/recipes/` is their home.
const BUILTIN: [(&str, &str); 8] = [
    ("debian-12-amd64", include_str!("../../recipes/debian-12-amd64.toml")),
    ("debian-12-arm64", include_str!("../../recipes/debian-12-arm64.toml")),
    ("debian-12-armhf", include_str!("../../recipes/debian-12-armhf.toml")),
    ("debian-12-mixed", include_str!("../../recipes/debian-12-mixed.toml")),
    ("fleet-amd64", include_str!("../../recipes/fleet-amd64.toml")),
    ("raspi2b", include_str!("../../recipes/raspi2b.toml")),
    ("raspi3b", include_str!("../../recipes/raspi3b.toml")),
    ("rpm-host-amd64", include_str!("../../recipes/rpm-host-amd64.toml")),
];

/// Why a recipe can't be used.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// No recipe of that name comes with this crate.
    #[error("no recipe is named {name:?}; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Not TOML, or not the TOML of a recipe.
    #[error("recipe {name:?} is not valid: {message}")]
    Syntax {
        /// The recipe.
        name: String,
        /// The parser's words, with line and column.
        message: String,
    },
    /// Values that don't go together.
    #[error("recipe {name:?} is not valid: line {line}: {problem}")]
    Contradiction {
        /// The recipe.
        name: String,
        /// Where the table that holds them begins.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

/// What is in an image, and what machine it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    name: String,
    source: String,
    summary: String,
    machine: Machine,
    users: Vec<User>,
    origin: Origin,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is made of packages. QEMU boots its kernel.
    Packages(Packages),
    /// It was made by somebody else. The firmware boots its disk.
    Cloud(CloudImage),
}

/// An image that is made of packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packages {
    /// The distribution's part.
    pub base: Base,
    /// How its kernel is booted.
    pub boot: KernelBoot,
    /// Scripts, in order.
    pub customize: Vec<Customize>,
}

/// The distribution's part of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Debian's code name.
    #[serde(deserialize_with = "words::word")]
    pub suite: String,
    /// Debian's architecture.
    #[serde(deserialize_with = "words::word")]
    pub architecture: String,
    /// Packages beside those that are essential.
    #[serde(deserialize_with = "words::words")]
    pub packages: Vec<String>,
    /// The package which depends on the newest kernel.
    #[serde(deserialize_with = "words::word")]
    pub kernel: String,
    /// The kernel's architecture, where it is not that of the packages.
    #[serde(default, deserialize_with = "words::one_or_none")]
    kernel_architecture: Option<String>,
}

impl Base {
    /// The kernel's architecture.
    #[must_use]
    pub fn kernel_architecture(&self) -> &str {
        self.kernel_architecture.as_deref().unwrap_or(&self.architecture)
    }
}

/// What a machine must be to boot the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// What QEMU is to be: `pc`, `virt-aarch64`, `virt-armv7`, `raspi3b` or `raspi2b`.
    pub board: String,
    /// Size of the disk in MiB; of the root file system, where that is all of it.
    pub disk_mib: u32,
    /// Memory in MiB, if it is not as much as the board has elsewhere.
    pub memory_mib: Option<u32>,
}

/// How a kernel is booted without a bootloader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelBoot {
    /// File name of the kernel's device tree, for a board that does not bring its own.
    pub dtb: Option<String>,
    /// Kernel modules between the firmware and the root disk.
    pub initrd_modules: Vec<String>,
    /// The kernel's command line.
    pub append: String,
}

/// A login of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Login name.
    #[serde(deserialize_with = "words::word")]
    pub name: String,
    /// What sudo does for it.
    pub sudo: Sudo,
    /// Its password; not a secret, see the recipes.
    #[serde(default, deserialize_with = "words::password")]
    pub password: Option<String>,
}

/// What sudo does for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sudo {
    /// Everything, unasked.
    Free,
    /// Everything, after the password.
    Password,
    /// Nothing.
    None,
}

impl Sudo {
    /// The word that `user.sh` takes.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Password => "password",
            Self::None => "none",
        }
    }
}

/// A script that runs in the root when all packages are there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customize {
    /// File name in `images/scripts/`.
    #[serde(deserialize_with = "words::script")]
    pub script: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// A file that the builder is given; its path in the root is the last argument.
    #[serde(default, deserialize_with = "words::one_or_none")]
    pub input: Option<String>,
}

impl Recipe {
    /// The recipe of that name which comes with this crate.
    pub fn builtin(name: &str) -> Result<Self, RecipeError> {
        let text = BUILTIN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
        let known = || Self::builtin_names().collect::<Vec<_>>().join(", ");
        text.map_or_else(|| Err(RecipeError::Unknown { name: name.to_owned(), known: known() }), Self::parse)
    }

    /// Names of the recipes that come with this crate.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|(name, _)| *name)
    }

    /// Reads a recipe from TOML.
    pub fn parse(text: &str) -> Result<Self, RecipeError> {
        let parts: Parts = toml::from_str(text)
            .map_err(|source| RecipeError::Syntax { name: guess_name(text), message: source.to_string() })?;
        parts.recipe(text)
    }

    /// Its name, which is also the first part of its image's directory.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The TOML it was read from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// One line for humans.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Where its image comes from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What its image is made of, if it is made of packages.
    #[must_use]
    pub fn packages(&self) -> Option<&Packages> {
        match &self.origin {
            Origin::Packages(packages) => Some(packages),
            Origin::Cloud(_) => None,
        }
    }

    /// The kernel's command line; none if the firmware boots the disk.
    #[must_use]
    pub fn append(&self) -> Option<&str> {
        self.packages().map(|packages| packages.boot.append.as_str())
    }

    /// What a machine must be to boot it.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Logins.
    #[must_use]
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// The password of a user that has one.
    #[must_use]
    pub fn password_of(&self, user: &str) -> Option<&str> {
        self.users.iter().find(|known| known.name == user)?.password.as_deref()
    }
}

fn guess_name(text: &str) -> String {
    let table: BTreeMap<String, toml::Value> = toml::from_str(text).unwrap_or_default();
    table.get("name").and_then(toml::Value::as_str).unwrap_or("(unnamed)").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_recipe_is_valid_and_named_as_its_file() {
        for name in Recipe::builtin_names() {
            assert_eq!(Recipe::builtin(name).unwrap().name(), name);
        }
    }

    #[test]
    fn every_example_of_a_ready_made_image_says_what_to_fill_in_and_is_valid_then() {
        let examples = {
            let home = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
            std::fs::read_dir(home.join("recipes/examples")).unwrap()
        };
        let paths: Vec<_> = examples.map(|entry| entry.unwrap().path()).collect();
        assert!(!paths.is_empty());
        for path in paths {
            let text = std::fs::read_to_string(&path).unwrap();
            let with = |source: &str, sha256: &str| {
                let text = text.replace("source = \"FILL IN", &format!("source = \"{source}"));
                Recipe::parse(&text.replace("sha256 = \"FILL IN", &format!("sha256 = \"{sha256}")))
            };
            let (url, digest) = ("https://example.org/disk.qcow2", "0".repeat(64));
            let error = with("FILL IN", &digest).unwrap_err().to_string();
            assert!(error.contains("\"FILL IN\" is neither a URL"), "{error}");
            let error = with(url, "FILL IN").unwrap_err().to_string();
            assert!(error.contains("\"FILL IN\" is not 64 hexadecimal digits"), "{error}");
            let recipe = with(url, &digest).unwrap();
            assert_eq!(path.file_stem().unwrap(), recipe.name());
            assert!(recipe.append().is_none() && recipe.packages().is_none());
        }
    }

    #[test]
    fn a_recipe_has_packages_or_a_ready_made_image_and_only_the_first_has_a_kernel() {
        let cloud = format!(
            "name = \"a\"\nsummary = \"\"\n[cloud]\nsource = \"/a\"\nsha256 = \"{}\"\n[machine]\nboard = \"pc\"\ndisk_mib = 1\n",
            "0".repeat(64)
        );
        assert!(Recipe::parse(&cloud).is_ok());
        let refused = |text: &str| Recipe::parse(text).unwrap_err().to_string();
        assert!(refused(&format!("{cloud}append = \"quiet\"\n")).contains("has a kernel of its own"));
        assert!(
            refused(&cloud.replace("\"pc\"", "\"raspi3b\"").replace("= 1\n", "= 2\n"))
                .contains("has no firmware")
        );
        let packages = Recipe::builtin("debian-12-amd64").unwrap();
        let both = cloud.split_once("[machine]").unwrap().0.split_once("[cloud]").unwrap().1;
        let both = packages.source().replace("[machine]", &format!("[cloud]{both}[machine]"));
        assert!(refused(&both).contains("either [base] or [cloud]"));
        assert!(
            refused(&packages.source().replace("append", "# append"))
                .contains("needs initrd_modules and append")
        );
    }

    #[test]
    fn the_debian_host_has_a_user_whose_sudo_asks_and_one_whose_does_not() {
        let recipe = Recipe::builtin("debian-12-amd64").unwrap();
        let sudo: Vec<_> = recipe.users().iter().map(|user| (user.name.as_str(), user.sudo)).collect();
        assert_eq!(sudo, [("admin", Sudo::Free), ("pwadmin", Sudo::Password)]);
        assert!(recipe.password_of("pwadmin").is_some());
        assert!(recipe.password_of("admin").is_none());
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = Recipe::builtin("slackware").unwrap_err().to_string();
        assert!(
            error.starts_with("no recipe is named \"slackware\"; there are: debian-12-amd64, "),
            "{error}"
        );
    }

    fn with(from: &str, to: &str) -> Result<Recipe, RecipeError> {
        let text = Recipe::builtin("rpm-host-amd64").unwrap().source().replacen(from, to, 1);
        Recipe::parse(&text)
    }

    #[test]
    fn whatever_is_wrong_in_a_recipe_is_told_with_its_line() {
        // Of a list, the line is its first one.
        for (from, to, line, words) in [
            ("summary", "sumary", 2, "sumary"),
            ("bookworm", "book worm", 5, "\"book worm\" may hold only"),
            ("\"udev\"", "\"--udev\"", 7, "\"--udev\" may hold only"),
            ("\"udev\"", "\"a;reboot\"", 7, "\"a;reboot\""),
            ("\"udev\"", "\"\"", 7, "\"\" may hold only"),
            ("board = \"pc\"", "board = \"pi\"", 14, "there are: pc, virt-aarch64, "),
            ("\"virtio_pci\"", "\"../x\"", 16, "\"../x\""),
            ("append = ", "# ", 13, "needs initrd_modules and append"),
            ("\"pc\"", "\"raspi3b\"\ndtb = \"/etc/passwd\"", 15, "\"/etc/passwd\""),
            ("name = \"admin\"", "name = \"admin x\"", 21, "\"admin x\""),
            ("password = \"c", "# \"c", 24, "\"pwadmin\" has sudo = \"password\" and no password"),
            ("password = \"c", "password = \"a:c", 27, "neither a colon nor a line end"),
            (
                "rpm-only.sh",
                "missing.sh",
                36,
                "no script for recipes is named \"missing.sh\"; there are: guest.sh",
            ),
            ("rpm-host-base.rpm\"", "../../key\"", 37, "\"../../key\""),
        ] {
            let error = with(from, to).unwrap_err().to_string();
            assert!(error.contains(&format!("line {line}")) && error.contains(words), "{to}: {error}");
        }
    }

    #[test]
    fn a_card_is_of_a_size_that_qemu_takes_and_any_other_disk_of_any() {
        assert!(with("disk_mib = 2048", "disk_mib = 2049").is_ok());
        let text = Recipe::builtin("raspi3b").unwrap().source().replace("2048", "2049");
        let error = Recipe::parse(&text).unwrap_err().to_string();
        assert!(
            error.contains("line 13") && error.contains("disk_mib 2049, which is not a power of two"),
            "{error}"
        );
    }
}
