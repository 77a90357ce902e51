//! A machine that has booted once, kept with a snapshot of that moment: a copy of it is a usable host in seconds.
//!
//! It lives in the user's cache under a hash of all that went into it (image, board, QEMU), so it is made again when one of
//! them changes. Boards without snapshots have none; their machines boot each time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use images::{Cache, Image, Recipe};
use sha2::{Digest as _, Sha256};

use super::arguments::Start;
use super::{Layout, MachineSpec, Qemu};
use crate::machine::{Machine as _, MachineError, wait_for_ssh, wait_until_booted};
use crate::narration::Narration;

/// The snapshot of the first minute.
pub const FRESH: &str = "fresh";
/// A boot takes 30 s on an idle machine and minutes on one that compiles beside it.
const BOOT_LIMIT: Duration = Duration::from_mins(15);
const SHUTDOWN_LIMIT: Duration = Duration::from_mins(2);
/// Changes when machines of an older program can't be loaded any more.
const FORM: u32 = 2;

/// A machine to copy.
#[derive(Debug, Clone)]
pub struct Template {
    machine: Qemu,
}

impl Template {
    /// The template of an image: from the cache, or made now in `workshop`, which boots it once. The workshop must lie in
    /// the cache's file system, and whoever owns it ends what runs there if this program is killed.
    pub async fn get(
        recipe: &Recipe,
        image: &Image,
        workshop: &Path,
        narration: &Narration,
    ) -> Result<Self, MachineError> {
        let name = recipe.name();
        let failed = |action, path: &Path, source| MachineError::File {
            name: name.to_owned(),
            action,
            path: path.to_owned(),
            source,
        };
        let cache = Cache::of_user().map_err(|error| MachineError::Tool {
            name: name.to_owned(),
            tool: "the cache".to_owned(),
            message: error.to_string(),
        })?;
        let machines = cache.directory().join("machines");
        fs::create_dir_all(&machines).map_err(|error| failed("can't create", &machines, error))?;
        let lock_path = machines.join(format!("{name}.lock"));
        let lock = fs::File::create(&lock_path).map_err(|error| failed("can't write", &lock_path, error))?;
        tokio::task::block_in_place(|| lock.lock())
            .map_err(|error| failed("can't lock", &lock_path, error))?;
        let place = machines.join(format!("{name}-{}", fingerprint(recipe, image)));
        if let Some(machine) = Qemu::open(&place)?.filter(|machine| machine.check_image().is_ok()) {
            return Ok(Self { machine });
        }
        sweep(&machines, name);
        let work = workshop.join(format!("template-{name}"));
        let mut machine =
            narration.step_async(&format!("booting {name} once"), make(&work, recipe, image)).await?;
        fs::rename(&work, &place).map_err(|error| failed("can't put a machine at", &place, error))?;
        machine.move_to(&place)?;
        Ok(Self { machine })
    }

    /// A copy in `directory`, switched off, with the template's keys and name.
    pub fn copy_to(&self, directory: &Path) -> Result<Qemu, MachineError> {
        let mut copy = self.machine.clone();
        let from = self.machine.directory();
        if directory.exists() {
            fs::remove_dir_all(directory)
                .map_err(|error| copy.file_error("can't delete", directory.to_owned(), error))?;
        }
        fs::create_dir_all(directory)
            .map_err(|error| copy.file_error("can't create", directory.to_owned(), error))?;
        let mut cp = Command::new("cp");
        cp.args(["-a", "--reflink=auto", "--sparse=always", "--"]).arg(from.join(".")).arg(directory);
        copy.tool("cp", "coreutils", &mut cp)?;
        let _ = fs::remove_file(directory.join("console.log"));
        copy.state.ssh_port = crate::machine::port::free().unwrap_or_default();
        copy.move_to(directory)?;
        Ok(copy)
    }

    /// Where it lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.machine.directory()
    }
}

impl Qemu {
    /// Switches a copy on: at its snapshot if its board has any, else by a boot.
    pub fn first_start(&mut self) -> Result<(), MachineError> {
        let snapshots = self.board()?.has_snapshots();
        self.on_a_free_port(if snapshots { Start::Snapshot(FRESH) } else { Start::Boot })
    }

    /// After its directory was moved or copied: paths of its own key pair and known hosts lie in it.
    fn move_to(&mut self, directory: &Path) -> Result<(), MachineError> {
        self.layout = Layout::new(directory.to_owned());
        self.state.identity = directory.join("id_ed25519");
        self.state.known_hosts = directory.join("known_hosts");
        self.check_socket()?;
        let key = self.host_key()?;
        let line = crate::ssh::known_hosts_line("127.0.0.1", self.state.ssh_port, &key);
        let path = self.state.known_hosts.clone();
        crate::private_file::write(&path, &line)
            .map_err(|source| self.file_error("can't write", path, source))?;
        self.remember()
    }
}

async fn make(work: &Path, recipe: &Recipe, image: &Image) -> Result<Qemu, MachineError> {
    let pair = work.with_extension("pair");
    let failed = |path: &PathBuf, source| MachineError::File {
        name: recipe.name().to_owned(),
        action: "can't make keys in",
        path: path.clone(),
        source,
    };
    let _ = fs::remove_dir_all(&pair);
    fs::create_dir_all(&pair).map_err(|error| failed(&pair, error))?;
    let identity = pair.join("id_ed25519");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "bootstrap-lab", "-f"]).arg(&identity);
    keygen.status().map_err(|error| failed(&pair, error))?;
    let known_hosts = pair.join("known_hosts");
    let spec = MachineSpec { name: "host-1", image, recipe, identity: &identity, known_hosts: &known_hosts };
    let mut machine = Qemu::create(work, &spec).await?;
    for name in ["id_ed25519", "id_ed25519.pub"] {
        fs::rename(pair.join(name), work.join(name)).map_err(|error| failed(&pair, error))?;
    }
    let _ = fs::remove_dir_all(&pair);
    machine.move_to(work)?;
    if machine.board()?.has_snapshots() {
        machine.first_power_on()?;
        machine.move_to(work)?;
        let made = boot_and_save(&machine).await;
        machine.quit().await?;
        made?;
    }
    Ok(machine)
}

/// The first boot writes what later ones read (machine id, journal, caches), and must survive a power cut: so the guest is
/// shut down once in order, and the snapshot is of its second boot.
async fn boot_and_save(machine: &Qemu) -> Result<(), MachineError> {
    wait_for_ssh(machine, BOOT_LIMIT).await?;
    wait_until_booted(machine, BOOT_LIMIT).await?;
    machine.power_off(SHUTDOWN_LIMIT).await?;
    machine.boot()?;
    wait_for_ssh(machine, BOOT_LIMIT).await?;
    wait_until_booted(machine, BOOT_LIMIT).await?;
    machine.human("savevm", FRESH)
}

/// Whatever changes what a snapshot can be loaded into.
fn fingerprint(recipe: &Recipe, image: &Image) -> String {
    let board = targets::Board::named(&recipe.machine().board);
    let version = board.and_then(|board| Command::new(board.program.0).arg("--version").output().ok());
    let text = format!(
        "{FORM} {} {} {board:?} {}",
        image.directory().display(),
        recipe.append().unwrap_or_default(),
        String::from_utf8_lossy(&version.map(|output| output.stdout).unwrap_or_default())
    );
    let mut digest = hex::encode(Sha256::digest(text));
    digest.truncate(16);
    digest
}

/// Templates of older images.
fn sweep(machines: &Path, name: &str) {
    for entry in fs::read_dir(machines).into_iter().flatten().flatten() {
        let file = entry.file_name();
        let Some(file) = file.to_str() else { continue };
        let old = file
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|hash| hash.len() == 16);
        if old {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
