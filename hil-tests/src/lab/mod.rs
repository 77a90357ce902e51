//! The lab: a local SSM endpoint, the agent's packages and some guests, under one directory.
//!
//! `up` brings what is missing and leaves the rest alone, so that it can be called at any time. The lab goes on when
//! its program ends.

#[allow(clippy::indexing_slicing, reason = "an index that a JSON value has not is null, no panic")]
mod admin;
pub(crate) mod endpoint;
pub(crate) mod guests;
pub(crate) mod inventory;
mod keys;
pub(crate) mod packages;
pub(crate) mod paths;
mod programs;
mod status;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use images::{Image, Recipe};

use crate::machine::Machine as _;
use crate::machine::qemu::Qemu;
use crate::narration::Narration;
pub use endpoint::Endpoint;
pub use guests::{GuestSpec, SwitchOff};
use inventory::{Host, Urls};
pub use paths::Paths;
pub use programs::{AGENT_VARIABLE, Programs, STATICS_VARIABLE};
pub use status::{GuestStatus, Status};

/// What a lab is to be.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// Its directory.
    pub directory: PathBuf,
    /// Its guests.
    pub guests: Vec<GuestSpec>,
    /// The programs it runs.
    pub programs: Programs,
    /// Throw away what is there first.
    pub fresh: bool,
    /// Where progress goes.
    pub narration: Narration,
}

/// Brings a lab up, as far as it is not.
pub async fn up(options: &LabOptions) -> Result<Paths> {
    let paths = Paths::new(&options.directory)?;
    let narration = &options.narration;
    let _lock = lock(&paths, narration)?;
    // Without the endpoint's state the guests would go on with registrations that nobody knows any more.
    let forgotten = !paths.endpoint_database().exists() && !guests::all(&paths.guests())?.is_empty();
    if forgotten {
        narration.say("the endpoint's state is gone, and it knows nobody any more; the guests are made anew");
    }
    if options.fresh || forgotten {
        narration.step_async("removing the old lab", remove(&paths, narration)).await?;
    }
    let made = narration.step("packages of the agent", || packages::make(&paths, &options.programs))?;
    let images = options.guests.iter().map(|guest| image(&paths, guest, narration));
    let images: Vec<Image> = images.collect::<Result<_>>()?;
    keys::make(&paths)?;
    let endpoint = endpoint(&paths, options, made).await?;
    let mut machines = Vec::new();
    for (guest, image) in options.guests.iter().zip(&images) {
        machines.push(guests::switch_on(&paths, guest, image, narration).await?);
    }
    // The host keys are known before the guests are up: there is no first connection on trust.
    keys::write_known_hosts(&paths, machines.iter())?;
    guests::wait_for_all(&machines, narration).await?;
    write_inventory(&paths, &endpoint, options.guests.iter().zip(&machines))?;
    Ok(paths)
}

/// Switches guests and endpoint off; everything stays on the disk for the next `up`.
pub async fn down(directory: &Path, how: SwitchOff, narration: &Narration) -> Result<()> {
    let paths = Paths::existing(directory)?;
    let _lock = lock(&paths, narration)?;
    stop(&paths, how, narration).await
}

/// What is up in a directory, and what is not.
pub async fn status(directory: &Path) -> Result<Status> {
    let paths = Paths::existing(directory)?;
    Ok(Status::new(Endpoint::find(&paths).await, guests::all(&paths.guests())?, paths))
}

/// What this lab's inventory begins with; a fleet writes its own, and no `env` beside it.
const REMARK: &str = "# Written by `hil lab up`, again at every start. Before use: . ./env\n\n";

fn write_inventory<'a>(
    paths: &Paths,
    endpoint: &Endpoint,
    guests: impl Iterator<Item = (&'a GuestSpec, &'a Qemu)>,
) -> Result<()> {
    let mut agent = endpoint.url.clone();
    let hosts: Vec<Host> = guests
        .map(|(guest, machine)| {
            agent = endpoint.url_seen_from(machine);
            Host {
                name: guest.name.clone(),
                address: machine.login("admin").address,
                port: machine.ssh_port(),
                environment: guest.environment.clone(),
            }
        })
        .collect();
    let urls = Urls { controller: &endpoint.url, agent: &agent, region: &endpoint.region };
    let files = [
        (paths.environment(), endpoint.shell_exports()),
        (paths.inventory(), format!("{REMARK}{}", inventory::text(&hosts, urls)?)),
    ];
    for (path, text) in files {
        crate::private_file::write(&path, &text)
            .with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}

fn image(paths: &Paths, guest: &GuestSpec, narration: &Narration) -> Result<Image> {
    guests::image(&paths.packages(), &Recipe::builtin(&guest.recipe)?, narration)
}

async fn endpoint(paths: &Paths, options: &LabOptions, programs_changed: bool) -> Result<Endpoint> {
    let narration = &options.narration;
    if let Some(endpoint) = Endpoint::find(paths).await {
        if programs_changed {
            narration
                .say("the endpoint still runs the older ssm-lab; `hil lab up --fresh` starts the new one");
        }
        narration.say(&format!("the endpoint is up at {}", endpoint.url));
        return Ok(endpoint);
    }
    narration
        .step_async(
            "starting the endpoint",
            Endpoint::start(paths, &options.programs, endpoint::LOOPBACK, "localhost"),
        )
        .await
}

async fn stop(paths: &Paths, how: SwitchOff, narration: &Narration) -> Result<()> {
    let machines = guests::switch_off(&guests::all(&paths.guests())?, how, narration).await;
    if endpoint::stop(paths).await {
        narration.say("the endpoint is stopped");
    }
    machines
}

/// Everything that `up` has made; never the directory itself, in which others may keep things.
async fn remove(paths: &Paths, narration: &Narration) -> Result<()> {
    stop(paths, SwitchOff::Cut, narration).await?;
    for path in paths.made() {
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("can't delete {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// One `up` or `down` at a time.
fn lock(paths: &Paths, narration: &Narration) -> Result<File> {
    let path = paths.lock();
    let file = File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
    if file.try_lock().is_err() {
        narration.say("another program is at work in this lab, waiting for it");
        file.lock().with_context(|| format!("can't lock {}", path.display()))?;
    }
    Ok(file)
}
