//! The lab's guests: which there are, making them, and waiting for all of them at once.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use images::{Image, Inputs, Progress, Recipe};

use super::paths::Paths;
use crate::machine::qemu::{MachineSpec, Qemu};
use crate::machine::{self, Machine as _};
use crate::narration::Narration;

/// A boot takes 30 s on an idle machine and minutes on one that compiles beside it.
const BOOT_LIMIT: Duration = Duration::from_mins(15);
/// Shutting down takes 5 to 20 s.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(90);
/// The rpm host's database begins with this package, which `ssm-lab packages` makes.
const RPM_HOST_BASE: &str = "rpm-host-base.rpm";

/// A guest that a lab is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestSpec {
    /// Its name and host name.
    pub name: String,
    /// The recipe of its image.
    pub recipe: String,
    /// Its environment in the inventory.
    pub environment: String,
}

impl GuestSpec {
    /// A guest of that name, recipe and environment.
    #[must_use]
    pub fn new(name: &str, recipe: &str, environment: &str) -> Self {
        Self { name: name.to_owned(), recipe: recipe.to_owned(), environment: environment.to_owned() }
    }

    /// One host whose agent comes as .deb, one whose agent comes as .rpm.
    #[must_use]
    pub fn pair() -> Vec<Self> {
        vec![Self::new("deb-1", "debian-12-amd64", "dev"), Self::new("rpm-1", "rpm-host-amd64", "prod")]
    }
}

/// The image of a recipe, built if it is not cached.
pub(crate) fn image(packages: &Path, recipe: &Recipe, narration: &Narration) -> Result<Image> {
    let mut inputs = Inputs::new().file(RPM_HOST_BASE, &packages.join(RPM_HOST_BASE));
    if let Ok(mirror) = std::env::var("BOOTSTRAP_DEBIAN_MIRROR") {
        inputs = inputs.mirror(&mirror);
    }
    let mut tell = |progress: Progress<'_>| match progress {
        Progress::Output { line, .. } if !is_milestone(line) => {}
        told => narration.say(&told.to_string()),
    };
    Ok(images::build(recipe, &inputs, &mut tell)?)
}

/// mmdebstrap prints a line per package; its own milestones begin with "I:", and of those its hooks are command lines.
fn is_milestone(line: &str) -> bool {
    line.strip_prefix("I: ").is_some_and(|rest| !rest.starts_with("running -") && !rest.contains("tempdir"))
}

/// The machine of a guest, switched on; made first if it is not there.
pub(super) async fn switch_on(
    paths: &Paths,
    guest: &GuestSpec,
    image: &Image,
    say: &Narration,
) -> Result<Qemu> {
    let name = &guest.name;
    let directory = paths.guest(name);
    if let Some(machine) = Qemu::open(&directory)? {
        if machine.state().image != image.directory() {
            say.say(&format!("{name} still runs on an older image; `hil lab up --fresh` makes it anew"));
        }
        if machine.is_on() {
            say.say(&format!("{name} is on"));
        } else {
            machine.power_on().await?;
            say.say(&format!("{name} is switched on again"));
        }
        return Ok(machine);
    }
    let recipe = Recipe::builtin(&guest.recipe)?;
    let (identity, known_hosts) = (paths.identity(), paths.known_hosts());
    let mut machine = Qemu::create(
        &directory,
        &MachineSpec { name, image, recipe: &recipe, identity: &identity, known_hosts: &known_hosts },
    )
    .await?;
    machine.first_power_on()?;
    say.say(&format!("{name} is switched on, SSH on port {}", machine.ssh_port()));
    Ok(machine)
}

/// Waits for all of them; the first error wins.
pub(super) async fn wait_for_all(machines: &[Qemu], narration: &Narration) -> Result<()> {
    let wait = async |machine: &Qemu| -> Result<()> {
        // A login costs seconds under emulation; a guest that was up need not prove it again.
        if machine::answers(machine).await {
            return Ok(());
        }
        let what = format!("waiting for SSH of {}", machine.name());
        let up = narration.step_async(&what, machine::wait_for_ssh(machine, BOOT_LIMIT)).await;
        up.with_context(|| {
            format!("{} did not come up; `hil lab down --cut` and `hil lab up` boot it again", machine.name())
        })?;
        Ok(())
    };
    join_all(machines.iter().map(wait)).await.into_iter().collect()
}

/// How machines are switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchOff {
    /// By the power button; one that does not react in time loses its power.
    ShutDown,
    /// By pulling the plug.
    Cut,
}

/// Switches all off, at the same time.
pub(super) async fn switch_off(machines: &[Qemu], how: SwitchOff, narration: &Narration) -> Result<()> {
    let switch = async |machine: &Qemu| -> Result<()> {
        if !machine.is_on() {
            return Ok(());
        }
        let off = async {
            let heard = how == SwitchOff::ShutDown && machine.power_off(SHUTDOWN_LIMIT).await.is_ok();
            if heard { Ok(()) } else { machine.power_cut().await }
        };
        narration.step_async(&format!("switching {} off", machine.name()), off).await?;
        Ok(())
    };
    join_all(machines.iter().map(switch)).await.into_iter().collect()
}

/// Every machine that has a state file, by name.
pub(super) fn all(directory: &Path) -> Result<Vec<Qemu>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("can't read {}", directory.display())),
    };
    let mut machines = Vec::new();
    for entry in entries {
        machines.extend(Qemu::open(&entry?.path())?);
    }
    machines.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(machines)
}
