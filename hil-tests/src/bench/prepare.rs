//! How a bench comes to be, and how it is brought to where a scenario starts: by a snapshot where the machine has any, by
//! a reinstallation where it has none, as it is where it has neither, and not at all where the scenario before left it right
//! there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use images::{Image, Recipe};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{Bench, Record, invariants};
use crate::kinds::Kind;
use crate::lab::{Paths, Programs, endpoint, guests};
use crate::machine::board::{Board, BoardFile};
use crate::machine::qemu::{FRESH, Template};
use crate::machine::{Ability, Machine, keep_time, wait_for_ssh, wait_until_booted};
use crate::narration::Narration;
use crate::own_image::OwnImage;
use crate::scenarios::{Scenario, Start};
use crate::wait::Deadline;

/// The snapshot of a machine that is a managed node.
const ENROLLED: &str = "enrolled";
/// From a snapshot a host answers in seconds; from a boot under emulation it takes minutes.
const RESTORE_LIMIT: Duration = Duration::from_mins(3);
const BOOT_LIMIT: Duration = Duration::from_mins(15);
/// An agent that was restarted says so at once.
const PING_LIMIT: Duration = Duration::from_mins(2);

/// What all benches of a run share.
#[derive(Debug)]
pub struct Stock {
    /// The programs under test.
    pub programs: Programs,
    /// The agent's packages in AWS's layout.
    pub packages: PathBuf,
    /// Where benches work; nothing in it outlives the run.
    pub workshop: PathBuf,
    /// Real boards.
    pub boards: Vec<BoardFile>,
    /// Images of the user's own.
    pub images: Vec<OwnImage>,
    /// Where progress goes.
    pub narration: Narration,
    /// What keeps `images gc` away from the images of this run.
    pub holds: Mutex<Vec<File>>,
}

impl Stock {
    /// A machine of that kind in `directory`, switched on.
    async fn machine(&self, kind: &Kind, directory: &Path) -> Result<Box<dyn Machine>> {
        self.machine_of(Recipe::builtin(kind.recipe)?, directory).await
    }

    async fn machine_of(&self, recipe: Recipe, directory: &Path) -> Result<Box<dyn Machine>> {
        let image = self.image(&recipe)?;
        let template = Template::get(&recipe, &image, &self.workshop, &self.narration).await?;
        let mut machine = template.copy_to(directory)?;
        machine.first_start()?;
        Ok(Box::new(machine))
    }

    /// The image of a recipe, built if it is not cached.
    pub fn image(&self, recipe: &Recipe) -> Result<Image> {
        let image = tokio::task::block_in_place(|| guests::image(&self.packages, recipe, &self.narration))?;
        self.holds.lock().unwrap_or_else(PoisonError::into_inner).push(image.hold()?);
        Ok(image)
    }
}

impl Bench {
    /// A bench for the machine of that name and kind, in a directory of its own. A machine of QEMU is made and on; a real
    /// board is as it is.
    pub async fn open(name: &str, kind: &'static Kind, stock: Arc<Stock>, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("can't create {}", directory.display()))?;
        let place = directory.join("machine");
        let board = stock.boards.iter().find(|board| board.name == name);
        let own = stock.images.iter().find(|own| own.recipe.name() == name);
        let machine: Box<dyn Machine> = match (board, own) {
            (Some(board), _) => Box::new(Board::open(board, &place).await?),
            (None, Some(own)) => stock.machine_of(own.recipe.clone(), &place).await?,
            (None, None) => stock.machine(kind, &place).await?,
        };
        let paths = Paths::new(directory)?;
        let packages = paths.packages();
        if !packages.exists() {
            std::os::unix::fs::symlink(&stock.packages, &packages).context("can't link the packages")?;
        }
        let mut timekeeper = JoinSet::new();
        if machine.clock_falls_behind() {
            timekeeper.spawn(keep_time(machine.login("root")));
        }
        let record = Record::new(directory.join("record")).context("can't make a record")?;
        Ok(Self {
            kind,
            machine,
            second: None,
            stock,
            paths,
            endpoint: None,
            standing: None,
            record,
            logs: Vec::new(),
            seed: 0,
            runs: 0,
            undisturbed: None,
            journal: None,
            _timekeeper: timekeeper,
        })
    }

    /// Brings everything to where the scenario starts.
    pub async fn prepare(&mut self, scenario: &Scenario, seed: u64, record: Record) -> Result<()> {
        (self.seed, self.record, self.runs) = (seed, record, 0);
        self.watch_logs();
        let _ = fs::remove_dir_all(self.home());
        match (scenario.start, self.standing.take()) {
            (Start::Enrolled, Some(Start::Enrolled)) if !self.machine.can(Ability::Snapshots) => {
                self.start_endpoint().await?;
                self.write_inventory()?;
            }
            (Start::Enrolled, _) => self.prepare_enrolled().await?,
            (Start::Fresh, _) => self.prepare_fresh().await?,
        }
        if let Some(kind) = scenario.second {
            let directory = self.paths.directory().join("second");
            let machine = self.stock.machine(kind, &directory).await?;
            wait_for_ssh(&*machine, BOOT_LIMIT).await?;
            self.logs.push(("console-2.log", machine.console(), 0));
            self.second = Some(machine);
        }
        self.mark("prepared");
        Ok(())
    }

    /// After a scenario: what it leaves for the next, and what ends with it.
    pub async fn release(&mut self, leaves: Option<Start>) {
        if let Some(second) = self.second.take() {
            // The sweep at the end of the run finds one that resists.
            let _ = second.power_cut().await;
        }
        endpoint::stop(&self.paths).await;
        self.endpoint = None;
        self.standing = leaves;
        if leaves == Some(Start::Enrolled)
            && self.machine.can(Ability::Snapshots)
            && self.keep_enrolled().await.is_err()
        {
            // Whoever wants it enrols it then.
            let _ = fs::remove_dir_all(self.enrolled_state());
        }
    }

    /// Keeps an enrolled machine and its endpoint for the scenarios that begin with them, unless there is one already.
    async fn keep_enrolled(&self) -> Result<()> {
        if self.enrolled_state().exists() {
            return Ok(());
        }
        self.machine.save(ENROLLED).await?;
        copy_directory(&self.paths.endpoint_state(), &self.enrolled_state()).await
    }

    /// Switches everything off. After an error a board may be running still, or its card be here.
    pub async fn close(mut self) -> Result<()> {
        self.release(None).await;
        self.machine.power_cut().await.context("not everything could be switched off and given back")
    }

    /// Everything as it was when a scenario that begins with a bare host began.
    pub async fn start_over(&mut self) -> Result<()> {
        let _ = fs::remove_dir_all(self.home());
        self.prepare_fresh().await
    }

    async fn prepare_fresh(&mut self) -> Result<()> {
        if self.machine.can(Ability::Snapshots) {
            self.restore(FRESH).await?;
        } else {
            self.machine.reinstall().await?;
            self.machine.power_on().await?;
            wait_for_ssh(self.machine(), BOOT_LIMIT).await?;
            wait_until_booted(self.machine(), BOOT_LIMIT).await?;
        }
        self.fresh_endpoint().await
    }

    async fn prepare_enrolled(&mut self) -> Result<()> {
        if self.enrolled_state().exists() {
            self.restore(ENROLLED).await?;
            copy_directory(&self.enrolled_state(), &self.paths.endpoint_state()).await?;
            self.start_endpoint().await?;
            self.write_inventory()?;
            // Its connections and its sense of time are those of the snapshot. What it says before its end proves nothing.
            self.root(&["systemctl", "stop", "amazon-ssm-agent"]).await?;
            let before = pings(&self.live_nodes().await?);
            self.root(&["systemctl", "start", "amazon-ssm-agent"]).await?;
            return self.wait_for_ping(before).await;
        }
        if self.machine.can(Ability::Reinstall) {
            self.prepare_fresh().await?;
        } else {
            self.prepare_as_it_is().await?;
        }
        let ran = self.enrol().await?.expect_code(0).context("the host could not be enrolled beforehand")?;
        ensure!(ran.host(super::HOST)?["outcome"] == "online", "it is not online: {ran:#?}");
        if self.machine.can(Ability::Snapshots) {
            endpoint::stop(&self.paths).await;
            self.keep_enrolled().await?;
            self.start_endpoint().await?;
        }
        // What the preparation left belongs to no scenario.
        fs::remove_dir_all(self.home()).context("can't empty the home of bootstrap")?;
        Ok(())
    }

    /// A board whose disk stays: only its registration, which nobody knows any more, goes out of the way.
    async fn prepare_as_it_is(&mut self) -> Result<()> {
        self.machine.power_on().await?;
        wait_for_ssh(self.machine(), BOOT_LIMIT).await?;
        wait_until_booted(self.machine(), BOOT_LIMIT).await?;
        self.set_registration_aside().await?;
        // It may have months of a journal; codes of this endpoint are not made before now.
        let newest = self.root_sh("journalctl -n0 --show-cursor 2>/dev/null; true").await?;
        self.journal = invariants::cursor(&newest);
        self.fresh_endpoint().await
    }

    async fn restore(&self, snapshot: &str) -> Result<()> {
        if self.machine.is_on() {
            // A scenario may have pulled the cable, and a monitor's snapshot does not plug it in again.
            self.machine.set_link(true).await?;
            self.machine.limit_disk(None).await?;
        }
        self.machine.load(snapshot).await?;
        wait_for_ssh(self.machine(), RESTORE_LIMIT).await?;
        Ok(())
    }

    /// An endpoint that knows nobody, where the last one was.
    async fn fresh_endpoint(&mut self) -> Result<()> {
        endpoint::stop(&self.paths).await;
        let state = self.paths.endpoint_state();
        if state.exists() {
            fs::remove_dir_all(&state).with_context(|| format!("can't delete {}", state.display()))?;
        }
        self.start_endpoint().await?;
        self.write_inventory()
    }

    /// More than `before`: the endpoint's state tells of pings from before the snapshot, too.
    async fn wait_for_ping(&self, before: u64) -> Result<()> {
        let deadline = Deadline::after(PING_LIMIT);
        loop {
            self.machine.check_alive()?;
            let nodes = self.live_nodes().await?;
            if pings(&nodes) > before {
                return Ok(());
            }
            ensure!(
                deadline.pause(Duration::from_millis(200)).await,
                "the restored host did not come Online within {PING_LIMIT:?}: {nodes:#?}"
            );
        }
    }

    /// The endpoint's state when the snapshot of the enrolled machine was taken.
    fn enrolled_state(&self) -> PathBuf {
        self.paths.directory().join("endpoint.enrolled")
    }
}

/// How often all nodes together have pinged.
fn pings(nodes: &[Value]) -> u64 {
    nodes.iter().filter_map(|node| node["pings"].as_u64()).sum()
}

async fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("can't delete {}", to.display()))?;
    }
    let status = tokio::process::Command::new("cp").arg("-a").args([from, to]).status().await;
    let status = status.context("can't run cp")?;
    ensure!(status.success(), "can't copy {} to {}", from.display(), to.display());
    Ok(())
}
