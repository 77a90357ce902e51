//! A run: which scenarios meet which machines, several at a time, each within its limit, and what became of each.

mod cells;
mod work;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::{Mutex, watch};

use crate::bench::Stock;
use crate::lab::{Programs, packages};
use crate::narration::Narration;
use crate::report::{Cell, Report};
pub use cells::{Selection, cells};
pub(crate) use work::sweep;
pub use work::{Workshop, watch};
use worker::Worker;

/// What a run is to be.
#[derive(Debug)]
pub struct Options {
    /// Which scenarios on which machines.
    pub selection: Selection,
    /// How many at a time.
    pub jobs: usize,
    /// The seed of all that is chosen at random.
    pub seed: u64,
    /// How often each scenario runs, each time with the next seed.
    pub repeat: u32,
    /// Where reports and logs go.
    pub results: PathBuf,
    /// The programs under test.
    pub programs: Programs,
    /// Where progress goes.
    pub narration: Narration,
}

/// Something that a run tells while it goes on.
#[derive(Debug)]
pub enum News<'a> {
    /// A cell begins.
    Began(&'a str, &'a str),
    /// A cell has ended.
    Ended(&'a Cell),
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ran {
    /// What it found.
    pub report: Report,
    /// Whether all of it has ended as it should: what could not be tidied up must not cost the report.
    pub tidied: Result<()>,
}

/// Runs everything that is selected. `tell` hears of each beginning and end; `stop` turns true when no more shall begin
/// and what runs shall end.
pub async fn run(
    options: Options,
    stop: watch::Receiver<bool>,
    tell: impl Fn(News<'_>) + Send + Sync + 'static,
) -> Result<Ran> {
    let Options { selection, jobs, seed, repeat, results, programs, narration } = options;
    let (cells, mut machines) = cells(&selection, repeat, seed)?;
    ensure!(!cells.is_empty(), "nothing is selected; `hil list` shows what there is");
    std::fs::create_dir_all(&results).with_context(|| format!("can't create {}", results.display()))?;
    let workshop = Workshop::open(&programs).await?;
    let stock = Stock {
        packages: packages::undisturbed(&workshop.directory().join("packages"), &programs)?,
        programs,
        workshop: workshop.directory().to_owned(),
        boards: selection.boards.clone(),
        images: selection.images.clone(),
        narration,
        holds: std::sync::Mutex::default(),
    };
    let (started, begin) = (Timestamp::now(), Instant::now());
    let shared = Arc::new(worker::Shared {
        stock: Arc::new(stock),
        queue: Mutex::new(cells),
        busy: Mutex::default(),
        unmade: Mutex::default(),
        done: Mutex::new(Vec::new()),
        runs_on: Mutex::default(),
        results,
        begin,
        tell: Box::new(tell),
    });
    let workers = (0..jobs.max(1)).map(|number| {
        let worker = Worker::new(number, Arc::clone(&shared), stop.clone());
        tokio::spawn(worker.run())
    });
    let ended: std::result::Result<Vec<Result<()>>, _> = join_all(workers).await.into_iter().collect();
    let closed = workshop.close().await.context("what the run has left can't be tidied up");
    let ended = ended.context("a worker panicked, and what it had begun is not in the report");
    let tidied = ended.and_then(|workers| workers.into_iter().collect::<Result<()>>()).and(closed);
    let runs_on = shared.runs_on.lock().await;
    for machine in &mut machines {
        runs_on.get(&machine.name).cloned().unwrap_or_default().clone_into(&mut machine.runs_on);
    }
    let cells = std::mem::take(&mut *shared.done.lock().await);
    let report = Report {
        schema: 1,
        started: started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        elapsed_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        seed,
        jobs,
        interrupted: *stop.borrow(),
        machines,
        cells,
    };
    Ok(Ran { report, tidied })
}
