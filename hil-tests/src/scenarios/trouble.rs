//! Things that go wrong in the middle, and that nothing is half done or lost after them.

use anyhow::{Result, ensure};
use serde_json::json;

use super::adoption::{long_registered, node_of};
use crate::bench::{Bench, HOST};

/// What a worn SD card writes and reads.
const WORN_CARD_BYTES_PER_SECOND: u32 = 2_000_000;

/// The next run ends well, with this node if it is named.
pub(super) async fn assert_converges(bench: &mut Bench, node: Option<&str>) -> Result<()> {
    let host = bench.enrol().await?.expect_code(0)?.host(HOST)?;
    ensure!(host["outcome"] == "online", "{host:#}");
    if let Some(node) = node {
        ensure!(host["node"] == node, "it is another node than {node}: {host:#}");
    }
    Ok(())
}

pub(super) async fn registration_fails_again(bench: &mut Bench) -> Result<()> {
    let node = long_registered(bench).await?;
    // Fresh credentials would prove that some account's SSM knows the node, and it would be refused.
    bench.root(&["rm", "/var/lib/amazon/ssm/runtimeconfig/identity_config.json"]).await?;
    // SSM says once that it does not know the node, and the activation is gone when the agent comes to register.
    bench.fault("DescribeInstanceInformation", "InvalidInstanceId", 1).await?;
    bench.fault("RegisterManagedInstance", "InvalidActivation", 1).await?;
    let failed = bench.enrol().await?.expect_code(1)?.host(HOST)?;
    ensure!(failed["outcome"] == "failed" && failed["step"] == "register", "{failed:#}");
    ensure!(failed["lines"].to_string().contains("InvalidActivation"), "{failed:#}");
    ensure!(bench.live_activations().await? == 0, "an activation is left");
    ensure!(node_of(bench).await? == node, "the old registration is gone");
    ensure!(bench.root(&["systemctl", "is-active", "amazon-ssm-agent"]).await? == "active");
    assert_converges(bench, Some(&node)).await
}

/// As the host is found when its power went between the emptying of the vault and the answer.
pub(super) async fn registration_interrupted(bench: &mut Bench) -> Result<()> {
    let node = node_of(bench).await?;
    let registered = bench.calls("RegisterManagedInstance").await?;
    bench
        .root_sh(
            "cd /var/lib/amazon/ssm && systemctl stop amazon-ssm-agent && cp -a Vault Vault.bootstrap-saved && \
             cp -a Vault Vault.bootstrap-saved.part && amazon-ssm-agent -register -clear",
        )
        .await?;
    assert_converges(bench, Some(&node)).await?;
    ensure!(bench.calls("RegisterManagedInstance").await? == registered, "it registered again");
    Ok(())
}

pub(super) async fn activation_expired(bench: &mut Bench) -> Result<()> {
    bench.order(json!({ "kind": "activations", "state": "expired" })).await?;
    let failed = bench.enrol().await?.expect_code(1)?.host(HOST)?;
    ensure!(failed["outcome"] == "failed" && failed["step"] == "register", "{failed:#}");
    let words = format!("{} {} {}", failed["why"], failed["hint"], failed["lines"]);
    ensure!(words.contains("expired") || words.contains("Expired"), "{failed:#}");
    ensure!(bench.live_activations().await? == 0, "an activation is left");
    bench.admin("DELETE", "/faults", None).await?;
    assert_converges(bench, None).await
}

pub(super) async fn slow_disk(bench: &mut Bench) -> Result<()> {
    bench.machine().limit_disk(Some(WORN_CARD_BYTES_PER_SECOND)).await?;
    bench.mark(format!("the disk gives {WORN_CARD_BYTES_PER_SECOND} bytes a second"));
    assert_converges(bench, None).await?;
    bench.machine().limit_disk(None).await?;
    Ok(())
}

pub(super) async fn ctrl_c(bench: &mut Bench) -> Result<()> {
    let inventory = bench.inventory();
    let mut started = bench.start_enrolling(&inventory)?;
    started.running().wait_for("host-1: installing").await?;
    started.running().interrupt()?;
    bench.mark("Ctrl-C");
    let ran = started.finish(bench).await?.expect_code(130)?;
    ensure!(ran.json()?["interrupted"] == true, "{ran:#?}");
    ensure!(bench.live_activations().await? == 0, "an activation is left");
    ensure!(bench.root(&["dpkg", "--audit"]).await?.is_empty(), "a package is half installed");
    let history = bench.run(&["history", "--output", "json"]).await?.json()?;
    ensure!(history["runs"][0]["ending"] == "interrupted", "{history:#}");
    assert_converges(bench, None).await
}

pub(super) async fn killed_controller(bench: &mut Bench) -> Result<()> {
    // A registration that takes its time, so that the kill surely comes in it.
    bench.order(json!({ "operation": "RegisterManagedInstance", "delay_ms": 3000, "remaining": 1 })).await?;
    let inventory = bench.inventory();
    let mut started = bench.start_enrolling(&inventory)?;
    started.running().wait_for("host-1: registering").await?;
    started.kill(bench).await?;
    let live = bench.live_activations().await?;
    ensure!(live == 1, "the run was killed too late or too early: {live} activations");
    assert_converges(bench, None).await
}
