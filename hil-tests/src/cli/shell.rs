//! `hil shell` and `hil snapshot`: one machine, without scenarios.

use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use images::Recipe;

use super::run::Places;
use crate::Narration;
use crate::kinds::{KINDS, Kind};
use crate::lab::{guests, packages};
use crate::machine::qemu::Template;
use crate::machine::{Machine as _, wait_for_ssh};
use crate::own_image::OwnImage;
use crate::runner::Workshop;

const BOOT_LIMIT: Duration = Duration::from_mins(15);

/// Arguments of `shell`.
#[derive(Debug, Args)]
pub(super) struct Shell {
    /// The kind of machine, or KIND=RECIPE.toml for a recipe of your own.
    machine: String,
    /// The user to log in as.
    #[arg(long, default_value = "root")]
    user: String,
    #[command(flatten)]
    places: Places,
    /// A command instead of a shell.
    #[arg(last = true)]
    command: Vec<String>,
}

/// Arguments of `snapshot`.
#[derive(Debug, Args)]
pub(super) struct Snapshot {
    /// The kinds of machines [default: all that are not slow].
    machines: Vec<String>,
    #[command(flatten)]
    places: Places,
}

fn kind(name: &str) -> Result<&'static Kind> {
    Kind::named(name).with_context(|| {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        format!("no machine is called {name:?}; there are: {}", known.join(", "))
    })
}

async fn template(recipe: &Recipe, places: &Places, workshop: &Workshop) -> Result<Template> {
    let narration = Narration::stderr();
    let packages = packages::in_directory(&workshop.directory().join("packages"), &places.programs()?)?;
    let image = tokio::task::block_in_place(|| guests::image(&packages, recipe, &narration))?;
    Ok(Template::get(recipe, &image, workshop.directory(), &narration).await?)
}

impl Shell {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let recipe = if self.machine.contains('=') {
            self.machine.parse::<OwnImage>().map_err(anyhow::Error::msg)?.recipe
        } else {
            Recipe::builtin(kind(&self.machine)?.recipe)?
        };
        let workshop = Workshop::open(&self.places.programs()?).await?;
        let template = template(&recipe, &self.places, &workshop).await?;
        let mut machine = template.copy_to(&workshop.directory().join("machine"))?;
        machine.first_start()?;
        Narration::stderr().say(&format!(
            "{} is on; its console: {}",
            recipe.name(),
            machine.console().display()
        ));
        wait_for_ssh(&machine, BOOT_LIMIT).await?;
        let mut ssh = machine.login(&self.user).interactive();
        ssh.args(&self.command).stdin(Stdio::inherit());
        let status = ssh.status().await.context("can't run ssh")?;
        machine.power_cut().await?;
        workshop.close().await?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
    }
}

impl Snapshot {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let kinds: Vec<&Kind> = if self.machines.is_empty() {
            KINDS.iter().filter(|kind| !kind.slow).collect()
        } else {
            self.machines.iter().map(|name| kind(name)).collect::<Result<_>>()?
        };
        let workshop = Workshop::open(&self.places.programs()?).await?;
        let mut failed = Vec::new();
        for kind in kinds {
            match template(&Recipe::builtin(kind.recipe)?, &self.places, &workshop).await {
                Ok(template) => {
                    super::print(&format!("{:<12}{}", kind.name, template.directory().display()))?;
                }
                Err(error) => failed.push(format!("{}: {error:#}", kind.name)),
            }
        }
        workshop.close().await?;
        if !failed.is_empty() {
            bail!("{}", failed.join("\n"));
        }
        Ok(ExitCode::SUCCESS)
    }
}
