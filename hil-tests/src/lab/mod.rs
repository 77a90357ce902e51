//! The lab: a local SSM endpoint, the agent's packages and some guests, under one directory.
//!
//! `up` brings what is missing and leaves the rest alone, so that it can be called at any time. The lab of the command
//! line goes on when its program ends; a test's lab ends with its test, see [`Lifetime`].

mod endpoint;
mod guard;
mod guests;
mod inventory;
mod keys;
mod packages;
mod paths;
mod programs;
mod status;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use images::{Image, Recipe};

use crate::machine::Machine;
use crate::narration::Narration;
pub use endpoint::Endpoint;
use guard::Guard;
pub use guard::watch;
pub use guests::{GuestSpec, SwitchOff};
use inventory::{Host, Urls};
pub use paths::Paths;
pub use programs::{AGENT_VARIABLE, Programs};
pub use status::{GuestStatus, Status};

/// How long a lab lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until `hil lab down`.
    UntilDown,
    /// Until the [`Lab`] is dropped or this program is gone.
    OfThisProgram,
}

/// What a lab is to be.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// Its directory.
    pub directory: PathBuf,
    /// Its guests.
    pub guests: Vec<GuestSpec>,
    /// The programs it runs.
    pub programs: Programs,
    /// Whether it outlives this program.
    pub lifetime: Lifetime,
    /// Throw away what is there first.
    pub fresh: bool,
    /// Where progress goes.
    pub narration: Narration,
}

/// A lab that is up.
#[derive(Debug)]
pub struct Lab {
    paths: Paths,
    endpoint: Endpoint,
    machines: Vec<Machine>,
    guard: Option<Guard>,
}

impl Lab {
    /// Brings a lab up, as far as it is not.
    pub fn up(options: &LabOptions) -> Result<Self> {
        let paths = Paths::new(&options.directory)?;
        // Before anything is started that it should end, and outside the lock, which the watchman takes when this fails.
        let guard = match options.lifetime {
            Lifetime::UntilDown => None,
            Lifetime::OfThisProgram => Some(Guard::start(&options.programs, paths.directory())?),
        };
        let (endpoint, machines) = bring_up(&paths, options)?;
        Ok(Self { paths, endpoint, machines, guard })
    }

    /// The lab that is up in a directory.
    pub fn attach(directory: &Path) -> Result<Self> {
        let paths = Paths::existing(directory)?;
        let endpoint = Endpoint::find(&paths).with_context(|| {
            format!("no lab is up in {}; bring it up with `hil lab up`", paths.directory().display())
        })?;
        let machines = guests::all(&paths.guests())?;
        Ok(Self { paths, endpoint, machines, guard: None })
    }

    /// Switches guests and endpoint off; everything stays on the disk for the next `up`.
    pub fn down(directory: &Path, how: SwitchOff, narration: &Narration) -> Result<()> {
        let paths = Paths::existing(directory)?;
        let _lock = lock(&paths, narration)?;
        stop(&paths, how, narration)
    }

    /// What is up in a directory, and what is not.
    pub fn status(directory: &Path) -> Result<Status> {
        let paths = Paths::existing(directory)?;
        Ok(Status::new(Endpoint::find(&paths), guests::all(&paths.guests())?, paths))
    }

    /// Its files.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Its endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Its guests.
    #[must_use]
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// The guest of that name.
    pub fn machine(&self, name: &str) -> Result<&Machine> {
        let found = self.machines.iter().find(|machine| machine.name() == name);
        found.with_context(|| format!("the lab has no guest {name:?}"))
    }

    /// Ends the endpoint and starts it again: a service that was away.
    pub fn restart_endpoint(&mut self, programs: &Programs) -> Result<()> {
        self.endpoint = Endpoint::start(&self.paths, programs)?;
        Ok(())
    }

    /// Ends the endpoint: a service that is away.
    pub fn stop_endpoint(&self) {
        endpoint::stop(&self.paths);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.guard.is_some() {
            // Should it fail, the watchman tries again when its pipe closes right after.
            let _ = stop(&self.paths, SwitchOff::Cut, &Narration::silent());
        }
    }
}

/// Every step of `up`, each only as far as it is needed.
fn bring_up(paths: &Paths, options: &LabOptions) -> Result<(Endpoint, Vec<Machine>)> {
    let narration = &options.narration;
    let _lock = lock(paths, narration)?;
    // Without the endpoint's state the guests would go on with registrations that nobody knows any more.
    let forgotten = !paths.endpoint_database().exists() && !guests::all(&paths.guests())?.is_empty();
    if forgotten {
        narration.say("the endpoint's state is gone, and it knows nobody any more; the guests are made anew");
    }
    if options.fresh || forgotten {
        narration.step("removing the old lab", || remove(paths, narration))?;
    }
    let made = narration.step("packages of the agent", || packages::make(paths, &options.programs))?;
    let images = options.guests.iter().map(|guest| image(paths, guest, narration));
    let images: Vec<Image> = images.collect::<Result<_>>()?;
    keys::make(paths)?;
    let endpoint = endpoint(paths, options, made)?;
    let pairs = options.guests.iter().zip(&images);
    let machines = pairs.map(|(guest, image)| guests::switch_on(paths, guest, image, narration));
    let machines: Vec<Machine> = machines.collect::<Result<_>>()?;
    // The host keys are known before the guests are up: there is no first connection on trust.
    keys::write_known_hosts(paths, machines.iter())?;
    guests::wait_for_all(&machines, narration)?;
    write_inventory(paths, &endpoint, options.guests.iter().zip(&machines))?;
    Ok((endpoint, machines))
}

fn write_inventory<'a>(
    paths: &Paths,
    endpoint: &Endpoint,
    guests: impl Iterator<Item = (&'a GuestSpec, &'a Machine)>,
) -> Result<()> {
    let host = |(guest, machine): (&GuestSpec, &Machine)| Host {
        name: guest.name.clone(),
        address: "127.0.0.1",
        port: machine.ssh_port(),
        environment: guest.environment.clone(),
    };
    let hosts: Vec<Host> = guests.map(host).collect();
    let agent = endpoint.url_for_guests();
    let urls = Urls { controller: &endpoint.url, agent: &agent, region: &endpoint.region };
    let files = [
        (paths.environment(), endpoint.shell_exports()),
        (paths.inventory(), inventory::text(&hosts, urls)?),
    ];
    for (path, text) in files {
        crate::private_file::write(&path, &text)
            .with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}

fn image(paths: &Paths, guest: &GuestSpec, narration: &Narration) -> Result<Image> {
    guests::image(paths, &Recipe::builtin(&guest.recipe)?, narration)
}

fn endpoint(paths: &Paths, options: &LabOptions, programs_changed: bool) -> Result<Endpoint> {
    let narration = &options.narration;
    if let Some(endpoint) = Endpoint::find(paths) {
        if programs_changed {
            narration
                .say("the endpoint still runs the older ssm-lab; `hil lab up --fresh` starts the new one");
        }
        narration.say(&format!("the endpoint is up at {}", endpoint.url));
        return Ok(endpoint);
    }
    narration.step("starting the endpoint", || Endpoint::start(paths, &options.programs))
}

fn stop(paths: &Paths, how: SwitchOff, narration: &Narration) -> Result<()> {
    let machines = guests::switch_off(&guests::all(&paths.guests())?, how, narration);
    if endpoint::stop(paths) {
        narration.say("the endpoint is stopped");
    }
    machines
}

/// Everything that `up` has made; never the directory itself, in which others may keep things.
fn remove(paths: &Paths, narration: &Narration) -> Result<()> {
    stop(paths, SwitchOff::Cut, narration)?;
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
