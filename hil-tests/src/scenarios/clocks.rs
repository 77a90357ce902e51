//! Clocks that are years off, as on a Pi without a battery, and what AWS's signatures make of them.

use std::time::Duration;

use anyhow::{Result, ensure};
use targets::Arch;

use super::trouble::assert_converges;
use crate::bench::{Bench, HOST};
use crate::machine::{set_clock, set_clock_to, wait_for_ssh, wait_until_booted};

const YEAR: u64 = 31_556_952;
const BOOT_LIMIT: Duration = Duration::from_mins(15);

pub(super) async fn in_1970(bench: &mut Bench) -> Result<()> {
    at(bench, Duration::from_hours(24), "behind").await
}

/// Past 2038, where 32 bits of seconds end.
pub(super) async fn in_2096(bench: &mut Bench) -> Result<()> {
    at(bench, Duration::from_secs(126 * YEAR), "ahead of").await
}

async fn at(bench: &mut Bench, time: Duration, words: &str) -> Result<()> {
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
    // systemd of a userland whose seconds have 32 bits ends when they do.
    if bench.kind().arch == Arch::Armv7 {
        bench.machine().power_cut().await?;
        bench.machine().power_on().await?;
        bench.mark("switched off and on");
        wait_for_ssh(bench.machine(), BOOT_LIMIT).await?;
        wait_until_booted(bench.machine(), BOOT_LIMIT).await?;
    } else {
        set_clock(bench.machine()).await?;
    }
    bench.mark("the clock is right");
    assert_converges(bench, None).await
}
