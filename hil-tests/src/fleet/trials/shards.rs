//! One inventory, once as one run and once as four shards at the same time whose reports are merged.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::Value;

use super::{LIMIT, check_invariants};
use crate::fleet::rehearsal::Stage;
use crate::fleet::{HostPlan, Network, Rehearsal};

const HOSTS: usize = 24;
const SHARDS: usize = 4;

pub(super) async fn run(directory: &Path, stage: &Stage) -> Result<()> {
    let plans = HostPlan::sound(HOSTS);
    let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
    let one = Rehearsal::open(&directory.join("one"), stage, Network::loopback(), &plans).await?;
    let whole = one.measure(&one.bootstrap(&["--output", "json", "--quiet"]), LIMIT).await?.expect_code(0)?;
    let whole = whole.json()?;
    check_invariants(&one, &names).await?;
    one.close().await?;

    let many = Rehearsal::open(&directory.join("many"), stage, Network::loopback(), &plans).await?;
    let reports = directory.join("reports");
    let shards = (1..=SHARDS).map(|number| {
        let (shard, report) = (format!("{number}/{SHARDS}"), reports.join(number.to_string()));
        let command = many.bootstrap(&["--quiet", "--shard", &shard, "--report", &report.to_string_lossy()]);
        let many = &many;
        async move {
            many.measure(&command, LIMIT).await?.expect_code(0).with_context(|| format!("shard {shard}"))
        }
    });
    try_join_all(shards).await?;
    check_invariants(&many, &names).await?;
    let mut merge = Command::new(many.bootstrap(&[]).get_program());
    merge.args(["report", "merge", "--output", "json"]);
    merge.args((1..=SHARDS).map(|number| reports.join(number.to_string()).join("report.json")));
    let merged = many.measure(&merge, LIMIT).await?.expect_code(0)?.json()?;
    many.close().await?;
    ensure!(same(&whole)? == same(&merged)?, "one run:\n{whole:#}\nfour shards, merged:\n{merged:#}");
    Ok(())
}

/// What is the same however often a run is repeated: not ids and times, nor the ports of the endpoint.
fn same(report: &Value) -> Result<BTreeMap<String, Value>> {
    let hosts = report["hosts"].as_array().context("a report without hosts")?;
    let mut same = BTreeMap::from([("counts".to_owned(), report["counts"].clone())]);
    for host in hosts {
        let name = host["host"].as_str().context("a host without a name")?;
        let kept = ["position", "environment", "outcome", "changed", "actions", "execs"]
            .map(|key| host[key].clone());
        ensure!(same.insert(format!("host {name}"), kept.to_vec().into()).is_none(), "{name} is there twice");
    }
    Ok(same)
}
