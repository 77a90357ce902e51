//! `hil fleet`: hundreds of sshd on this machine, to try things on, to measure with, and to break.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand, ValueEnum as _};

use super::{print, run::Places};
use crate::Narration;
use crate::fleet::bench::{self, Options};
use crate::fleet::rehearsal::Stage;
use crate::fleet::trials::{Chances, Trial};
use crate::fleet::{self, HostPlan, Network, Rehearsal};
use crate::runner::{self, Workshop};

/// What to do with fleets. All of it needs root, for mount namespaces.
#[derive(Debug, Subcommand)]
pub(super) enum Fleet {
    /// Start a fleet and its endpoint, print the path of their inventory, and keep them until Ctrl-C.
    Up(Up),
    /// Run trials. Exit code 1 if one failed.
    Test(Test),
    /// Measure bootstrap beside a tuned shell loop, in turns, on the same hosts.
    Bench(Bench),
}

#[derive(Debug, Args)]
pub(super) struct Up {
    /// Hosts.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = hosts())]
    hosts: usize,
    #[command(flatten)]
    places: Places,
}

#[derive(Debug, Args)]
pub(super) struct Test {
    /// A trial; may be given several times [default: all].
    #[arg(long, value_enum, value_name = "NAME")]
    trial: Vec<Trial>,
    /// How often the controller is killed.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    kills: u32,
    /// The seed of all that is chosen at random [default: a new one, which is shown].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    places: Places,
}

#[derive(Debug, Args)]
pub(super) struct Bench {
    /// Hosts.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = hosts())]
    hosts: usize,
    /// How often each is run.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one())]
    rounds: usize,
    /// Megabytes that the package has; may be given several times.
    #[arg(long, value_name = "MB", default_values_t = [0, 30])]
    megabytes: Vec<usize>,
    /// Only look at fleets of these sizes: what a host costs in each.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = hosts(), conflicts_with_all = ["hosts", "rounds", "megabytes"])]
    scale: Vec<usize>,
    /// Where to draw what `--scale` has measured, as SVG.
    #[arg(long, value_name = "FILE", requires = "scale")]
    plot: Option<PathBuf>,
    /// Only hold so many connections open at once: the memory that takes.
    #[arg(long, value_name = "N", value_parser = at_least_one(), conflicts_with_all = ["hosts", "rounds", "megabytes", "scale", "round_trip"])]
    connections: Option<usize>,
    /// Only count the round trips of one host, this many milliseconds away.
    #[arg(long, value_name = "MS", conflicts_with_all = ["hosts", "megabytes", "scale"])]
    round_trip: Option<u64>,
    #[command(flatten)]
    places: Places,
}

/// Of none nothing can be shown.
pub(super) fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

fn hosts() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=fleet::MOST as u64)
}

impl Fleet {
    pub(super) async fn run(self) -> Result<ExitCode> {
        // Before images are built for it.
        fleet::check_root()?;
        match self {
            Self::Up(up) => up.run().await,
            Self::Test(test) => test.run().await,
            Self::Bench(bench) => Box::pin(bench.run()).await,
        }
    }
}

impl Up {
    async fn run(self) -> Result<ExitCode> {
        let (programs, narration) = (self.places.programs()?, Narration::stderr());
        let workshop = Workshop::open(&programs).await?;
        let stage = Stage::set(&workshop.directory().join("stage"), &programs, &narration).await?;
        let place = workshop.directory().join("fleet");
        let fleet =
            Rehearsal::open(&place, &stage, Network::loopback(), &HostPlan::sound(self.hosts)).await?;
        print(&fleet.endpoint.shell_exports())?;
        print(&format!("bootstrap --inventory {}", fleet.paths.inventory().display()))?;
        narration.say("up; Ctrl-C ends it");
        tokio::signal::ctrl_c().await.context("can't wait for Ctrl-C")?;
        fleet.close().await?;
        workshop.close().await?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Test {
    async fn run(self) -> Result<ExitCode> {
        let (programs, narration) = (self.places.programs()?, Narration::stderr());
        let chances = Chances { seed: self.seed.unwrap_or_else(super::run::new_seed), kills: self.kills };
        narration.say(&format!("the seed is {}", chances.seed));
        let trials = if self.trial.is_empty() { Trial::value_variants().to_vec() } else { self.trial };
        let workshop = Workshop::open(&programs).await?;
        let stage = Stage::set(&workshop.directory().join("stage"), &programs, &narration).await?;
        let begin = Instant::now();
        let mut failed = 0;
        for trial in &trials {
            let (name, begin) = (trial.name(), Instant::now());
            let directory = workshop.directory().join(name);
            let ended = tokio::select! {
                ended = trial.run(&directory, &stage, chances, &narration) => ended,
                _ = tokio::signal::ctrl_c() => {
                    workshop.close().await?;
                    bail!("interrupted");
                }
            };
            let took = begin.elapsed().as_secs_f64();
            match ended {
                Ok(()) => print(&format!("passed  fleet {name} in {took:.1} s"))?,
                Err(error) => {
                    failed += 1;
                    print(&format!("FAILED  fleet {name} in {took:.1} s: {error:#}"))?;
                }
            }
            // One that failed has left its fleet.
            runner::sweep(&directory).await?;
        }
        workshop.close().await?;
        let (passed, took) = (trials.len() - failed, begin.elapsed().as_secs());
        print(&format!(
            "scenarios: {passed} passed, {failed} failed, 0 skipped in {took} s, seed {}",
            chances.seed
        ))?;
        Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

impl Bench {
    async fn run(self) -> Result<ExitCode> {
        let (programs, narration) = (self.places.programs()?, Narration::stderr());
        let workshop = Workshop::open(&programs).await?;
        let options = Options {
            hosts: self.hosts,
            rounds: self.rounds,
            sizes: self.megabytes.iter().map(|megabytes| megabytes * 1_000_000).collect(),
            programs,
            directory: workshop.directory().to_owned(),
            narration,
        };
        let measuring = async {
            if let Some(milliseconds) = self.round_trip {
                return bench::distance(&options, Duration::from_millis(milliseconds)).await;
            }
            if let Some(count) = self.connections {
                return bench::connections(&options, count).await;
            }
            if self.scale.is_empty() {
                bench::compare(&options).await
            } else {
                bench::scale(&options, &self.scale, self.plot.as_deref()).await
            }
        };
        let measured = tokio::select! {
            measured = measuring => measured,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        workshop.close().await?;
        print(&measured?)?;
        Ok(ExitCode::SUCCESS)
    }
}
