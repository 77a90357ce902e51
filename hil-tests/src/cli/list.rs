//! `hil list`: what there is.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::kinds::KINDS;
use crate::scenarios::{SCENARIOS, Set};

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(self) -> Result<ExitCode> {
        super::print(&if self.json { json()? } else { text() })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn text() -> String {
    let mut out = String::from("machines\n");
    for kind in KINDS {
        let slow = if kind.slow { "; slow, runs when it is named" } else { "" };
        let _ = writeln!(out, "  {:<12}{}{slow}", kind.name, kind.summary);
    }
    out.push_str("\nscenarios\n");
    for scenario in SCENARIOS {
        let machines: Vec<&str> =
            KINDS.iter().filter(|kind| scenario.applies_to(kind)).map(|kind| kind.name).collect();
        let set = match scenario.set {
            Set::Core => "core",
            Set::Full => "full",
        };
        let _ = writeln!(out, "  {:<27}{set:<6} {}", scenario.name, scenario.summary);
        let _ = writeln!(out, "  {:<27}{:<6} on {}", "", "", machines.join(", "));
    }
    out.truncate(out.trim_end().len());
    out
}

fn json() -> Result<String> {
    let scenarios: Vec<_> = SCENARIOS
        .iter()
        .map(|scenario| {
            let machines: Vec<&str> =
                KINDS.iter().filter(|kind| scenario.applies_to(kind)).map(|kind| kind.name).collect();
            serde_json::json!({
                "name": scenario.name,
                "summary": scenario.summary,
                "set": format!("{:?}", scenario.set).to_lowercase(),
                "machines": machines,
            })
        })
        .collect();
    let machines: Vec<_> = KINDS
        .iter()
        .map(|kind| {
            serde_json::json!({
                "name": kind.name,
                "summary": kind.summary,
                "arch": kind.arch.to_string(),
                "recipe": kind.recipe,
                "slow": kind.slow,
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(
        &serde_json::json!({ "schema": 1, "machines": machines, "scenarios": scenarios }),
    )?)
}
