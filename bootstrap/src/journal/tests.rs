mod histories;
mod holding;
mod keys;
mod sweeping;

use std::{os::unix::fs::PermissionsExt, process::Command};

use tempfile::TempDir;

use super::*;
use crate::{
    display::story,
    events::{Event, Reader, RunId, Step},
    report::table::sample,
};

const RUN: &str = "20261122T103105Z-5f3a";
const ACTIVATION: &str = "6a2f1c1e-8b8e-4a51-9d3c-0123456789ab";

fn fresh() -> (TempDir, PathBuf, Journal) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state/bootstrap/journal.db");
    let journal = Journal::open(&path).unwrap();
    (directory, path, journal)
}

/// An inventory that is always the same.
fn key(journal: &Journal) -> InventoryKey {
    journal.key_at(Path::new("/etc/fleet/hosts.toml"), &inventories::Members::new()).unwrap()
}

fn other_key(journal: &Journal) -> InventoryKey {
    journal.key_at(Path::new("/etc/fleet/other.toml"), &inventories::Members::new()).unwrap()
}

/// An empty journal as a program of that schema made it.
fn of_schema(schema: u32, path: &Path) -> Connection {
    let old = Connection::open(path).unwrap();
    for migration in &schema::MIGRATIONS[..schema as usize] {
        old.execute_batch(migration).unwrap();
    }
    old.pragma_update(None, "application_id", schema::APPLICATION).unwrap();
    old.pragma_update(None, "user_version", schema).unwrap();
    old
}

fn tell(reader: &mut Recorder, second: i64, event: &Event) {
    reader.read(story::at(second), event);
}

/// So many ticks as make one second.
fn a_second(reader: &mut Recorder) {
    (0..8).for_each(|_| reader.tick());
}

fn whole_run(journal: &Journal) {
    let mut reader = journal.reader(key(journal));
    for (at, event) in &story::whole() {
        reader.read(*at, event);
        reader.tick();
    }
}

/// A run of this id that starts and creates an activation, and whose process is then gone.
fn died(journal: &Journal, path: &Path, id: &str, activation: &str) {
    let Event::RunStarted { inventory, hosts, dry_run, .. } = story::start(&[("deb-1", "dev")]) else {
        panic!()
    };
    let mut reader = journal.reader(key(journal));
    tell(&mut reader, 0, &Event::RunStarted { run: RunId::from_text(id), inventory, hosts, dry_run });
    tell(&mut reader, 1, &story::step("deb-1", Step::Install));
    tell(&mut reader, 2, &story::created(activation));
    let other = Connection::open(path).unwrap();
    other.execute("UPDATE runs SET pid_started = pid_started + 1 WHERE id = ?", [id]).unwrap();
}

#[test]
fn the_directory_and_the_file_are_the_users_alone() {
    let (_directory, path, journal) = fresh();
    whole_run(&journal);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
}

#[test]
fn a_run_is_all_there_after_reopening() {
    let (_directory, path, journal) = fresh();
    whole_run(&journal);
    drop(journal);
    let journal = Journal::open(&path).unwrap();
    assert_eq!(journal.trouble(), None);
    let runs = journal.runs(10).unwrap();
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!((run.id.as_str(), run.ending, run.dry_run), (RUN, Ending::Interrupted, false));
    assert_eq!(run.started, story::at(0));
    assert_eq!(run.elapsed, Some(std::time::Duration::from_secs(12)));
    assert_eq!(run.inventory, Path::new("/etc/fleet/hosts.toml"));
    let expected = Counts {
        hosts: 6,
        online: 2,
        changed: 2,
        planned: 0,
        registered: 1,
        failed: 1,
        unreachable: 1,
        skipped: 1,
        unfinished: 0,
    };
    assert_eq!(run.counts, expected);
    let hosts = journal.hosts_of(&run.id).unwrap();
    let names: Vec<_> = hosts.iter().map(|host| host.host.as_str()).collect();
    assert_eq!(names, ["deb-1", "deb-2", "deb-3", "rpm-1", "rpm-2", "rpm-3"]);
    assert_eq!(hosts[0].node.as_deref(), Some("mi-0123456789abcdef0"));
    assert_eq!((hosts[0].execs, hosts[0].changed), (Some(4), true));
    assert_eq!((hosts[1].step.as_deref(), hosts[1].outcome.as_deref()), (Some("install"), Some("failed")));
    let actions = journal.actions_of(&run.id, "deb-1").unwrap();
    let said: Vec<_> =
        actions.iter().map(|action| (action.step.as_deref(), action.sentence.as_str())).collect();
    let expected = [
        (Some("install"), "install amazon-ssm-agent 3.3.3000.0"),
        (Some("register"), "register with activation"),
        (Some("start"), "start and enable the agent"),
    ];
    assert_eq!(said, expected);
    assert_eq!(actions[0].at, story::at(6));
}

#[test]
fn hosts_that_only_the_fleets_report_names_are_recorded_too() {
    let (_directory, _path, journal) = fresh();
    let mut reader = journal.reader(key(&journal));
    tell(&mut reader, 0, &story::start(&[("rpm-3", "prod")]));
    tell(&mut reader, 1, &Event::RunDone(sample::mixed()));
    let host = journal.hosts_of(&RunId::from_text(RUN)).unwrap().remove(0);
    assert_eq!(host.outcome.as_deref(), Some("skipped"));
}

#[test]
fn a_dry_run_records_what_would_be_done() {
    let (_directory, _path, journal) = fresh();
    let Event::RunStarted { run, inventory, hosts, .. } = story::start(&[("deb-1", "dev")]) else { panic!() };
    let mut reader = journal.reader(key(&journal));
    tell(&mut reader, 0, &Event::RunStarted { run, inventory, hosts, dry_run: true });
    let host = sample::dry().hosts.remove(0);
    tell(&mut reader, 1, &Event::HostDone(host));
    drop(reader);
    let run = journal.run(RUN).unwrap().unwrap();
    assert!(run.dry_run);
    assert_eq!((run.counts.planned, run.counts.changed), (1, 0));
    assert_eq!(journal.actions_of(&run.id, "deb-1").unwrap().len(), 3);
}

#[test]
fn an_activation_is_durable_at_once_and_other_events_after_a_second() {
    let (_directory, path, journal) = fresh();
    let mut reader = journal.reader(key(&journal));
    tell(&mut reader, 0, &story::start(&[("deb-1", "dev")]));
    tell(&mut reader, 1, &story::created(ACTIVATION));
    tell(&mut reader, 2, &story::step("deb-1", Step::Install));
    // Another connection sees only what is committed, which is what a SIGKILL would leave.
    let other = Connection::open(&path).unwrap();
    let ask = |sql: &str| other.query_row(sql, [], |row| row.get::<_, Option<String>>(0)).unwrap();
    assert_eq!(ask("SELECT id FROM activations").as_deref(), Some(ACTIVATION));
    assert_eq!(ask("SELECT step FROM hosts"), None);
    a_second(&mut reader);
    assert_eq!(ask("SELECT step FROM hosts").as_deref(), Some("install"));
}

#[test]
fn activations_of_a_run_that_lives_are_nobodys_to_delete() {
    let (_directory, path, journal) = fresh();
    let mut reader = journal.reader(key(&journal));
    tell(&mut reader, 0, &story::start(&[("deb-1", "dev")]));
    tell(&mut reader, 1, &story::created("alive"));
    died(&journal, &path, "20261121T000000Z-0001", "orphan");
    died(&journal, &path, "20261121T000000Z-0002", "elsewhere");
    let other = Connection::open(&path).unwrap();
    let sql = "UPDATE runs SET machine = 'another', boot = 'another' WHERE id = '20261121T000000Z-0002'";
    other.execute(sql, []).unwrap();
    let open = journal.open_activations(key(&journal)).unwrap();
    let [orphan] = open.as_slice() else { panic!("{open:?}") };
    assert_eq!((orphan.id.as_str(), orphan.environment.as_str()), ("orphan", "dev"));
    assert_eq!((orphan.created, orphan.why_left.as_deref()), (story::at(2), None));
    journal.mark_activation_deleted("orphan", story::at(60)).unwrap();
    assert_eq!(journal.open_activations(key(&journal)).unwrap(), []);
    let endings: Vec<_> = journal.runs(9).unwrap().iter().map(|run| run.ending).collect();
    assert!(endings.contains(&Ending::Running) && endings.contains(&Ending::Died), "{endings:?}");
    assert!(endings.contains(&Ending::Unknown), "{endings:?}");
}

#[test]
fn an_activation_that_could_not_be_deleted_stays_with_its_reason_until_it_is() {
    let (_directory, _path, journal) = fresh();
    whole_run(&journal);
    let open = journal.open_activations(key(&journal)).unwrap();
    assert_eq!(open[0].why_left.as_deref(), Some("the endpoint does not answer"));
    let mut reader = journal.reader(key(&journal));
    let Event::RunStarted { inventory, hosts, dry_run, .. } = story::start(&[]) else { panic!() };
    tell(&mut reader, 99, &Event::RunStarted { run: RunId::from_text("next"), inventory, hosts, dry_run });
    tell(&mut reader, 99, &Event::ActivationDeleted { id: ACTIVATION.into() });
    assert_eq!(journal.open_activations(key(&journal)).unwrap(), []);
}

#[test]
fn two_processes_may_make_and_write_one_journal_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.db");
    std::thread::scope(|scope| {
        for process in 0..4 {
            let path = &path;
            scope.spawn(move || {
                let journal = Journal::open(path).unwrap();
                let Event::RunStarted { inventory, hosts, dry_run, .. } = story::start(&[("deb-1", "dev")])
                else {
                    panic!()
                };
                let mut reader = journal.reader(key(&journal));
                let run = RunId::from_text(format!("run-{process}"));
                tell(&mut reader, 0, &Event::RunStarted { run, inventory, hosts, dry_run });
                for action in 0..50 {
                    tell(
                        &mut reader,
                        action,
                        &story::done("deb-1", Step::Install, &format!("action {action}")),
                    );
                    a_second(&mut reader);
                }
                drop(reader);
                assert_eq!(journal.trouble(), None);
            });
        }
    });
    let journal = Journal::open(&path).unwrap();
    let runs = journal.runs(9).unwrap();
    assert_eq!(runs.len(), 4);
    for run in runs {
        let actions = journal.actions_of(&run.id, "deb-1").unwrap();
        let expected: Vec<_> = (0..50).map(|action| format!("action {action}")).collect();
        assert_eq!(actions.iter().map(|action| action.sentence.clone()).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_write_that_fails_is_told_at_the_end_and_made_up_for_if_it_can_be() {
    let (_directory, path, journal) = fresh();
    let mut reader = journal.reader(key(&journal));
    tell(&mut reader, 0, &story::start(&[("deb-1", "dev")]));
    journal.lock().busy_timeout(std::time::Duration::ZERO).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    tell(&mut reader, 1, &story::done("deb-1", Step::Install, "install"));
    a_second(&mut reader);
    let trouble = journal.trouble().unwrap();
    assert!(trouble.contains("journal.db is incomplete: database is locked"), "{trouble}");
    other.execute_batch("ROLLBACK").unwrap();
    tell(&mut reader, 2, &Event::RunDone(sample::good()));
    assert_eq!(journal.trouble(), None);
    assert_eq!(journal.actions_of(&RunId::from_text(RUN), "deb-1").unwrap().len(), 1);
}

#[test]
fn a_journal_that_cannot_be_written_for_long_knows_the_run_and_its_activations_in_the_end() {
    let (_directory, path, journal) = fresh();
    let mut reader = journal.reader(key(&journal));
    journal.lock().busy_timeout(std::time::Duration::ZERO).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    tell(&mut reader, 0, &story::start(&[("deb-1", "dev")]));
    tell(&mut reader, 1, &story::created(ACTIVATION));
    // Of a host that is not in the run, so that no time goes into writing them.
    for _ in 0..70_000 {
        tell(&mut reader, 2, &story::done("deb-9", Step::Install, "install"));
    }
    other.execute_batch("ROLLBACK").unwrap();
    tell(&mut reader, 3, &Event::RunDone(sample::good()));
    let trouble = journal.trouble().unwrap();
    assert!(trouble.contains("events are missing in it"), "{trouble}");
    assert_eq!(journal.runs(1).unwrap()[0].ending, Ending::Ended);
    assert_eq!(journal.open_activations(key(&journal)).unwrap()[0].id, ACTIVATION);
}

#[test]
fn a_journal_of_a_later_version_is_left_alone() {
    let (_directory, path, journal) = fresh();
    drop(journal);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let before = fs::read(&path).unwrap();
    let error = Journal::open(&path).unwrap_err();
    assert!(matches!(error, JournalError::Newer { found: 7, known: schema::KNOWN, .. }), "{error:?}");
    assert!(error.hint().starts_with("update this program"));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_is_something_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text");
    fs::write(&text, "not a database, but longer than the 100 bytes of an SQLite header ".repeat(9)).unwrap();
    let foreign = directory.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE photos (id)").unwrap();
    for path in [text, foreign] {
        let before = fs::read(&path).unwrap();
        let error = Journal::open(&path).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{error:?}");
        assert!(error.hint().contains(&format!("move {} aside", path.display())));
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_journal_whose_pages_are_overwritten_is_said_to_be_damaged() {
    let (_directory, path, journal) = fresh();
    drop(journal);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..4096].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let error = Journal::open(&path).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { source: Some(_), .. }), "{error:?}");
}

#[test]
fn a_place_that_cannot_be_written_is_named_with_the_remedy() {
    // Modes mean nothing to root, but even root can't make a directory under a file.
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let path = directory.path().join("file/journal.db");
    let error = Journal::open(&path).unwrap_err();
    assert!(matches!(error, JournalError::Unusable { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("journal {} cannot be opened", path.display()));
    assert!(error.hint().contains("--state-dir"));
}

#[test]
fn reading_makes_no_journal_and_says_where_there_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("typo/journal.db");
    let error = Journal::read(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("there is no journal {}", path.display()));
    assert!(error.hint().contains("--state-dir") && fs::read_dir(directory.path()).unwrap().next().is_none());
}

#[test]
fn a_journal_is_read_where_nothing_can_be_written() {
    let (directory, path, journal) = fresh();
    whole_run(&journal);
    let runs = journal.runs(5).unwrap().len();
    drop(journal);
    assert!(Journal::read(&path).unwrap().lock().execute("DELETE FROM runs", []).is_err());
    // As on a read-only file system: SQLite can't make this file, and follows no link in its place.
    for end in ["shm", "wal"] {
        fs::remove_file(path.with_extension(format!("db-{end}"))).ok();
    }
    std::os::unix::fs::symlink(directory.path().join("absent"), path.with_extension("db-shm")).unwrap();
    assert_eq!(Journal::read(&path).unwrap().runs(5).unwrap().len(), runs);
}

#[test]
fn an_older_journal_is_brought_up_to_date_by_reading_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.db");
    drop(of_schema(1, &path));
    assert!(Journal::read(&path).unwrap().runs(5).is_ok());
}

#[test]
fn a_killed_process_leaves_its_activation_to_be_found() {
    const KILLED: &str = "BOOTSTRAP_TEST_JOURNAL_OF_A_KILLED_PROCESS";
    if let Some(path) = std::env::var_os(KILLED) {
        let journal = Journal::open(Path::new(&path)).unwrap();
        let mut reader = journal.reader(key(&journal));
        tell(&mut reader, 0, &story::start(&[("deb-1", "dev")]));
        tell(&mut reader, 1, &story::created("left by a killed process"));
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        unreachable!("SIGKILL was survived");
    }
    let (_directory, path, journal) = fresh();
    let name = "a_killed_process_leaves_its_activation_to_be_found";
    let status = Command::new(std::env::current_exe().unwrap())
        .args([&format!("journal::tests::{name}"), "--exact"])
        .env(KILLED, &path)
        .status()
        .unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    assert_eq!(journal.runs(1).unwrap()[0].ending, Ending::Died);
    assert_eq!(journal.open_activations(key(&journal)).unwrap()[0].id, "left by a killed process");
}
