//! What the product is for: bare hosts to Online, and nothing to do the second time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use targets::PackageFormat;

use super::adoption::node_of;
use crate::bench::{Bench, HOST, SECOND};
use crate::machine::{wait_for_ssh, wait_until_booted};
use crate::wait::Deadline;

/// A Pi under emulation takes three minutes and more.
const BOOT_LIMIT: Duration = Duration::from_mins(15);
/// A shutdown and a boot take less, on the slowest machine too.
const RESET_LIMIT: Duration = Duration::from_mins(8);
/// An agent pings at its start; where the clock is wrong by then, as on a Pi, once it tries again: after 1, 2, 4, ... minutes.
const PING_LIMIT: Duration = Duration::from_mins(15);

pub(super) async fn fresh_host(bench: &mut Bench) -> Result<()> {
    let inventory = bench.inventory().to_string_lossy().into_owned();
    let planned = bench.run(&["--inventory", &inventory, "--output", "json", "--dry-run"]).await?;
    let host = planned.expect_code(0)?.host(HOST)?;
    ensure!(host["outcome"] == "planned", "{host:#}");
    ensure!(host["actions"].to_string().contains("register in"), "{host:#}");
    let touched = bench.root_sh("ls /var/lib/amazon /var/lib/bootstrap 2>/dev/null; true").await?;
    ensure!(touched.is_empty(), "the dry run left {touched}");

    let created = bench.calls("CreateActivation").await?;
    let host = bench.enrol().await?.expect_code(0)?.host(HOST)?;
    ensure!(host["outcome"] == "online" && host["changed"] == true && host["execs"] == 3, "{host:#}");
    ensure!(bench.calls("CreateActivation").await? == created + 1, "not one activation");
    let node = host["node"].as_str().context("no node")?;
    let known = bench.live_nodes().await?.into_iter().find(|one| one["id"] == node);
    ensure!(known.context("SSM does not know it")?["ping_status"] == "Online");
    bench.root(&["systemctl", "is-enabled", "amazon-ssm-agent"]).await?;
    match bench.kind().format {
        PackageFormat::Deb => {
            let status =
                bench.root(&["dpkg-query", "-W", "-f", "${Status} ${Architecture}", "amazon-ssm-agent"]);
            let expected = format!("install ok installed {}", bench.kind().arch.name_in(PackageFormat::Deb));
            let status = status.await?;
            ensure!(status == expected, "dpkg says {status:?}, not {expected:?}");
        }
        PackageFormat::Rpm => {
            bench.root(&["rpm", "-V", "amazon-ssm-agent"]).await?;
        }
    }
    Ok(())
}

pub(super) async fn second_run(bench: &mut Bench) -> Result<()> {
    let (node, created) = (node_of(bench).await?, bench.calls("CreateActivation").await?);
    assert_unchanged(bench, &node).await?;
    ensure!(bench.calls("CreateActivation").await? == created, "it created an activation");
    let history = bench.run(&["history", "--output", "json"]).await?.expect_code(0)?.json()?;
    let runs = history["runs"].as_array().map_or(0, Vec::len);
    ensure!(runs == 1, "the journal has {runs} runs: {history:#}");
    Ok(())
}

pub(super) async fn reboot(bench: &mut Bench) -> Result<()> {
    let node = node_of(bench).await?;
    let boot = bench.root(&["cat", "/proc/sys/kernel/random/boot_id"]).await?;
    let pings = pings_of(bench, &node).await?;
    bench.mark("reboot");
    // It may go down before it has answered.
    let _ = bench.root(&["systemctl", "reboot"]).await;
    let deadline = Deadline::after(BOOT_LIMIT);
    let begin = Instant::now();
    let mut helped = false;
    loop {
        bench.machine().check_alive()?;
        // An emulated machine was seen to hang after its reset, before its kernel said a word. It is off by then.
        if !helped && begin.elapsed() > RESET_LIMIT {
            helped = true;
            bench.mark("it did not come back from its reset; it is switched off and on");
            bench.machine().power_cut().await?;
            bench.machine().power_on().await?;
        }
        let login = bench.machine().login("root").with_limit(Duration::from_mins(1));
        match login.run(&["cat", "/proc/sys/kernel/random/boot_id"]).await {
            Ok(now) if now != boot => break,
            _ => ensure!(deadline.pause(Duration::from_secs(1)).await, "it is not back in {BOOT_LIMIT:?}"),
        }
    }
    bench.mark("it is back");
    wait_for_ssh(bench.machine(), BOOT_LIMIT).await?;
    wait_until_booted(bench.machine(), BOOT_LIMIT).await?;
    let deadline = Deadline::after(PING_LIMIT);
    while pings_of(bench, &node).await? == pings {
        ensure!(deadline.pause(Duration::from_millis(500)).await, "its agent did not ping in {PING_LIMIT:?}");
    }
    bench.mark("its agent has pinged");
    assert_unchanged(bench, &node).await
}

async fn pings_of(bench: &Bench, node: &str) -> Result<u64> {
    let nodes = bench.live_nodes().await?;
    let node = nodes.iter().find(|one| one["id"] == node).context("SSM does not know it")?;
    Ok(node["pings"].as_u64().unwrap_or_default())
}

/// One run that finds nothing to do.
pub(super) async fn assert_unchanged(bench: &mut Bench, node: &str) -> Result<()> {
    let host = bench.enrol().await?.expect_code(0)?.host(HOST)?;
    let unchanged = host["outcome"] == "online" && host["changed"] == false && host["execs"] == 1;
    ensure!(unchanged && host["node"] == node, "{host:#}");
    Ok(())
}

pub(super) async fn one_host_off(bench: &mut Bench) -> Result<()> {
    let inventory = bench.inventory_of_both()?;
    bench.second()?.power_cut().await?;
    bench.mark("the second machine is off");
    let ran = bench.enrol_by(&inventory).await?.expect_code(1)?;
    ensure!(ran.host(HOST)?["outcome"] == "online", "{ran:#?}");
    let off: Value = ran.host(SECOND)?;
    ensure!(off["outcome"] == "unreachable", "{off:#}");
    ensure!(off["why"].as_str().is_some_and(|why| why.contains("refused")), "{off:#}");
    ensure!(off["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{off:#}");
    Ok(())
}
