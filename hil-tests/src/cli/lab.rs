//! `hil lab`: the life cycle of the lab that outlives its program.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::print;
use crate::Narration;
use crate::lab::{self, AGENT_VARIABLE, GuestSpec, LabOptions, Paths, Programs, Status, SwitchOff};
use crate::machine::{Machine as _, console};

/// Lines of each log when all are shown.
const LINES: usize = 20;

/// What to do with the lab.
#[derive(Debug, Subcommand)]
pub(super) enum Lab {
    /// Bring the lab up, as far as it is not, and print the path of its inventory.
    Up(Up),
    /// Shut guests and endpoint down; their disks stay for the next `up`.
    Down(Down),
    /// Say what is up. Exit code 1 if something is not.
    Status(Directory),
    /// Show the console of a guest or the log of the endpoint; without a name the end of each.
    Logs(Logs),
}

/// Where the lab is.
#[derive(Debug, Args)]
pub(super) struct Directory {
    /// Directory of the lab [default: `$XDG_STATE_HOME/bootstrap/lab`].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub(super) struct Up {
    #[command(flatten)]
    directory: Directory,
    /// Throw the old lab away first: guests, keys, packages, the endpoint's state.
    #[arg(long)]
    fresh: bool,
    /// The stand-in agent, built statically [default: agent/amazon-ssm-agent beside this program].
    #[arg(long, value_name = "PATH", env = AGENT_VARIABLE)]
    agent: Option<PathBuf>,
}

/// Arguments of `down`.
#[derive(Debug, Args)]
pub(super) struct Down {
    #[command(flatten)]
    directory: Directory,
    /// Pull the plugs instead of shutting down.
    #[arg(long)]
    cut: bool,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub(super) struct Logs {
    #[command(flatten)]
    directory: Directory,
    /// A guest, or `endpoint`.
    name: Option<String>,
}

impl Directory {
    fn path(self) -> Result<PathBuf> {
        self.dir.map_or_else(Paths::default_directory, Ok)
    }
}

impl Lab {
    pub(super) async fn run(self) -> Result<ExitCode> {
        match self {
            Self::Up(up) => up.run().await?,
            Self::Down(down) => {
                let how = if down.cut { SwitchOff::Cut } else { SwitchOff::ShutDown };
                lab::down(&down.directory.path()?, how, &Narration::stderr()).await?;
            }
            Self::Status(directory) => {
                let status = lab::status(&directory.path()?).await?;
                print(&status.to_string())?;
                return Ok(if status.is_up() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            Self::Logs(logs) => logs.run().await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Up {
    async fn run(self) -> Result<()> {
        let paths = lab::up(&LabOptions {
            programs: Programs::beside_this_program(self.agent.as_deref())?,
            directory: self.directory.path()?,
            guests: GuestSpec::pair(),
            fresh: self.fresh,
            narration: Narration::stderr(),
        })
        .await?;
        print(&paths.inventory().display().to_string())
    }
}

impl Logs {
    async fn run(self) -> Result<()> {
        let status = lab::status(&self.directory.path()?).await?;
        let logs = logs_of(&status);
        let Some(name) = self.name else {
            let ends = logs
                .iter()
                .map(|(name, path)| format!("== {name}: {}\n{}", path.display(), console::tail(path, LINES)));
            return print(&ends.collect::<Vec<_>>().join("\n\n"));
        };
        let Some((_, path)) = logs.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = logs.iter().map(|(known, _)| known.as_str()).collect();
            bail!("the lab has no {name:?}; there are: {}", known.join(", "));
        };
        let mut file = std::fs::File::open(path).with_context(|| format!("can't read {}", path.display()))?;
        io::copy(&mut file, &mut io::stdout().lock()).context("can't write to stdout")?;
        Ok(())
    }
}

fn logs_of(status: &Status) -> Vec<(String, PathBuf)> {
    let endpoint = ("endpoint".to_owned(), status.paths.endpoint_log());
    let guests = status.guests.iter().map(|guest| (guest.machine.name().to_owned(), guest.machine.console()));
    std::iter::once(endpoint).chain(guests).collect()
}
