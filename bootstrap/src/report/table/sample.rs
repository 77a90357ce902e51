//! Reports for tests: a fleet in which all went well, one with every kind of trouble, and a dry run.

use std::time::Duration;

use crate::{
    events::{RunId, Step},
    inventory::{EnvironmentName, HostName},
    report::{FleetReport, HostReport, InventoryMark, Outcome, StepTime},
};

pub(crate) fn host(name: &str, environment: &str, outcome: Outcome) -> HostReport {
    HostReport {
        host: HostName::sample(name),
        environment: EnvironmentName::sample(environment),
        outcome,
        node: None,
        actions: Vec::new(),
        execs: 0,
        elapsed: Duration::ZERO,
        position: 0,
        timeline: Vec::new(),
    }
}

fn fleet(hosts: Vec<HostReport>) -> FleetReport {
    FleetReport {
        run: RunId::from_text("20261122T103105Z-5f3a"),
        started: "2026-11-22T10:31:05Z".parse().unwrap(),
        elapsed: Duration::from_millis(12_345),
        dry_run: false,
        interrupted: false,
        merged: Vec::new(),
        inventory: InventoryMark::sample(hosts.len()),
        hosts: (1..).zip(hosts).map(|(position, host)| HostReport { position, ..host }).collect(),
        activations_left: Vec::new(),
    }
}

fn actions() -> Vec<String> {
    ["install amazon-ssm-agent 3.3.3000.0", "register with activation", "start and enable the agent"]
        .map(str::to_owned)
        .into()
}

fn timeline() -> Vec<StepTime> {
    use Step::{Configure, Connect, Install, Observe, Online, Register, Start};
    let steps = [Connect, Observe, Configure, Install, Register, Start, Online];
    let ends = [310, 900, 1_200, 4_800, 6_100, 7_000, 8_150].map(Duration::from_millis);
    let begins = [Duration::from_millis(10)].into_iter().chain(ends);
    steps
        .into_iter()
        .zip(begins.zip(ends))
        .map(|(step, (began, ended))| StepTime { step, began, ended })
        .collect()
}

/// One host changed, one as it was.
pub(crate) fn good() -> FleetReport {
    fleet(vec![
        HostReport {
            node: Some("mi-0123456789abcdef0".into()),
            actions: actions(),
            execs: 4,
            elapsed: Duration::from_millis(8_140),
            timeline: timeline(),
            ..host("deb-1", "dev", Outcome::Online { changed: true })
        },
        HostReport {
            node: Some("mi-0fedcba9876543210".into()),
            execs: 1,
            elapsed: Duration::from_millis(912),
            ..host("rpm-1", "prod", Outcome::Online { changed: false })
        },
    ])
}

/// Every outcome a run can have, the bad ones first in the inventory but for one.
pub(crate) fn mixed() -> FleetReport {
    let mut hosts = good().hosts;
    let failed = Outcome::Failed {
        step: Step::Install,
        why: "`dpkg --install amazon-ssm-agent.deb` ended with exit code 1".into(),
        lines: vec!["dpkg: error: failed to write".into(), "No space left on device".into()],
        hint: "free space in /var and run again".into(),
    };
    let why = "connection to 10.0.0.4:22 timed out after 10 s".into();
    let unreachable = Outcome::Unreachable { why, hint: "is the host switched on?".into() };
    let why = "SSM says ConnectionLost after 120 s".into();
    let registered = Outcome::Registered { why, hint: "look at the agent's log on the host".into() };
    hosts.insert(1, HostReport { execs: 2, elapsed: Duration::from_secs(3), ..host("deb-2", "dev", failed) });
    hosts.insert(2, host("deb-3", "dev", unreachable));
    hosts.push(HostReport {
        node: Some("mi-00000000000000abc".into()),
        actions: actions(),
        execs: 5,
        elapsed: Duration::from_secs(125),
        ..host("rpm-2", "prod", registered)
    });
    hosts.push(host(
        "rpm-3",
        "prod",
        Outcome::Skipped { why: "the run was interrupted before its turn".into() },
    ));
    let activations_left = vec!["6a2f1c1e-8b8e-4a51-9d3c-0123456789ab".to_owned()];
    FleetReport { activations_left, ..fleet(hosts) }
}

/// One host with a plan, one without, one that could not be asked.
pub(crate) fn dry() -> FleetReport {
    let mut hosts = mixed().hosts;
    hosts.truncate(4);
    hosts.remove(1);
    for host in &mut hosts {
        if host.outcome.is_good() {
            host.outcome = Outcome::Planned;
        }
    }
    FleetReport { dry_run: true, ..fleet(hosts) }
}
