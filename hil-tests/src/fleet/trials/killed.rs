//! SIGKILL of the controller at any instant, as by a power cut of its machine; then the same command again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::{Chances, LIMIT, check_invariants};
use crate::fleet::rehearsal::Stage;
use crate::fleet::{HostPlan, Network, Rehearsal};
use crate::narration::Narration;

/// Enough for several to be at different steps when it happens.
const HOSTS: usize = 6;
const ARGUMENTS: [&str; 3] = ["--output", "json", "--quiet"];

pub(super) async fn run(
    directory: &std::path::Path,
    stage: &Stage,
    chances: Chances,
    narration: &Narration,
) -> Result<()> {
    let plans = HostPlan::sound(HOSTS);
    let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
    let mut whole = None;
    for kill in 0..=chances.kills {
        let place = directory.join(format!("kill-{kill}"));
        let rehearsal = Rehearsal::open(&place, stage, Network::loopback(), &plans).await?;
        let Some(undisturbed) = whole else {
            // Measured on the first fleet, which is thrown away: instants are spread over all of a run.
            let begin = Instant::now();
            rehearsal.measure(&rehearsal.bootstrap(&ARGUMENTS), LIMIT).await?.expect_code(0)?;
            whole = Some(begin.elapsed());
            rehearsal.close().await?;
            continue;
        };
        let seed = seed_of(chances, kill);
        let after: Duration = undisturbed.mul_f64(StdRng::seed_from_u64(seed).random_range(0.0..1.0));
        kill_after(&rehearsal, after).await?;
        let told = || format!("killed after {} ms, seed {seed}", after.as_millis());
        let again = rehearsal.measure(&rehearsal.bootstrap(&ARGUMENTS), LIMIT).await?;
        again.expect_code(0).with_context(told)?;
        check_invariants(&rehearsal, &names).await.with_context(told)?;
        narration.say(&format!(
            "killed after {} of {} ms, seed {seed}: converged",
            after.as_millis(),
            undisturbed.as_millis()
        ));
        rehearsal.close().await?;
        std::fs::remove_dir_all(&place).with_context(|| format!("can't delete {}", place.display()))?;
    }
    Ok(())
}

/// Of the first kill, number 1, the seed that was given: with the seed that a kill has said it is made again as it was.
fn seed_of(chances: Chances, kill: u32) -> u64 {
    chances.seed.wrapping_add(u64::from(kill)).wrapping_sub(1)
}

async fn kill_after(rehearsal: &Rehearsal, after: Duration) -> Result<()> {
    let mut command = rehearsal.command(&rehearsal.bootstrap(&ARGUMENTS))?;
    let mut child = command.spawn().context("can't run bootstrap")?;
    let ended = tokio::time::timeout(after, child.wait()).await;
    if ended.is_err() {
        child.kill().await.context("can't kill bootstrap")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_made_again_by_the_seed_that_it_said() {
        let said = seed_of(Chances { seed: 4711, kills: 5 }, 3);
        assert_eq!(seed_of(Chances { seed: said, kills: 1 }, 1), said);
        assert_eq!(seed_of(Chances { seed: u64::MAX, kills: 2 }, 2), 0);
    }
}
