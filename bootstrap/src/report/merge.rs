//! Puts the reports of parts of a fleet together. The result is what one run over all of them would have reported, apart
//! from times and ids; so only what is of one inventory fits, no host may be in two parts, and two hosts with one node are told.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    path::PathBuf,
    time::Duration,
};

use jiff::Timestamp;

use super::{FleetReport, HostReport, Outcome, StepTime, names::ranges};
use crate::{
    events::Step,
    inventory::{HostName, Inventory},
};

/// Why reports do not fit together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// There is none.
    #[error("no report is named")]
    Nothing,
    /// They are of different inventories.
    #[error("{} is a report of another inventory than {}", other.display(), first.display())]
    OtherInventory {
        /// The first report's file.
        first: PathBuf,
        /// The one that does not fit.
        other: PathBuf,
    },
    /// One is of a dry run, the other is not.
    #[error("only one of {} and {} is the report of a dry run", first.display(), other.display())]
    DryRun {
        /// The first report's file.
        first: PathBuf,
        /// The one that does not fit.
        other: PathBuf,
    },
    /// A host is in two reports.
    #[error("host {host} is in {} and in {}", first.display(), other.display())]
    Twice {
        /// The host.
        host: String,
        /// The one file.
        first: PathBuf,
        /// The other.
        other: PathBuf,
    },
}

impl MergeError {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Nothing => "name the report.json of each part",
            Self::OtherInventory { .. } => {
                "reports fit together if their runs read the same inventory, to the letter; compare the `inventory` in both"
            }
            Self::DryRun { .. } => "merge dry runs and real ones apart from each other",
            Self::Twice { .. } => {
                "name one report for each part: of a part that was run twice, the later one"
            }
        }
    }
}

/// The parts among these reports, and the files of those that are left out: results of an earlier merge, which `*/report.json`
/// finds beside the parts that they were made of. A merged report that has no run and no host in common with a part is one.
#[must_use]
pub fn without_results(reports: Vec<(PathBuf, FleetReport)>) -> (Vec<(PathBuf, FleetReport)>, Vec<PathBuf>) {
    let parts = || reports.iter().map(|(_, report)| report).filter(|report| report.merged.is_empty());
    let runs: BTreeSet<_> = parts().map(|part| part.run.as_str().to_owned()).collect();
    let hosts: BTreeSet<_> = parts().flat_map(|part| &part.hosts).map(|host| host.host.clone()).collect();
    let is_result = |report: &FleetReport| {
        report.merged.iter().any(|run| runs.contains(run.as_str()))
            || !report.merged.is_empty() && report.hosts.iter().any(|host| hosts.contains(&host.host))
    };
    let (results, parts): (Vec<_>, Vec<_>) = reports.into_iter().partition(|(_, report)| is_result(report));
    (parts, results.into_iter().map(|(file, _)| file).collect())
}

/// One report of all these, each with the file that it is from.
pub fn merge(parts: Vec<(PathBuf, FleetReport)>) -> Result<FleetReport, MergeError> {
    check(&parts)?;
    let started = parts.iter().map(|(_, part)| part.started).min().ok_or(MergeError::Nothing)?;
    let earliest = parts.iter().min_by_key(|(_, part)| (part.started, part.run.clone()));
    let Some((_, first)) = earliest.cloned() else { return Err(MergeError::Nothing) };
    let late = |part: &FleetReport| between(started, part.started);
    let ends = parts.iter().map(|(_, part)| late(part) + part.elapsed);
    let mut merged: Vec<_> = parts
        .iter()
        .flat_map(
            |(_, part)| if part.merged.is_empty() { vec![part.run.clone()] } else { part.merged.clone() },
        )
        .collect();
    merged.sort();
    let mut activations_left: Vec<_> =
        parts.iter().flat_map(|(_, part)| part.activations_left.clone()).collect();
    activations_left.sort();
    let mut report = FleetReport {
        merged,
        started,
        elapsed: ends.max().unwrap_or_default(),
        interrupted: parts.iter().any(|(_, part)| part.interrupted),
        activations_left,
        hosts: Vec::new(),
        ..first
    };
    for (_, part) in parts {
        let late = late(&part);
        report.hosts.extend(part.hosts.into_iter().map(|host| later(host, late)));
    }
    report.hosts.sort_by_key(|host| host.position);
    mark_clones(&mut report.hosts);
    Ok(report)
}

/// What a run over all hosts would have seen, and none of its parts can: two hosts with one node.
fn mark_clones(hosts: &mut [HostReport]) {
    let mut holders: BTreeMap<String, HostName> = BTreeMap::new();
    for host in hosts {
        let step = match &host.outcome {
            Outcome::Planned => Step::Plan,
            Outcome::Online { .. } | Outcome::Registered { .. } => Step::Check,
            _ => continue,
        };
        let Some(node) = &host.node else { continue };
        match holders.entry(node.clone()) {
            Entry::Vacant(free) => {
                free.insert(host.host.clone());
            }
            Entry::Occupied(taken) => host.outcome = Outcome::clone_of(taken.get(), node, step),
        }
    }
}

/// Hosts of the inventory that are not in the report: a part of the fleet is missing.
#[must_use]
pub fn missing(report: &FleetReport) -> usize {
    report.inventory.hosts.saturating_sub(report.hosts.len())
}

/// Who they are, `rack-[01:20]` for neighbours; `inventory` is the report's.
#[must_use]
pub fn names_of_missing(report: &FleetReport, inventory: &Inventory) -> Vec<String> {
    let there: BTreeSet<_> = report.hosts.iter().map(|host| &host.host).collect();
    let names = inventory.hosts.iter().map(|host| &host.name).filter(|name| !there.contains(name));
    ranges(&names.map(HostName::as_str).collect::<Vec<_>>())
}

fn check(parts: &[(PathBuf, FleetReport)]) -> Result<(), MergeError> {
    let Some((first, one)) = parts.first() else { return Err(MergeError::Nothing) };
    let mut seen = BTreeMap::new();
    let mut places = BTreeSet::new();
    for (file, part) in parts {
        let (first, other) = (first.clone(), file.clone());
        if (&part.inventory.digest, part.inventory.hosts) != (&one.inventory.digest, one.inventory.hosts) {
            return Err(MergeError::OtherInventory { first, other });
        }
        if part.dry_run != one.dry_run {
            return Err(MergeError::DryRun { first, other });
        }
        for host in &part.hosts {
            if let Some(first) = seen.insert(&host.host, file) {
                return Err(MergeError::Twice {
                    host: host.host.to_string(),
                    first: first.clone(),
                    other: file.clone(),
                });
            }
            // One place of the inventory is one host: else something was changed by hand.
            if !places.insert(host.position) {
                return Err(MergeError::OtherInventory { first: first.clone(), other: file.clone() });
            }
        }
    }
    Ok(())
}

fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

/// The host on the clock of a run that began earlier.
fn later(host: HostReport, late: Duration) -> HostReport {
    let shift =
        |time: StepTime| StepTime { step: time.step, began: time.began + late, ended: time.ended + late };
    HostReport { timeline: host.timeline.into_iter().map(shift).collect(), ..host }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::{
        events::RunId,
        report::{InventoryMark, json, table::sample},
    };

    /// A fleet's report as `parts` runs would have made it, started one second after the other.
    fn shards(whole: &FleetReport, parts: usize) -> Vec<(PathBuf, FleetReport)> {
        let of = |shard: usize| FleetReport {
            run: RunId::from_text(format!("20261122T10310{}Z-000{shard}", 5 + shard)),
            started: whole.started + SignedDuration::from_secs(i64::try_from(shard).unwrap()),
            interrupted: whole.interrupted && shard == 1,
            activations_left: whole.activations_left.iter().skip(shard).step_by(parts).cloned().collect(),
            hosts: whole.hosts.iter().filter(|host| host.position % parts == shard).cloned().collect(),
            ..whole.clone()
        };
        (0..parts).map(|shard| (format!("{shard}.json").into(), of(shard))).collect()
    }

    fn fleet(hosts: usize) -> FleetReport {
        let kinds = sample::mixed();
        let all = kinds.hosts.iter().cycle().zip(1..=hosts).map(|(kind, position)| HostReport {
            host: crate::inventory::HostName::sample(&format!("{}-{position}", kind.host)),
            position,
            node: kind.node.as_ref().map(|_| format!("mi-{position:017x}")),
            ..kind.clone()
        });
        let activations_left = vec!["a-1".to_owned(), "a-2".to_owned()];
        FleetReport {
            inventory: InventoryMark::sample(hosts),
            hosts: all.collect(),
            interrupted: true,
            activations_left,
            ..kinds.clone()
        }
    }

    /// As one document, without what the time of day and chance decide.
    fn timeless(report: &FleetReport) -> serde_json::Value {
        let mut value: serde_json::Value = serde_json::from_str(&json::render(report)).unwrap();
        for key in ["run", "merged", "started", "seconds"] {
            value.as_object_mut().unwrap().remove(key).unwrap();
        }
        for host in value["hosts"].as_array_mut().unwrap() {
            for step in host["timeline"].as_array_mut().unwrap() {
                step.as_object_mut().unwrap().retain(|key, _| key == "step");
            }
        }
        value
    }

    #[test]
    fn four_parts_make_the_document_that_one_run_would_have_made_in_whatever_order() {
        let whole = fleet(30);
        let mut parts = shards(&whole, 4);
        for _ in 0..4 {
            parts.rotate_left(1);
            assert_eq!(timeless(&merge(parts.clone()).unwrap()), timeless(&whole));
        }
        let twice = |parts: &[(PathBuf, FleetReport)]| ("m.json".into(), merge(parts.to_vec()).unwrap());
        let in_steps = merge(vec![twice(&parts[..2]), twice(&parts[2..])]).unwrap();
        assert_eq!(json::render(&in_steps), json::render(&merge(parts).unwrap()), "also in steps");
        assert_eq!(missing(&in_steps), 0);
    }

    #[test]
    fn an_earlier_result_among_its_parts_is_left_out_also_where_all_parts_were_run_again() {
        let whole = fleet(30);
        let parts = shards(&whole, 4);
        let result = (PathBuf::from("all.json"), merge(parts.clone()).unwrap());
        let half = (PathBuf::from("half.json"), merge(parts[..2].to_vec()).unwrap());
        let names = |reports: &[(PathBuf, FleetReport)]| {
            reports.iter().map(|(file, _)| file.display().to_string()).collect::<Vec<_>>()
        };
        let among = |mut parts: Vec<(PathBuf, FleetReport)>, result: &(PathBuf, FleetReport)| {
            parts.insert(1, result.clone());
            let (left, out) = without_results(parts);
            (names(&left).join(" "), out)
        };
        let all = "0.json 1.json 2.json 3.json".to_owned();
        assert_eq!(among(parts.clone(), &result), (all.clone(), vec!["all.json".into()]));
        let again: Vec<_> = shards(&whole, 4)
            .into_iter()
            .map(|(file, part)| {
                let run = RunId::from_text(format!("{}f", part.run.as_str()));
                (file, FleetReport { run, ..part })
            })
            .collect();
        assert_eq!(among(again, &result), (all, vec!["all.json".into()]));
        let in_steps = among(parts[2..].to_vec(), &half);
        assert_eq!(in_steps, ("2.json half.json 3.json".to_owned(), Vec::new()), "what no part has is kept");
    }

    #[test]
    fn the_whole_lasts_from_the_first_beginning_to_the_last_end_and_has_one_clock() {
        let report = merge(shards(&fleet(8), 4)).unwrap();
        assert_eq!(report.started, "2026-11-22T10:31:05Z".parse().unwrap());
        assert_eq!(report.elapsed, Duration::from_millis(12_345 + 3_000));
        assert_eq!(report.run.as_str(), "20261122T103105Z-0000");
        assert_eq!(report.merged.len(), 4);
        // Host 7 is of the kind of host 1, and of the part that began three seconds later.
        let (first, seventh) = (&report.hosts[0], &report.hosts[6]);
        assert_eq!(first.timeline[0].began, Duration::from_millis(10 + 1_000));
        assert_eq!(seventh.timeline[0].began, Duration::from_millis(10 + 3_000));
    }

    #[test]
    fn two_hosts_with_one_node_in_different_parts_are_a_clone_and_its_template() {
        let mut whole = fleet(8);
        let online: Vec<_> = (0..8).filter(|at| whole.hosts[*at].outcome.word() == "online").collect();
        let (first, second) = (online[0], online[1]);
        assert_ne!(whole.hosts[first].position % 4, whole.hosts[second].position % 4, "in different parts");
        whole.hosts[second].node = whole.hosts[first].node.clone();
        let hosts = merge(shards(&whole, 4)).unwrap().hosts;
        assert_eq!(hosts[first].outcome.word(), "online");
        let Outcome::Failed { step, why, hint, .. } = &hosts[second].outcome else { panic!("{hosts:?}") };
        let (node, other) = (hosts[first].node.as_ref().unwrap(), &hosts[first].host);
        assert_eq!(*why, format!("its vault names {node}, as the vault of {other} does"));
        assert!(*step == Step::Check && hint.contains("-register -clear"), "{hint}");
    }

    #[test]
    fn a_part_that_is_missing_is_counted() {
        let mut parts = shards(&fleet(30), 4);
        parts.pop();
        assert_eq!(missing(&merge(parts).unwrap()), 7);
    }

    #[test]
    fn what_does_not_fit_is_named_with_both_files() {
        type Change<'c> = &'c dyn Fn(&mut [(PathBuf, FleetReport)]);
        let told = |change: Change<'_>| {
            let mut parts = shards(&fleet(8), 2);
            change(&mut parts);
            merge(parts).unwrap_err().to_string()
        };
        let digest = told(&|parts| parts[1].1.inventory.digest.push('0'));
        assert_eq!(digest, "1.json is a report of another inventory than 0.json");
        assert!(told(&|parts| parts[1].1.dry_run = true).starts_with("only one of 0.json and 1.json is"));
        let twice = told(&|parts| {
            let host = parts[1].1.hosts[0].clone();
            parts[0].1.hosts.push(host);
        });
        assert_eq!(twice, "host deb-1-1 is in 0.json and in 1.json");
        assert!(told(&|parts| parts[1].1.hosts[0].position = 2).contains("another inventory"));
        assert_eq!(merge(Vec::new()).unwrap_err(), MergeError::Nothing);
    }
}
