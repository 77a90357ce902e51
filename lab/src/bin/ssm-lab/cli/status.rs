//! `ssm-lab status`.

use std::io::{self, Write as _};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Failure;
use super::admin::Where;
use super::table::Table;

/// Show what a running endpoint holds: nodes, activations, channels and faults.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    endpoint: Where,
    /// The whole state as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let state = self.endpoint.admin()?.get("/state")?;
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{state:#}")?;
            return Ok(());
        }
        let now = state.pointer("/clock/now").and_then(time).unwrap_or_else(Timestamp::now);
        nodes(&state, now).print(&mut out, "no nodes")?;
        writeln!(out)?;
        activations(&state, now).print(&mut out, "no activations")?;
        writeln!(out)?;
        let mut faults = Table::new(["FAULT", "STATE", "WHAT", "LEFT", "STRIKES"]);
        fault_rows(&state, &mut faults);
        faults.print(&mut out, "no faults")?;
        Ok(())
    }
}

fn nodes(state: &Value, now: Timestamp) -> Table<6> {
    let mut table = Table::new(["NODE", "NAME", "STATUS", "CHANNEL", "LAST PING", "AGENT"]);
    for node in list(state, "instances").iter().filter(|node| node["deregistered"] != true) {
        table.push([
            text(&node["id"]),
            text(&node["name"]),
            text(&node["ping_status"]),
            if node["control_channel"] == true { "open" } else { "closed" }.to_owned(),
            time(&node["last_ping"]).map_or_else(|| "never".to_owned(), |ping| ago(now, ping)),
            text(&node["agent_version"]),
        ]);
    }
    table
}

fn activations(state: &Value, now: Timestamp) -> Table<5> {
    let mut table = Table::new(["ACTIVATION", "ROLE", "USED", "STATE", "EXPIRES"]);
    for activation in list(state, "activations").iter().filter(|one| one["deleted"] != true) {
        let full = activation["registrations_count"].as_u64() >= activation["limit"].as_u64();
        table.push([
            text(&activation["id"]),
            text(&activation["iam_role"]),
            format!("{}/{}", activation["registrations_count"], activation["limit"]),
            match (activation["expired"] == true, full) {
                (true, _) => "expired",
                (false, true) => "full",
                (false, false) => "open",
            }
            .to_owned(),
            time(&activation["expires"]).map_or_else(|| "-".to_owned(), |end| ago(now, end)),
        ]);
    }
    table
}

/// A row for each fault, those that are spent last.
pub(super) fn fault_rows(state: &Value, table: &mut Table<5>) {
    for (member, label) in [("faults", "active"), ("spent_faults", "spent")] {
        for fault in list(state, member) {
            let left = match &fault["remaining"] {
                Value::Null => "until cleared".to_owned(),
                left => left.to_string(),
            };
            table.push([
                text(&fault["id"]),
                label.to_owned(),
                describe(fault),
                left,
                fault["strikes"].to_string(),
            ]);
        }
    }
}

/// A fault in a few words: its members but for those that have a column.
fn describe(fault: &Value) -> String {
    let columns = ["id", "kind", "remaining", "strikes"];
    // They say nothing unless something else does.
    let idle = |name: &str, value: &Value| match name {
        "delay_ms" | "jitter_ms" => value == 0,
        "status" => fault.get("error").is_none(),
        "share" => value.as_f64() == Some(1.0),
        "seed" => fault["share"].as_f64() == Some(1.0) && fault["jitter_ms"].as_u64().unwrap_or(0) == 0,
        "keep_closed" => value == false,
        _ => false,
    };
    let members = fault.as_object().into_iter().flatten();
    let words = members
        .filter(|(name, value)| !columns.contains(&name.as_str()) && !idle(name, value))
        .map(|(name, value)| format!("{name}={}", text(value)));
    std::iter::once(text(&fault["kind"])).chain(words).collect::<Vec<_>>().join(" ")
}

fn list<'a>(state: &'a Value, member: &str) -> &'a [Value] {
    state[member].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "seconds of this era fit; others saturate and are refused"
)]
fn time(value: &Value) -> Option<Timestamp> {
    Timestamp::from_second(value.as_f64()? as i64).ok()
}

/// How long ago a time is, or in how long it comes.
fn ago(now: Timestamp, time: Timestamp) -> String {
    let age = SignedDuration::from_secs(now.duration_since(time).as_secs());
    if age.is_negative() { format!("in {:#}", age.abs()) } else { format!("{age:#} ago") }
}
