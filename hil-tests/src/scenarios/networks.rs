//! Networks and services that come and go.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::trouble::assert_converges;
use crate::bench::{Bench, HOST};

/// Short enough for a test, long enough for an emulated host that is busy.
const COMMAND_LIMIT: &str = "limits.command = \"90s\"";
/// A lost connection is noticed after 15 s instead of a minute.
const WATCHFUL: &str = "Host *\n    ServerAliveInterval 5\n    ServerAliveCountMax 2\n";
/// How fast the package travels where the network is to die on the way.
const UPLOAD_BYTES_PER_SECOND: u32 = 300_000;

/// The inventory with a limit for commands that a lost connection reaches soon, and an SSH configuration that notices it.
fn impatient(bench: &Bench) -> Result<PathBuf> {
    let directory = bench.home().join(".ssh");
    fs::create_dir_all(&directory).context("can't make a directory for the SSH configuration")?;
    fs::write(directory.join("config"), WATCHFUL).context("can't write the SSH configuration")?;
    bench.changed_inventory(|text| text.replace("[defaults]", &format!("[defaults]\n{COMMAND_LIMIT}")))
}

pub(super) async fn throttled_endpoint(bench: &mut Bench) -> Result<()> {
    bench
        .order(json!({
            "operation": "*", "error": "ThrottlingException", "status": 400, "share": 0.5, "seed": 20_261_122,
        }))
        .await?;
    let host = bench.enrol().await?.expect_code(0)?.host(HOST)?;
    ensure!(host["outcome"] == "online", "{host:#}");
    let faults: Value = bench.admin("GET", "/faults", None).await?;
    ensure!(faults[0]["strikes"].as_u64().unwrap_or_default() > 2, "it was hardly throttled: {faults:#}");
    Ok(())
}

pub(super) async fn endpoint_away(bench: &mut Bench) -> Result<()> {
    let inventory = bench.inventory();
    let mut started = bench.start_enrolling(&inventory)?;
    started.running().wait_for("host-1: installing").await?;
    bench.stop_endpoint().await;
    let ran = started.finish(bench).await?.expect_code(1)?;
    let host = ran.host(HOST)?;
    ensure!(host["outcome"] == "failed", "{host:#}");
    ensure!(host["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{host:#}");
    bench.start_endpoint().await?;
    assert_converges(bench, None).await
}

/// A slow disk holds the upload up, so that the cable surely is pulled in it.
pub(super) async fn link_lost_in_upload(bench: &mut Bench) -> Result<()> {
    let inventory = impatient(bench)?;
    bench.machine().limit_disk(Some(UPLOAD_BYTES_PER_SECOND)).await?;
    let mut started = bench.start_enrolling(&inventory)?;
    started.running().wait_for("host-1: sending the package").await?;
    lose_link(bench, started, "upload").await
}

pub(super) async fn link_lost_in_registration(bench: &mut Bench) -> Result<()> {
    let inventory = impatient(bench)?;
    // A registration that takes its time, so that the cable surely is pulled in it.
    bench.order(json!({ "operation": "RegisterManagedInstance", "delay_ms": 4000, "remaining": 1 })).await?;
    let mut started = bench.start_enrolling(&inventory)?;
    started.running().wait_for("host-1: registering").await?;
    lose_link(bench, started, "register").await
}

/// SSM has made a node, and its host never hears of it.
pub(super) async fn registration_answer_lost(bench: &mut Bench) -> Result<()> {
    bench.order(json!({ "operation": "RegisterManagedInstance", "drop": "after", "remaining": 1 })).await?;
    bench.enrol().await?;
    assert_converges(bench, None).await?;
    let registrations = bench.calls("RegisterManagedInstance").await?;
    ensure!(registrations > 1, "the answer was not lost: {registrations} registrations");
    let nodes = bench.live_nodes().await?;
    ensure!(nodes.len() == 1, "nodes that no host holds are left: {nodes:#?}");
    Ok(())
}

async fn lose_link(bench: &mut Bench, started: crate::bench::Started, step: &str) -> Result<()> {
    bench.machine().set_link(false).await?;
    bench.mark("the cable is pulled");
    let host = started.finish(bench).await?.expect_code(1)?.host(HOST)?;
    ensure!(host["outcome"] == "failed" && host["step"] == step, "{host:#}");
    ensure!(host["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{host:#}");
    bench.machine().limit_disk(None).await?;
    bench.machine().set_link(true).await?;
    bench.mark("the cable is back");
    crate::machine::wait_for_ssh(bench.machine(), Duration::from_mins(3)).await?;
    assert_converges(bench, None).await
}

pub(super) async fn hung_host(bench: &mut Bench) -> Result<()> {
    let inventory = impatient(bench)?;
    let mut started = bench.start_enrolling(&inventory)?;
    started.running().wait_for("host-1: installing").await?;
    bench.machine().set_paused(true).await?;
    bench.mark("the host hangs");
    let host = started.finish(bench).await?.expect_code(1)?.host(HOST)?;
    ensure!(host["outcome"] == "failed" && host["step"] == "install", "{host:#}");
    bench.machine().set_paused(false).await?;
    bench.mark("the host goes on");
    crate::machine::wait_for_ssh(bench.machine(), Duration::from_mins(3)).await?;
    assert_converges(bench, None).await
}
