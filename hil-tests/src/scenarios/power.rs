//! Power that goes at the worst moment. The moments are those of the plan, or chosen at random from a seed that is shown.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::Rng as _;

use crate::bench::{Bench, Ending, HOST};
use crate::machine::wait_for_ssh;

/// A boot takes 30 s on an idle machine and minutes on one that is busy.
const BOOT_LIMIT: Duration = Duration::from_mins(15);

/// Cuts the power `after` this time, or when the run has ended before; then the next run must converge.
async fn cut_and_converge(bench: &mut Bench, after: Duration) -> Result<()> {
    let inventory = bench.inventory();
    let mut started = bench.start_enrolling(&inventory)?;
    let begin = Instant::now();
    while begin.elapsed() < after && !started.running().has_ended() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cut(bench, started).await
}

async fn cut(bench: &mut Bench, started: crate::bench::Started) -> Result<()> {
    bench.machine().power_cut().await?;
    bench.mark("the power is cut");
    // Its host is gone; what it makes of that is the matter of other scenarios.
    started.kill(bench).await?;
    bench.machine().power_on().await?;
    wait_for_ssh(bench.machine(), BOOT_LIMIT).await?;
    bench.mark("the host is back");
    let host = bench.enrol().await?.expect_code(0)?.host(HOST)?;
    ensure!(host["outcome"] == "online", "{host:#}");
    Ok(())
}

pub(super) async fn at_random(bench: &mut Bench) -> Result<()> {
    // Measured once for a machine, so that moments are spread over all of a run there.
    let whole = if let Some(whole) = bench.undisturbed() {
        whole
    } else {
        let whole = bench.measure_undisturbed().await?;
        // Its activation goes with the endpoint's state, and nobody could look for the code afterwards.
        bench.check_invariants(Ending::Enrolled).await.context("after the run that is measured")?;
        bench.start_over().await?;
        whole
    };
    let after = whole.mul_f64(bench.random().random_range(0.02..1.0));
    bench.mark(format!("the power will go after {} ms of {}", after.as_millis(), whole.as_millis()));
    cut_and_converge(bench, after).await
}

/// One cut for each action that a dry run announces, a random moment after the sign that it has begun.
pub(super) async fn in_each_action(bench: &mut Bench) -> Result<()> {
    let inventory = bench.inventory().to_string_lossy().into_owned();
    let planned = bench.run(&["--inventory", &inventory, "--output", "json", "--dry-run"]).await?;
    let planned = planned.expect_code(0)?.host(HOST)?;
    let actions: Vec<String> = planned["actions"]
        .as_array()
        .context("a plan without actions")?
        .iter()
        .filter_map(|action| Some(action.as_str()?.to_owned()))
        .collect();
    let mut random = bench.random();
    for action in actions {
        let sign = Sign::of(&action).with_context(|| format!("nothing tells when {action:?} begins"))?;
        bench.start_over().await?;
        bench.mark(format!("a cut in: {action}"));
        let told = || format!("after a power cut in {action:?}");
        let inventory = bench.inventory();
        let mut started = bench.start_enrolling(&inventory)?;
        sign.wait(bench, &mut started).await.with_context(told)?;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..LONGEST_MS))).await;
        cut(bench, started).await.with_context(told)?;
        bench.check_invariants(Ending::Enrolled).await.with_context(told)?;
    }
    Ok(())
}

/// An emulated host takes so long for most actions.
const LONGEST_MS: u64 = 3_000;

/// What tells from outside that an action has begun.
enum Sign {
    /// `bootstrap` says so.
    Said(&'static str),
    /// The endpoint was called.
    Called(&'static str),
}

impl Sign {
    fn of(action: &str) -> Option<Self> {
        let signs = [
            ("send ", Self::Said("sending the package")),
            // It is the first of what one command does, the installation being the second.
            ("write ", Self::Said("installing")),
            ("install ", Self::Said("installing")),
            ("register ", Self::Said("registering")),
            ("enable ", Self::Called("RegisterManagedInstance")),
            ("tag ", Self::Called("UpdateInstanceInformation")),
        ];
        signs.into_iter().find(|(begin, _)| action.starts_with(begin)).map(|(_, sign)| sign)
    }

    async fn wait(&self, bench: &Bench, started: &mut crate::bench::Started) -> Result<()> {
        let operation = match self {
            Self::Said(words) => return started.running().wait_for(&format!("{HOST}: {words}")).await,
            Self::Called(operation) => operation,
        };
        let before = bench.calls(operation).await?;
        while bench.calls(operation).await? == before && !started.running().has_ended() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}
