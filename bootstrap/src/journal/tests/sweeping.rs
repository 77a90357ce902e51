//! Which activations' nodes may be looked through for such as no host holds.

use super::*;
use crate::report::{HostReport, Outcome};

const FIRST: &str = "20261122T103105Z-0001";
const SECOND: &str = "20261122T113105Z-0002";
const NODE: &str = "mi-0123456789abcdef0";

/// A run that starts at `second`, creates an activation if it is given, and ends each host as said.
fn run(
    journal: &Journal,
    id: &str,
    second: i64,
    activation: Option<&str>,
    hosts: &[(&str, Option<HostReport>)],
) {
    let inventoried: Vec<_> = hosts.iter().map(|(name, _)| (*name, "dev")).collect();
    let Event::RunStarted { inventory, hosts: named, dry_run, .. } = story::start(&inventoried) else {
        panic!()
    };
    let mut reader = journal.reader(key(journal));
    tell(
        &mut reader,
        second,
        &Event::RunStarted { run: RunId::from_text(id), inventory, hosts: named, dry_run },
    );
    if let Some(activation) = activation {
        tell(&mut reader, second, &story::created(activation));
    }
    for report in hosts.iter().filter_map(|(_, report)| report.clone()) {
        tell(&mut reader, second, &Event::HostDone(report));
    }
}

fn ended(host: &str, outcome: Outcome, node: Option<&str>) -> HostReport {
    HostReport { node: node.map(str::to_owned), ..sample::host(host, "dev", outcome) }
}

fn failed(host: &str, step: Step) -> HostReport {
    let (why, hint) = ("the connection was lost".to_owned(), "run again".to_owned());
    ended(host, Outcome::Failed { step, why, lines: Vec::new(), hint }, None)
}

fn online(host: &str, node: &str) -> HostReport {
    ended(host, Outcome::Online { changed: true }, Some(node))
}

fn unswept(journal: &Journal) -> Vec<(String, Vec<String>)> {
    let found = journal.unswept_activations(key(journal)).unwrap();
    found.into_iter().map(|left| (left.id, left.held.into_iter().collect())).collect()
}

#[test]
fn an_activation_whose_hosts_are_all_seen_is_swept_once() {
    let (_directory, _path, journal) = fresh();
    let unreachable = Outcome::Unreachable { why: "no route".to_owned(), hint: "look".to_owned() };
    let hosts = [
        ("deb-1", Some(online("deb-1", NODE))),
        ("deb-2", Some(failed("deb-2", Step::Fetch))),
        ("deb-3", Some(ended("deb-3", unreachable, None))),
    ];
    run(&journal, FIRST, 0, Some(ACTIVATION), &hosts);
    assert_eq!(unswept(&journal), [(ACTIVATION.to_owned(), vec![NODE.to_owned()])]);
    assert_eq!(journal.unswept_activations(other_key(&journal)).unwrap(), []);
    journal.mark_activation_swept(ACTIVATION, story::at(9)).unwrap();
    assert_eq!(unswept(&journal), []);
}

#[test]
fn a_host_that_may_have_got_the_code_is_waited_for_until_it_is_seen_registered() {
    // A package is sent to the same command that registers: lost there, it may have gone on.
    let lost = [Step::Upload, Step::Install, Step::Register].map(|step| Some(failed("deb-1", step)));
    for first in lost.into_iter().chain([None]) {
        let (_directory, _path, journal) = fresh();
        run(&journal, FIRST, 0, Some(ACTIVATION), &[("deb-1", first)]);
        assert_eq!(unswept(&journal), [], "it may hold any node of it");
        run(&journal, SECOND, 60, None, &[("deb-1", Some(failed("deb-1", Step::Connect)))]);
        assert_eq!(unswept(&journal), [], "nobody has seen its vault yet");
        run(&journal, "20261122T123105Z-0003", 90, None, &[("deb-1", Some(online("deb-1", NODE)))]);
        assert_eq!(unswept(&journal), [(ACTIVATION.to_owned(), vec![NODE.to_owned()])]);
    }
}

#[test]
fn activations_of_an_older_journal_are_not_looked_through() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.db");
    let sql = "INSERT INTO runs (id, inventory, started, ended, dry_run, pid) \
               VALUES ('old', '/etc/fleet/hosts.toml', 0, 1, 0, 1); \
               INSERT INTO hosts (run, name, position, environment, outcome, node) \
               VALUES ('old', 'deb-1', 0, 'dev', 'online', 'mi-0123456789abcdef0'); \
               INSERT INTO activations (id, run, environment, registrations, created) \
               VALUES ('6a2f1c1e-8b8e-4a51-9d3c-0123456789ab', 'old', 'dev', 1, 0)";
    of_schema(1, &path).execute_batch(sql).unwrap();
    let journal = Journal::open(&path).unwrap();
    assert_eq!(unswept(&journal), []);
    assert_eq!(journal.open_activations(key(&journal)).unwrap().len(), 1, "but deleted");
}

#[test]
fn a_host_seen_by_a_run_before_this_one_is_not_seen_since_wherever_the_clock_stands() {
    let (_directory, _path, journal) = fresh();
    run(&journal, FIRST, 60, None, &[("deb-1", Some(online("deb-1", NODE)))]);
    let lost = failed("deb-1", Step::Register);
    run(&journal, SECOND, 0, Some(ACTIVATION), &[("deb-1", Some(lost))]);
    assert_eq!(unswept(&journal), [], "it may hold a node of the activation, though the clock was set back");
}

/// Every run's process is gone.
fn all_over(path: &Path) {
    Connection::open(path).unwrap().execute("UPDATE runs SET pid_started = pid_started + 1", []).unwrap();
}

#[test]
fn a_run_that_is_at_work_says_nothing_of_who_failed() {
    let (_directory, path, journal) = fresh();
    let inventory = key(&journal);
    assert_eq!(journal.failed_hosts(inventory).unwrap(), None);
    run(&journal, FIRST, 0, None, &[("deb-1", Some(online("deb-1", NODE))), ("deb-2", None)]);
    assert_eq!(journal.failed_hosts(inventory).unwrap(), None, "it is at work");
    all_over(&path);
    assert_eq!(journal.failed_hosts(inventory).unwrap(), Some(["deb-2".to_owned()].into()));
    assert_eq!(journal.failed_hosts(other_key(&journal)).unwrap(), None);
}

#[test]
fn a_host_has_failed_until_a_run_that_has_it_brings_it_online_wherever_the_clock_stands() {
    let (_directory, path, journal) = fresh();
    let inventory = key(&journal);
    let failed_now = || {
        all_over(&path);
        journal.failed_hosts(inventory).unwrap().unwrap().into_iter().collect::<Vec<_>>().join(" ")
    };
    let hosts = [
        ("deb-1", Some(failed("deb-1", Step::Install))),
        ("deb-2", Some(failed("deb-2", Step::Connect))),
        ("deb-3", None),
        ("deb-4", Some(online("deb-4", NODE))),
    ];
    run(&journal, FIRST, 0, None, &hosts);
    assert_eq!(failed_now(), "deb-1 deb-2 deb-3");
    run(&journal, SECOND, 60, None, &[("deb-1", Some(online("deb-1", NODE)))]);
    assert_eq!(failed_now(), "deb-2 deb-3", "a run of one host says nothing of the others");
    run(&journal, "20261122T123105Z-0003", 90, None, &[("deb-4", Some(failed("deb-4", Step::Start)))]);
    assert_eq!(failed_now(), "deb-2 deb-3 deb-4");
    run(&journal, "20261121T103105Z-0004", -86_400, None, &[("deb-2", Some(online("deb-2", NODE)))]);
    assert_eq!(failed_now(), "deb-3 deb-4", "the clock was set back");
}

#[test]
fn a_request_whose_answer_was_never_written_down_is_looked_for_until_it_is_settled() {
    let (_directory, path, journal) = fresh();
    let inventory = key(&journal);
    run(&journal, FIRST, 0, None, &[("deb-1", None)]);
    let mut reader = journal.reader(key(&journal));
    let Event::RunStarted { hosts, dry_run, .. } = story::start(&[("deb-1", "dev")]) else { panic!() };
    let started = Event::RunStarted {
        run: RunId::from_text(SECOND),
        inventory: "/etc/fleet/hosts.toml".into(),
        hosts,
        dry_run,
    };
    tell(&mut reader, 60, &started);
    let dev = crate::inventory::EnvironmentName::sample("dev");
    tell(&mut reader, 61, &Event::ActivationRequested { environment: dev.clone() });
    let other = Connection::open(&path).unwrap();
    let durable = |sql: &str| other.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(durable("SELECT count(*) FROM requests"), 1, "before any tick");
    assert_eq!(journal.unsettled_requests(inventory).unwrap(), [], "the run is at work");
    other.execute("UPDATE runs SET pid_started = pid_started + 1", []).unwrap();
    let found = journal.unsettled_requests(inventory).unwrap();
    let [request] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        (request.run.as_str(), request.environment.as_str(), request.asked),
        (SECOND, "dev", story::at(61))
    );
    assert_eq!(journal.unsettled_requests(other_key(&journal)).unwrap(), []);
    journal.mark_settled(request, story::at(300)).unwrap();
    assert_eq!(journal.unsettled_requests(inventory).unwrap(), []);
    tell(&mut reader, 301, &Event::ActivationRequested { environment: dev.clone() });
    assert_eq!(journal.unsettled_requests(inventory).unwrap().len(), 1, "it asked for another one");
    tell(&mut reader, 302, &Event::ActivationsSettled { environment: dev });
    a_second(&mut reader);
    assert_eq!(journal.unsettled_requests(inventory).unwrap(), []);
}
