//! The inventory: `hosts.toml`, read, expanded and checked.
//!
//! It owns the format of the file and everything that can be wrong with it. It stands apart because the rest of
//! the program only ever sees an [`Inventory`], which cannot be built from a file with a problem in it.
//!
//! The way of a file: TOML with spans (`syntax`), compared with the `schema` (`shape`), read into the types that the
//! schema comes from (`raw`), given meaning (`settings`, `environments`, `roster`, `routes`, `hosts`), and then a `model`. Each
//! step reports all that it finds and hands on the rest.

mod account;
mod addresses;
mod aws;
mod environments;
mod excerpt;
mod files;
mod hosts;
mod model;
mod network;
mod problems;
mod ranges;
mod raw;
mod roster;
mod routes;
mod schema;
mod settings;
mod shape;
mod show;
mod spans;
mod syntax;
mod tags;
mod terms;
#[cfg(test)]
mod tests;
mod wish;

use std::path::Path;

use sha2::{Digest as _, Sha256};

pub use account::{home, login_name, operator};
pub use excerpt::NotUtf8;
pub use files::Base;
pub use model::*;
pub use network::{Delivery, Proxy};
pub(crate) use problems::did_you_mean;
pub use problems::{Place, Problem, Problems};
pub(crate) use ranges::expand;
pub use schema::schema;
pub use wish::{PackageWish, VerifyWish};

use environments::Environments;
use hosts::Sources;
use problems::Findings;
use raw::RawInventory;
use roster::Roster;
use settings::Settings;

const CONCURRENCY: usize = 50;

impl Inventory {
    /// Reads and checks the inventory at `path`; fails with everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let text = std::fs::read(path).map_err(|error| {
            Problems::of_file(
                path,
                format!("can't be read: {error}"),
                "name your inventory with --inventory FILE",
            )
        })?;
        let text = String::from_utf8(text).map_err(|error| {
            let line = error
                .as_bytes()
                .iter()
                .take(error.utf8_error().valid_up_to())
                .filter(|b| **b == b'\n')
                .count()
                + 1;
            Problems::of_file(path, format!("line {line} is not UTF-8"), "save the file as UTF-8")
        })?;
        Self::parse(&text, path, &Base::of(path))
    }

    /// Checks the text of an inventory. `path` is only for messages; `base` is where relative paths and `~` lead.
    pub fn parse(text: &str, path: &Path, base: &Base) -> Result<Self, Problems> {
        let mut findings = Findings::new(text);
        let raw = read_shape(text, &mut findings);
        let inventory =
            raw.as_ref().and_then(|raw| give_meaning(raw, path, digest(text), base, &mut findings));
        match (findings.into_problems(path), inventory) {
            (None, Some(inventory)) => Ok(inventory),
            (Some(problems), _) => Err(problems),
            (None, None) => {
                Err(Problems::of_file(path, "can't be read".to_owned(), "compare it with the schema"))
            }
        }
    }
}

fn read_shape(text: &str, findings: &mut Findings<'_>) -> Option<RawInventory> {
    let mut file = syntax::parse(text, findings)?;
    shape::check(&mut file, &schema(), findings);
    let read = serde::Deserialize::deserialize(toml::de::Deserializer::from(file));
    read.map_err(|error: toml::de::Error| {
        findings.add_without_hint(error.span().unwrap_or(0..0).into(), error.message());
    })
    .ok()
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().fold("sha256:".to_owned(), |digest, byte| digest + &format!("{byte:02x}"))
}

fn give_meaning(
    raw: &RawInventory,
    path: &Path,
    digest: String,
    base: &Base,
    findings: &mut Findings<'_>,
) -> Option<Inventory> {
    let defaults = Settings::read(raw.defaults.settings(), base, findings);
    let run_within = raw.defaults.run_within.as_ref();
    let run_within = run_within.and_then(|text| findings.accept(text.span, terms::duration(&text.value)));
    let concurrency =
        raw.defaults.concurrency.as_ref().map_or(Ok(CONCURRENCY), |number| number.value.try_into()).ok()?;
    let environments = Environments::read(&raw.environments, &raw.package, base, findings);
    let groups: Vec<_> = (raw.groups.0.iter())
        .map(|(name, group)| (name.value.as_str(), Settings::read(group.settings(), base, findings)))
        .collect();
    let of_hosts: Vec<_> =
        raw.hosts.iter().map(|host| Settings::read(host.settings(), base, findings)).collect();
    for settings in groups.iter().map(|(_, settings)| settings).chain([&defaults]) {
        // Also where no host takes it; hosts report their own.
        if let Some(name) = &settings.environment {
            environments.find(name, findings);
        }
    }
    let roster = Roster::read(&raw.hosts, &raw.groups, findings);
    let sources = Sources {
        defaults: &defaults,
        groups: &groups,
        hosts: &of_hosts,
        environments: &environments,
        operator: &base.user,
    };
    let built = hosts::build(&roster, &sources, findings);
    if built.hosts.is_empty() && !built.gates.is_empty() {
        findings.add_for_file(
            "no host is to be enrolled",
            "leave `enrol = false` to those that only lead to others",
        );
    }
    Some(Inventory {
        path: path.to_owned(),
        digest,
        environments: environments.into_checked(),
        hosts: built.hosts,
        groups: raw.groups.0.iter().map(|(name, _)| GroupName(name.value.clone())).collect(),
        gates: built.gates,
        concurrency,
        run_within,
    })
}
