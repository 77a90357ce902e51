//! `hil run`: scenarios on machines, told as they end, and reported.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::Narration;
use crate::lab::{AGENT_VARIABLE, Programs, STATICS_VARIABLE};
use crate::machine::board::BoardFile;
use crate::own_image::OwnImage;
use crate::report::{self, Outcome};
use crate::runner::{self, News, Options, Ran, Selection};
use crate::scenarios::Set;

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// A machine; may be given several times [default: all that are not slow].
    #[arg(long, value_name = "NAME")]
    machine: Vec<String>,
    /// A scenario, `*` stands for anything; may be given several times.
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// How much, where no scenario is named.
    #[arg(long, value_enum, default_value = "full")]
    set: Set,
    /// Scenarios at a time [default: the number of processors].
    #[arg(long, value_name = "N", value_parser = super::fleet::at_least_one())]
    jobs: Option<usize>,
    /// The seed of all that is chosen at random [default: a new one, which is shown].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Run each scenario so often, each time with the next seed.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// A file that describes a real board; its name is a machine then.
    #[arg(long, value_name = "FILE")]
    board: Vec<PathBuf>,
    /// A recipe of your own, and the machine it is like; its name is a machine then.
    #[arg(long, value_name = "KIND=RECIPE.toml")]
    image: Vec<OwnImage>,
    /// Where report.html, report.json, junit.xml and the logs go.
    #[arg(long, value_name = "DIR", default_value = "target/hil")]
    results: PathBuf,
    #[command(flatten)]
    places: Places,
}

/// Where the programs are that take part.
#[derive(Debug, Args)]
pub(super) struct Places {
    /// The stand-in agent for this computer's architecture [default: agent/amazon-ssm-agent beside this program].
    #[arg(long, value_name = "PATH", env = AGENT_VARIABLE)]
    agent: Option<PathBuf>,
    /// Static builds as `tools/dist.sh --tests` makes them [default: `$XDG_CACHE_HOME/bootstrap/static/hil`].
    #[arg(long, value_name = "DIR", env = STATICS_VARIABLE)]
    statics: Option<PathBuf>,
}

impl Places {
    pub(super) fn programs(&self) -> Result<Programs> {
        let mut programs = Programs::beside_this_program(self.agent.as_deref())?;
        if let Some(statics) = &self.statics {
            programs.statics.clone_from(statics);
        }
        Ok(programs)
    }
}

impl Run {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let narration = Narration::stderr();
        let Interruption { stop, told, at_once } = interruption(narration.clone()).await?;
        // All of it is a task of its own: it may be in the middle of something that blocks when somebody wants to end, be it
        // only that nobody reads what it says.
        let running = tokio::spawn(async move {
            let ended = self.through(narration, stop.clone()).await;
            let code = ended.unwrap_or_else(|error| super::failure(&error));
            if *stop.borrow() {
                // It speaks in a thread of its own.
                let _ = told.await;
            }
            code
        });
        tokio::select! {
            code = running => code.context("the run panicked"),
            _ = at_once => Ok(ExitCode::from(130)),
        }
    }

    async fn through(self, narration: Narration, stop: watch::Receiver<bool>) -> Result<ExitCode> {
        let boards: Vec<BoardFile> =
            self.board.iter().map(|path| BoardFile::read(path)).collect::<Result<_>>()?;
        let seed = self.seed.unwrap_or_else(new_seed);
        let results = std::path::absolute(&self.results).context("can't resolve the directory of results")?;
        narration.say(&format!("the seed is {seed}"));
        let options = Options {
            programs: self.places.programs()?,
            selection: Selection {
                machines: self.machine,
                scenarios: self.scenario,
                set: self.set,
                boards,
                images: self.image,
            },
            jobs: self.jobs.unwrap_or_else(processors),
            seed,
            repeat: self.repeat,
            results: results.clone(),
            narration: narration.clone(),
        };
        let tell = move |news: News<'_>| match news {
            News::Began(machine, scenario) => narration.say(&format!("  ...   {machine} {scenario}")),
            News::Ended(cell) => narration.say(&report::terminal::line(cell)),
        };
        let Ran { report, tidied } = runner::run(options, stop, tell).await?;
        let written = report::write(&report, &results);
        super::print(&report::terminal::summary(&report, &results))?;
        written.and(tidied)?;
        let ran = report.count(Outcome::Passed).saturating_add(report.count(Outcome::Failed));
        ensure!(ran > 0 || report.interrupted, "no scenario ran: all were skipped, for the reasons above");
        Ok(exit_code(&report))
    }
}

fn exit_code(report: &report::Report) -> ExitCode {
    if report.interrupted {
        return ExitCode::from(130);
    }
    if report.count(Outcome::Failed) > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What is heard of Ctrl-C and SIGTERM.
struct Interruption {
    /// Turns true at the first.
    stop: watch::Receiver<bool>,
    /// Comes when that was said.
    told: oneshot::Receiver<()>,
    /// Comes at the second.
    at_once: oneshot::Receiver<()>,
}

/// Listens for signals; from its return on none is lost. It does so in a thread of its own: whatever the threads of the run wait
/// for, it hears.
async fn interruption(narration: Narration) -> Result<Interruption> {
    let (stop, stopped) = watch::channel(false);
    let ((say, told), (end, at_once), (ready, listens)) =
        (oneshot::channel(), oneshot::channel(), oneshot::channel());
    let listen = async move {
        let signals =
            signal(SignalKind::interrupt()).and_then(|one| Ok((one, signal(SignalKind::terminate())?)));
        let (mut interrupt, mut terminate) = match signals {
            Ok(signals) => signals,
            Err(error) => return drop(ready.send(Err(error))),
        };
        let _ = ready.send(Ok(()));
        let mut heard = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        heard().await;
        stop.send_replace(true);
        // Where nobody reads what is said, the next one is heard all the same.
        std::thread::spawn(move || {
            narration.say("interrupted: what runs is ended, and the report is written; once more ends at once, without a report");
            let _ = say.send(());
        });
        heard().await;
        // Nobody listens any more if the run has just ended.
        let _ = end.send(());
        // Dropped, it would say that nobody can interrupt any more; that is true, but the readers wait on it.
        std::future::pending::<()>().await;
    };
    let runtime = Builder::new_current_thread().enable_io().build().context("can't listen for signals")?;
    std::thread::spawn(move || runtime.block_on(listen));
    listens.await?.context("can't listen for signals")?;
    Ok(Interruption { stop: stopped, told, at_once })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Short enough to be typed again.
pub(super) fn new_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs().wrapping_mul(1_000).wrapping_add(u64::from(now.subsec_millis())) % 1_000_000
}
