//! Clocks that are years off, as on a Pi without a battery, and what AWS's signatures make of them.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::trouble::assert_converges;
use crate::bench::{Bench, HOST};
use crate::machine::{set_clock, set_clock_to};

const YEAR: u64 = 31_556_952;
const IN_2096: Duration = Duration::from_secs(126 * YEAR);

pub(super) async fn in_1970(bench: &mut Bench) -> Result<()> {
    is_named(bench, Duration::from_hours(24), "behind").await?;
    mended(bench).await
}

/// Past 2038, where 32 bits of seconds end.
pub(super) async fn in_2096(bench: &mut Bench) -> Result<()> {
    is_named(bench, IN_2096, "ahead of").await?;
    mended(bench).await
}

/// It stays at being named: systemd of such a userland ends there, and a root that was written to has times that its programs
/// can't read, so that it does not boot again either.
pub(super) async fn past_32_bits(bench: &mut Bench) -> Result<()> {
    is_named(bench, IN_2096, "ahead of").await
}

async fn mended(bench: &mut Bench) -> Result<()> {
    set_clock(bench.machine()).await?;
    bench.mark("the clock is right");
    assert_converges(bench, None).await
}

async fn is_named(bench: &mut Bench, time: Duration, words: &str) -> Result<()> {
    set_clock_to(bench.machine(), time).await?;
    bench.mark(format!("the clock stands at {} s", time.as_secs()));
    let ran = bench.enrol().await?.expect_code(1)?;
    let host = ran.host(HOST)?;
    ensure!(host["outcome"] == "failed" && host["step"] == "plan", "{host:#}");
    ensure!(host["why"].as_str().is_some_and(|why| why.contains(words)), "{host:#}");
    ensure!(host["hint"].as_str().is_some_and(|hint| hint.contains("timedatectl")), "{host:#}");
    ensure!(bench.calls("CreateActivation").await? == 0, "it created an activation");
    let touched = bench.root_sh("ls -A /var/lib/bootstrap /etc/amazon 2>/dev/null; true").await?;
    ensure!(touched.is_empty(), "it left {touched}");
    Ok(())
}
