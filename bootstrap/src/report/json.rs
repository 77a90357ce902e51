//! The end of a run, for a program: one JSON object, every host in it, every field always there.
//! Field names are a promise (docs/report.md), so they are written here and not taken from the
//! types that the program works with.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{FleetReport, HostReport, Outcome};

/// Grows when a field is renamed, removed or means something else; not when one is added.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    run: &'a str,
    started: Timestamp,
    seconds: f64,
    dry_run: bool,
    interrupted: bool,
    counts: Counts,
    hosts: Vec<Entry<'a>>,
    activations_left: &'a [String],
}

#[derive(Serialize)]
struct Counts {
    hosts: usize,
    online: usize,
    changed: usize,
    planned: usize,
    registered: usize,
    failed: usize,
    unreachable: usize,
    skipped: usize,
}

#[derive(Serialize)]
struct Entry<'a> {
    host: &'a str,
    environment: &'a str,
    outcome: &'static str,
    changed: bool,
    node: Option<&'a str>,
    actions: &'a [String],
    step: Option<&'static str>,
    why: Option<&'a str>,
    lines: &'a [String],
    hint: Option<&'a str>,
    execs: u32,
    seconds: f64,
}

/// The report as indented JSON, with a line break at its end.
#[must_use]
pub fn render(report: &FleetReport) -> String {
    let document = Document {
        schema: SCHEMA,
        run: report.run.as_str(),
        started: report.started,
        seconds: seconds(report.elapsed),
        dry_run: report.dry_run,
        interrupted: report.interrupted,
        counts: Counts {
            hosts: report.hosts.len(),
            online: report.count("online"),
            changed: report.hosts.iter().filter(|host| host.changed()).count(),
            planned: report.count("planned"),
            registered: report.count("registered"),
            failed: report.count("failed"),
            unreachable: report.count("unreachable"),
            skipped: report.count("skipped"),
        },
        hosts: report.hosts.iter().map(entry).collect(),
        activations_left: &report.activations_left,
    };
    pretty(&document)
}

/// Any document of ours as text.
pub(crate) fn pretty(document: &impl Serialize) -> String {
    // Fails only for maps with keys that are not text, and for types that refuse; ours have neither.
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

/// Seconds to the millisecond; more digits would only look exact.
pub(crate) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

fn entry(report: &HostReport) -> Entry<'_> {
    let (step, why, lines, hint): (_, _, &[String], _) = match &report.outcome {
        Outcome::Online { .. } | Outcome::Planned => (None, None, &[], None),
        Outcome::Registered { why, hint } | Outcome::Unreachable { why, hint } => {
            (None, Some(why.as_str()), &[], Some(hint.as_str()))
        }
        Outcome::Failed { step, why, lines, hint } => {
            (Some(step.word()), Some(why.as_str()), lines, Some(hint.as_str()))
        }
        Outcome::Skipped { why } => (None, Some(why.as_str()), &[], None),
    };
    Entry {
        host: report.host.as_str(),
        environment: report.environment.as_str(),
        outcome: report.outcome.word(),
        changed: report.changed(),
        node: report.node.as_deref(),
        actions: &report.actions,
        step,
        why,
        lines,
        hint,
        execs: report.execs,
        seconds: seconds(report.elapsed),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::table::sample, *};

    #[test]
    fn every_host_has_every_field_in_the_documented_form() {
        let mut report = sample::mixed();
        report.hosts.truncate(2);
        insta::assert_snapshot!(render(&report), @r#"
        {
          "schema": 1,
          "run": "20261122T103105Z-5f3a",
          "started": "2026-11-22T10:31:05Z",
          "seconds": 12.345,
          "dry_run": false,
          "interrupted": false,
          "counts": {
            "hosts": 2,
            "online": 1,
            "changed": 1,
            "planned": 0,
            "registered": 0,
            "failed": 1,
            "unreachable": 0,
            "skipped": 0
          },
          "hosts": [
            {
              "host": "deb-1",
              "environment": "dev",
              "outcome": "online",
              "changed": true,
              "node": "mi-0123456789abcdef0",
              "actions": [
                "install amazon-ssm-agent 3.3.3000.0",
                "register with activation",
                "start and enable the agent"
              ],
              "step": null,
              "why": null,
              "lines": [],
              "hint": null,
              "execs": 4,
              "seconds": 8.14
            },
            {
              "host": "deb-2",
              "environment": "dev",
              "outcome": "failed",
              "changed": false,
              "node": null,
              "actions": [],
              "step": "install",
              "why": "`dpkg --install amazon-ssm-agent.deb` ended with exit code 1",
              "lines": [
                "dpkg: error: failed to write",
                "No space left on device"
              ],
              "hint": "free space in /var and run again",
              "execs": 2,
              "seconds": 3.0
            }
          ],
          "activations_left": [
            "6a2f1c1e-8b8e-4a51-9d3c-0123456789ab"
          ]
        }
        "#);
    }

    #[test]
    fn every_host_of_the_inventory_is_there_and_the_counts_are_theirs() {
        let value: serde_json::Value = serde_json::from_str(&render(&sample::mixed())).unwrap();
        let hosts = value["hosts"].as_array().unwrap();
        let names: Vec<_> = hosts.iter().map(|host| host["host"].as_str().unwrap()).collect();
        assert_eq!(names, ["deb-1", "deb-2", "deb-3", "rpm-1", "rpm-2", "rpm-3"]);
        let counts = [("hosts", 6), ("online", 2), ("changed", 2), ("planned", 0), ("registered", 1)];
        for (name, count) in counts.into_iter().chain([("failed", 1), ("unreachable", 1), ("skipped", 1)]) {
            assert_eq!(value["counts"][name], count, "{name}");
        }
    }

    #[test]
    fn the_fields_are_exactly_those_that_the_documentation_names() {
        let page = include_str!("../../../docs/report.md");
        let value: serde_json::Value = serde_json::from_str(&render(&sample::mixed())).unwrap();
        let keys = |value: &serde_json::Value| {
            let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys
        };
        let documented = |heading: &str| -> Vec<String> {
            let section = page.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
            let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
            let mut names: Vec<_> = rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(keys(&value), documented("## The run\n"));
        assert_eq!(keys(&value["counts"]), documented("## `counts`\n"));
        assert_eq!(keys(&value["hosts"][0]), documented("## `hosts`\n"));
    }
}
