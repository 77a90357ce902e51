//! How often a run waits for a way that is long.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{LIMIT, Options};
use crate::fleet::rehearsal::Stage;
use crate::fleet::relay::Relay;
use crate::fleet::{HostPlan, Network, Rehearsal};

/// One host, near and `round_trip` away: how many times a run waits for the way. Of each step the quickest of some rounds, in turns: what a
/// busy machine adds, and how long an agent looks for prime numbers, is no waiting for the way.
pub async fn distance(options: &Options, round_trip: Duration) -> Result<String> {
    let stage =
        Stage::for_packages_of(0, &options.directory.join("distance"), &options.programs, &options.narration)
            .await?;
    let (mut near, mut far) = (Vec::new(), Vec::new());
    let (mut how, mut unseen) = ("netem on a pair of virtual cables", 0.0);
    for number in 1..=options.rounds {
        let way = match Network::distant(round_trip) {
            Ok(network) => Way::Netem(network),
            Err(error) if is_without_netem(&error) => {
                how = "a relay, since this kernel has no netem; its count has the TCP handshake added, which a relay does not see";
                unseen = 1.0;
                Way::Relay(round_trip)
            }
            Err(error) => return Err(error),
        };
        let round = async {
            near.push(registered(options, &stage, Way::Near).await?);
            far.push(registered(options, &stage, way).await?);
            Ok::<(), anyhow::Error>(())
        };
        options.narration.step_async(&format!("round {number} of {}", options.rounds), round).await?;
    }
    let (near, far) = (quickest(&near)?, quickest(&far)?);
    let trips = far.saturating_sub(near).as_secs_f64() / round_trip.as_secs_f64() + unseen;
    Ok(format!(
        "one bare host until it is registered: {:.2} s near, {:.2} s over a round trip of {} ms: {trips:.1} round trips; the package holds next to nothing\n\
         by {how}\n",
        near.as_secs_f64(),
        far.as_secs_f64(),
        round_trip.as_millis()
    ))
}

fn is_without_netem(error: &anyhow::Error) -> bool {
    let said = error.to_string();
    said.contains("netem") && said.contains("qdisc kind is unknown")
}

enum Way {
    Near,
    Netem(Network),
    Relay(Duration),
}

/// How long the steps of a run over one bare host take until the host is registered and its agent started.
async fn registered(options: &Options, stage: &Stage, way: Way) -> Result<Vec<(String, Duration)>> {
    let directory = options.directory.join("host");
    let (network, relayed) = match way {
        Way::Near => (Network::loopback(), None),
        Way::Netem(network) => (network, None),
        Way::Relay(round_trip) => (Network::loopback(), Some(round_trip)),
    };
    let elsewhere = network.address(1);
    let rehearsal = Rehearsal::open(&directory, stage, network, &HostPlan::sound(1)).await?;
    let mut hosts = rehearsal.hosts();
    let _relay = match (relayed, hosts.first_mut()) {
        (Some(round_trip), Some((_, address))) => {
            let there = std::mem::replace(address, elsewhere);
            Some(Relay::open(elsewhere, there, round_trip / 2).await?)
        }
        _ => None,
    };
    rehearsal.write_inventory(&hosts)?;
    let command = rehearsal.bootstrap(&["--output", "json", "--quiet"]);
    let measured = rehearsal.measure(&command, LIMIT).await?.expect_code(0)?;
    let took = steps(&measured.json()?)?;
    rehearsal.close().await?;
    fs::remove_dir_all(&directory).with_context(|| format!("can't delete {}", directory.display()))?;
    Ok(took)
}

/// How long each step took, in order, until the agent was registered and started.
fn steps(report: &Value) -> Result<Vec<(String, Duration)>> {
    let timeline = report["hosts"][0]["timeline"].as_array().context("a report without a timeline")?;
    let until = timeline.iter().take_while(|step| step["step"] != "check");
    let steps = until.map(|step| {
        let (name, began, ended) = (step["step"].as_str()?, step["began"].as_f64()?, step["ended"].as_f64()?);
        Some((name.to_owned(), Duration::from_secs_f64(ended - began)))
    });
    let steps: Option<Vec<_>> = steps.collect();
    let steps = steps.with_context(|| format!("a step without a time: {timeline:?}"))?;
    ensure!(steps.iter().any(|(name, _)| name == "register"), "it was not registered: {timeline:?}");
    Ok(steps)
}

/// Each step as quick as in the quickest of rounds.
fn quickest(rounds: &[Vec<(String, Duration)>]) -> Result<Duration> {
    let [first, ..] = rounds else { anyhow::bail!("no round") };
    let mut total = Duration::ZERO;
    for (name, _) in first {
        let times: Option<Vec<Duration>> =
            rounds.iter().map(|steps| Some(steps.iter().find(|(other, _)| other == name)?.1)).collect();
        let times = times.with_context(|| format!("not every round has the step {name}"))?;
        total += times.into_iter().min().unwrap_or_default();
    }
    Ok(total)
}
