//! The events of a run in which everything happens once, for tests of those who read events.

use jiff::{SignedDuration, Timestamp};

use crate::{
    events::{Event, RunId, Step},
    inventory::{EnvironmentName, HostName},
    report::table::sample,
};

/// A second of the story; it starts at 10:31:05 UTC.
pub(crate) fn at(second: i64) -> Timestamp {
    "2026-11-22T10:31:05Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

/// The first event, with these hosts.
pub(crate) fn start(hosts: &[(&str, &str)]) -> Event {
    let names =
        |(host, environment): &(&str, &str)| (HostName::sample(host), EnvironmentName::sample(environment));
    Event::RunStarted {
        run: RunId::from_text("20261122T103105Z-5f3a"),
        inventory: "/etc/fleet/hosts.toml".into(),
        hosts: hosts.iter().map(names).collect(),
        dry_run: false,
    }
}

/// A host enters a step.
pub(crate) fn step(host: &str, step: Step) -> Event {
    Event::Step { host: HostName::sample(host), step }
}

/// An action of a host is done.
pub(crate) fn done(host: &str, step: Step, action: &str) -> Event {
    Event::Done { host: HostName::sample(host), step, action: action.to_owned() }
}

/// An activation of the environment dev is created.
pub(crate) fn created(id: &str) -> Event {
    Event::ActivationCreated { environment: EnvironmentName::sample("dev"), id: id.to_owned(), limit: 3 }
}

/// The whole story, which ends with [`sample::mixed`].
pub(crate) fn whole() -> Vec<(Timestamp, Event)> {
    let report = sample::mixed();
    let [deb_1, deb_2, deb_3, rpm_1, rpm_2, rpm_3] = report.hosts.clone().try_into().unwrap();
    let hosts: Vec<_> =
        report.hosts.iter().map(|host| (host.host.as_str(), host.environment.as_str())).collect();
    let warning = |host: Option<&str>, text: &str| Event::Warning {
        host: host.map(HostName::sample),
        text: text.to_owned(),
    };
    let planned =
        |host, actions: &[String]| Event::Planned { host: HostName::sample(host), actions: actions.to_vec() };
    let events = [
        (0, start(&hosts)),
        (0, warning(None, "AWS's key expires in 60 days")),
        (0, step("deb-1", Step::Queue)),
        (1, step("deb-1", Step::Connect)),
        (1, step("deb-2", Step::Connect)),
        (1, step("deb-3", Step::Connect)),
        (2, step("rpm-1", Step::Connect)),
        (2, step("deb-1", Step::Observe)),
        (2, warning(Some("deb-1"), "its clock is 40 s behind")),
        (3, planned("deb-1", &deb_1.actions)),
        (3, created("6a2f1c1e-8b8e-4a51-9d3c-0123456789ab")),
        (3, planned("rpm-1", &[])),
        (4, Event::HostDone(rpm_1)),
        (4, step("deb-1", Step::Install)),
        (4, step("deb-2", Step::Install)),
        (6, done("deb-1", Step::Install, "install amazon-ssm-agent 3.3.3000.0")),
        (6, Event::HostDone(deb_2)),
        (7, step("deb-1", Step::Register)),
        (8, done("deb-1", Step::Register, "register with activation")),
        (8, step("deb-1", Step::Start)),
        (8, done("deb-1", Step::Start, "start and enable the agent")),
        (8, step("deb-1", Step::Online)),
        (9, Event::HostDone(deb_1)),
        (10, Event::Interrupted),
        (11, Event::HostDone(deb_3)),
        (11, Event::HostDone(rpm_2)),
        (11, Event::HostDone(rpm_3)),
        (
            12,
            Event::ActivationLeft {
                id: "6a2f1c1e-8b8e-4a51-9d3c-0123456789ab".into(),
                why: "the endpoint does not answer".into(),
            },
        ),
        (12, Event::RunDone(report)),
    ];
    events.into_iter().map(|(second, event)| (at(second), event)).collect()
}
