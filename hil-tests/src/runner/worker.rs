//! One of the workers of a run: keeps a bench for as long as there are scenarios for its machine, and takes the next
//! machine then. What a scenario did to its bench never reaches the next one: it starts from a snapshot, or from nothing.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use futures_util::FutureExt as _;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::News;
use super::cells::CellPlan;
use crate::bench::{Bench, Record, Stock};
use crate::machine::Ability;
use crate::report::{Cell, Outcome};
use crate::scenarios::Start;
use crate::ssh::quote;

/// What all workers share.
pub(super) struct Shared {
    pub(super) stock: Arc<Stock>,
    pub(super) queue: Mutex<Vec<CellPlan>>,
    /// Which worker works on which machine.
    pub(super) busy: Mutex<BTreeMap<usize, String>>,
    /// Machines that could not be made, and why: nobody tries for minutes again and again.
    pub(super) unmade: Mutex<BTreeMap<String, String>>,
    pub(super) done: Mutex<Vec<Cell>>,
    pub(super) runs_on: Mutex<BTreeMap<String, String>>,
    pub(super) results: PathBuf,
    pub(super) begin: Instant,
    pub(super) tell: Box<dyn Fn(News<'_>) + Send + Sync>,
}

/// One worker.
pub(super) struct Worker {
    number: usize,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
    bench: Option<(String, Bench)>,
    tidied: Result<()>,
}

/// How a scenario went, before it is a cell of the report.
struct Ended {
    outcome: Outcome,
    causes: Vec<String>,
}

impl Ended {
    /// What fails while the run ends is made to fail by that, and no failure: a terminal tells it an image's tools, too.
    fn once_stopped(self, stopped: bool) -> Self {
        if stopped && self.outcome == Outcome::Failed { Self::interrupted(self.causes) } else { self }
    }

    /// By an interruption, which has made something fail if there are causes.
    fn interrupted(mut causes: Vec<String>) -> Self {
        causes.insert(0, "the run was interrupted".to_owned());
        Self { outcome: Outcome::Skipped, causes }
    }
}

impl Worker {
    pub(super) fn new(number: usize, shared: Arc<Shared>, stop: watch::Receiver<bool>) -> Self {
        Self { number, shared, stop, bench: None, tidied: Ok(()) }
    }

    /// Works until nothing is left to do. An error is the first of the benches that could not be tidied up.
    pub(super) async fn run(mut self) -> Result<()> {
        while !*self.stop.borrow() {
            let Some(plan) = self.take().await else { break };
            let cell = self.cell(&plan).await;
            (self.shared.tell)(News::Ended(&cell));
            self.shared.done.lock().await.push(cell);
        }
        if let Some((_, bench)) = self.bench.take() {
            self.close(bench).await;
        }
        self.tidied
    }

    /// Said at once, since the run may go on for hours.
    async fn close(&mut self, bench: Bench) {
        if let Err(error) = bench.close().await {
            self.shared.stock.narration.say(&format!("{error:#}"));
            self.tidied = std::mem::replace(&mut self.tidied, Ok(())).and(Err(error));
        }
    }

    /// The next scenario of the machine at hand; else of one that nobody works on, and among those, of that with the most left.
    async fn take(&self) -> Option<CellPlan> {
        let mut queue = self.shared.queue.lock().await;
        let mut busy = self.shared.busy.lock().await;
        busy.remove(&self.number);
        let own = self.bench.as_ref().map(|(name, _)| name.as_str());
        let at = queue.iter().position(|plan| Some(plan.machine.as_str()) == own).or_else(|| {
            let left = |name: &str| queue.iter().filter(|plan| plan.machine == name).count();
            let alone = |name: &str| !busy.values().any(|other| other == name);
            // There is one of each board; whoever works on it does all that is left for it.
            let is_board = |name: &str| self.shared.stock.boards.iter().any(|board| board.name == name);
            let free = queue.iter().map(|plan| &plan.machine).filter(|name| alone(name) || !is_board(name));
            let best = free.max_by_key(|name| (alone(name), left(name)))?;
            queue.iter().position(|plan| plan.machine == *best)
        })?;
        // Order matters: a scenario may start where the one before it ended.
        let plan = queue.remove(at);
        busy.insert(self.number, plan.machine.clone());
        Some(plan)
    }

    async fn cell(&mut self, plan: &CellPlan) -> Cell {
        let CellPlan { machine, scenario, seed, .. } = plan;
        (self.shared.tell)(News::Began(machine, scenario.name));
        let begin = Instant::now();
        let started_ms = milliseconds(begin.duration_since(self.shared.begin));
        let logs = PathBuf::from("logs").join(machine).join(format!("{}-{seed}", scenario.name));
        let mut stop = self.stop.clone();
        let mut timeline = Vec::new();
        let (ended, in_the_middle) = tokio::select! {
            ended = self.attempt(plan, self.shared.results.join(&logs), &mut timeline) => {
                let failed = ended.outcome == Outcome::Failed;
                (ended.once_stopped(*self.stop.borrow()), failed)
            }
            () = stopped(&mut stop) => (Ended::interrupted(Vec::new()), true),
        };
        let mut console = String::new();
        // One that was skipped for want of an ability has not touched it.
        if in_the_middle && let Some((_, bench)) = self.bench.take() {
            console = bench.machine().console_tail();
            timeline = bench.marks();
            bench.keep_logs();
            // Whatever it is in the middle of must not reach the next scenario.
            self.close(bench).await;
        }
        Cell {
            machine: machine.clone(),
            scenario: scenario.name.to_owned(),
            summary: scenario.summary.to_owned(),
            outcome: ended.outcome,
            causes: ended.causes,
            seed: *seed,
            started_ms,
            elapsed_ms: milliseconds(begin.elapsed()),
            timeline,
            console,
            logs,
            replay: self.replay(plan),
        }
    }

    /// The command that runs it again as it was.
    fn replay(&self, plan: &CellPlan) -> String {
        let CellPlan { machine, scenario, seed, .. } = plan;
        let stock = &self.shared.stock;
        let mut words = vec!["hil".to_owned(), "run".to_owned()];
        if let Some(board) = stock.boards.iter().find(|board| board.name == *machine) {
            words.extend(["--board".to_owned(), board.path.display().to_string()]);
        }
        if let Some(own) = stock.images.iter().find(|own| own.recipe.name() == machine) {
            words.extend(["--image".to_owned(), format!("{}={}", own.kind.name, own.path.display())]);
        }
        let (scenario, seed) = (scenario.name.to_owned(), seed.to_string());
        let rest = [("--machine", machine.clone()), ("--scenario", scenario), ("--seed", seed)];
        words.extend(rest.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
        typed(&words)
    }

    async fn attempt(
        &mut self,
        plan: &CellPlan,
        logs: PathBuf,
        timeline: &mut Vec<crate::report::Mark>,
    ) -> Ended {
        let scenario = plan.scenario;
        // A scenario that panics has failed like any other.
        let run = AssertUnwindSafe(self.play(plan, logs)).catch_unwind();
        let result = match timeout(scenario.limit, run).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(anyhow!("the scenario panicked")),
            Err(_) => Err(anyhow!("it did not end within {} s", scenario.limit.as_secs())),
        };
        match result {
            Ok(None) => {
                if let Some((_, bench)) = &mut self.bench {
                    *timeline = bench.marks();
                    bench.keep_logs();
                    bench.release(scenario.leaves_enrolled.then_some(Start::Enrolled)).await;
                }
                Ended { outcome: Outcome::Passed, causes: Vec::new() }
            }
            Ok(Some(ability)) => {
                let why = format!("{} has no way to {}", plan.machine, ability.words());
                Ended { outcome: Outcome::Skipped, causes: vec![why] }
            }
            Err(error) => {
                Ended { outcome: Outcome::Failed, causes: error.chain().map(ToString::to_string).collect() }
            }
        }
    }

    /// Prepares, runs, and checks what must hold after every scenario; or says which ability the machine lacks.
    async fn play(&mut self, plan: &CellPlan, logs: PathBuf) -> Result<Option<Ability>> {
        let scenario = plan.scenario;
        let bench = self.bench_of(plan).await?;
        if let Some(lacking) = scenario.lacks(bench.machine()) {
            return Ok(Some(lacking));
        }
        bench.prepare(scenario, plan.seed, Record::new(logs)?).await?;
        (scenario.run)(bench).await?;
        bench.mark("the scenario is through");
        bench.check_invariants(scenario.ending).await?;
        Ok(None)
    }

    async fn bench_of(&mut self, plan: &CellPlan) -> Result<&mut Bench> {
        if self.bench.as_ref().is_some_and(|(name, _)| *name != plan.machine)
            && let Some((_, old)) = self.bench.take()
        {
            self.close(old).await;
        }
        if self.bench.is_none() {
            let place = self.shared.stock.workshop.join(format!("bench-{}", self.number));
            super::work::sweep(&place).await?;
            if let Some(why) = self.shared.unmade.lock().await.get(&plan.machine) {
                bail!("the machine could not be made before: {why}");
            }
            let stock = Arc::clone(&self.shared.stock);
            let bench = match Bench::open(&plan.machine, plan.kind, stock, &place).await {
                Ok(bench) => bench,
                Err(error) => {
                    let mut unmade = self.shared.unmade.lock().await;
                    unmade.insert(plan.machine.clone(), format!("{error:#}"));
                    return Err(error);
                }
            };
            let runs_on = bench.machine().runs_on().to_owned();
            self.shared.runs_on.lock().await.insert(plan.machine.clone(), runs_on);
            self.bench = Some((plan.machine.clone(), bench));
        }
        self.bench.as_mut().map(|(_, bench)| bench).ok_or_else(|| anyhow!("there is no bench"))
    }
}

/// A command as it can be typed: words that a shell would take apart are quoted.
fn typed(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=".contains(c);
    let word = |word: &String| if word.chars().all(plain) { word.clone() } else { quote(word) };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Waits until the run is to end; for ever if nobody can tell it to any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_by_an_interruption_is_no_failure_and_its_causes_are_kept() {
        let of = |outcome| Ended { outcome, causes: vec!["mmdebstrap failed".to_owned()] };
        let ended = of(Outcome::Failed).once_stopped(true);
        assert_eq!(ended.outcome, Outcome::Skipped);
        assert_eq!(ended.causes, ["the run was interrupted", "mmdebstrap failed"]);
        for (outcome, stopped) in
            [(Outcome::Failed, false), (Outcome::Passed, true), (Outcome::Skipped, true)]
        {
            let ended = of(outcome).once_stopped(stopped);
            assert_eq!(ended.outcome, outcome);
            assert_eq!(ended.causes, ["mmdebstrap failed"]);
        }
    }

    #[test]
    fn the_command_that_runs_it_again_can_be_typed_whatever_names_are_in_it() {
        let words = ["hil", "run", "--board", "/it's/pi.toml", "--machine", "my board", "--seed", "7"];
        let line = typed(&words.map(str::to_owned));
        assert!(line.starts_with("hil run --board '") && line.ends_with(" --seed 7"), "{line}");
        let shell = std::process::Command::new("sh").args(["-c", &format!("printf '%s|' {line}")]).output();
        assert_eq!(String::from_utf8(shell.unwrap().stdout).unwrap(), words.join("|") + "|");
    }
}
