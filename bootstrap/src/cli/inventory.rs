//! `bootstrap inventory`: what an inventory says, without touching a host.

use std::path::PathBuf;

use super::{OutputFormat, run::load, say};
use crate::{
    failure::{Exit, Failure},
    inventory::schema,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Check the inventory and print every host with its settings
    Show {
        /// File that names environments and hosts
        #[arg(short, long, value_name = "FILE", default_value = "hosts.toml")]
        inventory: PathBuf,
        /// How it is printed
        #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// Print the JSON Schema of inventory files, for editors and checks
    Schema,
}

pub(super) fn run(command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Show { inventory, output } => {
            let inventory = load(inventory)?;
            match output {
                OutputFormat::Text => say(&inventory.to_text()),
                OutputFormat::Json => say(&format!("{:#}\n", inventory.to_json())),
            }
        }
        Command::Schema => say(&format!("{:#}\n", schema())),
    }
    Ok(Exit::Good)
}
