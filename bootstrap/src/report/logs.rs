//! A log for each host, and one for what is about no single host: everything that happened, with its time, and what commands
//! printed. A reader of events like the journal and the displays. It never fails a run: what could not be written is told
//! once, at the end.
//!
//! Lines are kept for a moment and a file is only open while they are written, so that thousands of hosts need neither
//! thousands of open files nor a system call for each line.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{FleetReport, HostReport, words::Trouble};
use crate::{
    display::{clean, elapsed, retry},
    events::{Event, Line, Reader, Source},
    inventory::HostName,
    report::table,
};

/// The directory of the hosts' logs, in that of a report.
pub const LOGS: &str = "logs";
/// The log of what is about no single host.
pub const RUN_LOG: &str = "run.log";
/// So much of one file is kept at most before it is written.
const KEPT_BYTES: usize = 32 << 10;
/// Ticks between two times when all that is kept is written; about a second.
const TICKS: u32 = 8;
/// Most file systems take 255 bytes, a name of a host may have 253.
const LONGEST_NAME: usize = 240;

/// Writes the logs of a run.
#[derive(Debug)]
pub struct HostLogs {
    directory: PathBuf,
    head: String,
    /// By host; `None` is the run's own.
    kept: BTreeMap<Option<HostName>, Kept>,
    ticks: u32,
    trouble: LogTrouble,
}

#[derive(Debug, Default)]
struct Kept {
    text: String,
    /// There is a file of this run already.
    begun: bool,
}

/// Why the logs are not complete, once somebody asks.
#[derive(Clone, Debug, Default)]
pub struct LogTrouble(Arc<Mutex<Option<String>>>);

impl LogTrouble {
    /// One sentence, if there was trouble.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, path: &Path, error: &io::Error) {
        let mut trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.get_or_insert_with(|| {
            format!("logs are incomplete: {} could not be written: {error}", path.display())
        });
    }
}

impl HostLogs {
    /// Logs in the directory of a report, which is there.
    #[must_use]
    pub fn new(report: &Path) -> Self {
        Self {
            directory: report.to_owned(),
            head: String::new(),
            kept: BTreeMap::new(),
            ticks: 0,
            trouble: LogTrouble::default(),
        }
    }

    /// Tells what could not be written.
    #[must_use]
    pub fn trouble(&self) -> LogTrouble {
        self.trouble.clone()
    }

    fn note(&mut self, host: Option<&HostName>, lines: &[(Timestamp, &str, &str)]) {
        let kept = self.kept.entry(host.cloned()).or_default();
        for (at, kind, text) in lines {
            let time = at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
            // Writing to a string cannot fail.
            writeln!(kept.text, "{time} {kind:<8} {}", clean(text)).ok();
        }
        if kept.text.len() > KEPT_BYTES {
            self.write(host);
        }
    }

    fn write(&mut self, host: Option<&HostName>) {
        if let Some(kept) = self.kept.get_mut(&host.cloned()) {
            kept.write(&self.directory, host, &self.head, &self.trouble);
        }
    }

    fn write_all(&mut self) {
        for (host, kept) in &mut self.kept {
            kept.write(&self.directory, host.as_ref(), &self.head, &self.trouble);
        }
    }
}

impl Kept {
    fn write(&mut self, directory: &Path, host: Option<&HostName>, head: &str, trouble: &LogTrouble) {
        if self.text.is_empty() {
            return;
        }
        let path = match host {
            Some(host) => directory.join(LOGS).join(file_name(host)),
            None => directory.join(RUN_LOG),
        };
        let name = host.map_or("the run", HostName::as_str);
        let text = in_order(&self.text);
        let written = if self.begun {
            append(&path, &text)
        } else {
            fs::write(&path, format!("# {name}: {head}\n{text}"))
        };
        if let Err(error) = written {
            trouble.note(&path, &error);
        }
        self.begun = true;
        // The room is given back: most hosts are through.
        self.text = String::new();
    }
}

impl Reader for HostLogs {
    fn read(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::RunStarted { run, inventory, hosts, dry_run } => {
                let logs = self.directory.join(LOGS);
                if let Err(error) = fs::create_dir_all(&logs) {
                    self.trouble.note(&logs, &error);
                }
                let dry = if *dry_run { ", a dry run" } else { "" };
                self.head =
                    clean(&format!("run {run} of {}{dry}; times are UTC", inventory.display())).into();
                self.note(None, &[(at, "run", &format!("{} hosts", hosts.len()))]);
            }
            Event::Step { host, step } => self.note(Some(host), &[(at, "step", step.word())]),
            Event::Planned { host, actions } if actions.is_empty() => {
                self.note(Some(host), &[(at, "plan", "nothing to do")]);
            }
            Event::Planned { host, actions } => {
                let lines: Vec<_> = actions.iter().map(|action| (at, "plan", action.as_str())).collect();
                self.note(Some(host), &lines);
            }
            Event::Done { host, action, .. } => self.note(Some(host), &[(at, "done", action)]),
            Event::Output { host, lines } => {
                let lines: Vec<_> = lines.iter().map(printed).collect();
                self.note(Some(host), &lines);
            }
            Event::Retry { host, number, of, after, why } => {
                let text = retry(*number, *of, *after, why);
                self.note(Some(host), &[(at, "retry", &text)]);
            }
            Event::Warning { host, text } => self.note(host.as_ref(), &[(at, "warning", text)]),
            Event::HostDone(report) => {
                self.note_end(at, report);
                self.write(Some(&report.host));
            }
            Event::ActivationRequested { .. } | Event::ActivationsSettled { .. } => {}
            Event::ActivationCreated { environment, id, limit } => {
                let text = format!("{environment}: activation {id} created, for up to {limit} registrations");
                self.note(None, &[(at, "aws", &text)]);
            }
            Event::ActivationDeleted { id } => {
                self.note(None, &[(at, "aws", &format!("activation {id} deleted"))]);
            }
            Event::ActivationLeft { id, why } => {
                let text = format!("activation {id} could not be deleted: {why}");
                self.note(None, &[(at, "warning", &text)]);
            }
            Event::Interrupted => self.note(None, &[(at, "warning", "interrupted")]),
            Event::RunDone(report) => {
                self.note_fleet(at, report);
                self.write_all();
            }
        }
    }

    fn tick(&mut self) {
        self.ticks += 1;
        if self.ticks.is_multiple_of(TICKS) {
            self.write_all();
        }
    }
}

impl HostLogs {
    fn note_end(&mut self, at: Timestamp, report: &HostReport) {
        let changed = if report.changed() { ", changed" } else { "" };
        let took = elapsed(report.elapsed);
        let end = format!("{}{changed}, {} commands in {took}", report.outcome.word(), report.execs);
        let mut lines = vec![(at, "end", end.as_str())];
        let trouble = Trouble::of(&report.outcome);
        if let Some(trouble) = &trouble {
            lines.push((at, "why", trouble.why));
            lines.extend(Some((at, "hint", trouble.hint)).filter(|(.., hint)| !hint.is_empty()));
        }
        self.note(Some(&report.host), &lines);
    }

    fn note_fleet(&mut self, at: Timestamp, report: &FleetReport) {
        self.note(None, &[(at, "end", &table::counts(report))]);
    }
}

impl Drop for HostLogs {
    fn drop(&mut self) {
        self.write_all();
    }
}

/// Lines by their times: what a command printed, and when, is told at its end, after the steps that it went through.
fn in_order(text: &str) -> String {
    let mut lines: Vec<_> = text.split_inclusive('\n').collect();
    lines.sort_by_key(|line| line.split_once(' ').map(|(time, _)| time));
    lines.concat()
}

/// The name of a host's log in [`LOGS`].
#[must_use]
pub fn file_name(host: &HostName) -> String {
    let name = host.as_str();
    if name.len() <= LONGEST_NAME {
        return format!("{name}.log");
    }
    // Names of hosts are ASCII.
    let digest =
        Sha256::digest(name).iter().take(4).fold(0_u32, |digest, byte| digest << 8 | u32::from(*byte));
    let cut = name.get(..LONGEST_NAME).unwrap_or(name);
    format!("{cut}~{digest:08x}.log")
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
}

fn printed(line: &Line) -> (Timestamp, &'static str, &str) {
    let kind = match line.source {
        Source::Bootstrap => "command",
        Source::Stdout => "out",
        Source::Stderr => "err",
    };
    (line.at, kind, &line.text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::story;

    fn told(events: &[(Timestamp, Event)]) -> (tempfile::TempDir, Option<String>) {
        let directory = tempfile::tempdir().unwrap();
        let mut logs = HostLogs::new(directory.path());
        for (at, event) in events {
            logs.read(*at, event);
        }
        let trouble = logs.trouble();
        drop(logs);
        (directory, trouble.told())
    }

    fn printed(host: &str, text: &str) -> Event {
        let line = |source, text: &str| Line { at: story::at(5), source, text: text.to_owned() };
        Event::Output {
            host: HostName::sample(host),
            lines: vec![line(Source::Bootstrap, "runs `apply`"), line(Source::Stdout, text)],
        }
    }

    #[test]
    fn a_host_s_log_tells_what_happened_to_it_in_order_and_nothing_of_others() {
        let mut events = story::whole();
        let place = events.iter().position(|(_, event)| matches!(event, Event::Done { .. })).unwrap();
        events.insert(place, (story::at(6), printed("deb-2", "dpkg:\u{1b}[31m error\u{1b}[0m\rx")));
        events.insert(
            place,
            (story::at(6), Event::Warning { host: Some(HostName::sample("deb-2")), text: "slow".to_owned() }),
        );
        let (directory, trouble) = told(&events);
        assert_eq!(trouble, None);
        let log = fs::read_to_string(directory.path().join("logs/deb-2.log")).unwrap();
        insta::assert_snapshot!(log, @"
        # deb-2: run 20261122T103105Z-5f3a of /etc/fleet/hosts.toml; times are UTC
        2026-11-22T10:31:06.000Z step     connect
        2026-11-22T10:31:09.000Z step     install
        2026-11-22T10:31:10.000Z command  runs `apply`
        2026-11-22T10:31:10.000Z out      dpkg: errorx
        2026-11-22T10:31:11.000Z warning  slow
        2026-11-22T10:31:11.000Z end      failed, 2 commands in 3.0 s
        2026-11-22T10:31:11.000Z why      `dpkg --install amazon-ssm-agent.deb` ended with exit code 1
        2026-11-22T10:31:11.000Z hint     free space in /var and run again
        ");
        let run = fs::read_to_string(directory.path().join("run.log")).unwrap();
        insta::assert_snapshot!(run, @"
        # the run: run 20261122T103105Z-5f3a of /etc/fleet/hosts.toml; times are UTC
        2026-11-22T10:31:05.000Z run      6 hosts
        2026-11-22T10:31:05.000Z warning  AWS's key expires in 60 days
        2026-11-22T10:31:08.000Z aws      dev: activation 6a2f1c1e-8b8e-4a51-9d3c-0123456789ab created, for up to 3 registrations
        2026-11-22T10:31:15.000Z warning  interrupted
        2026-11-22T10:31:17.000Z warning  activation 6a2f1c1e-8b8e-4a51-9d3c-0123456789ab could not be deleted: the endpoint does not answer
        2026-11-22T10:31:17.000Z end      6 hosts: 2 online (1 changed, 1 unchanged), 1 registered, 1 failed, 1 unreachable, 1 skipped in 12.3 s
        ");
    }

    #[test]
    fn every_host_of_the_run_has_a_log_also_those_whose_turn_never_came() {
        let (directory, _) = told(&story::whole());
        let mut names: Vec<_> = fs::read_dir(directory.path().join(LOGS))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["deb-1.log", "deb-2.log", "deb-3.log", "rpm-1.log", "rpm-2.log", "rpm-3.log"]);
    }

    #[test]
    fn a_log_of_an_earlier_run_in_the_same_place_is_replaced_and_long_output_is_written_as_it_comes() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(LOGS)).unwrap();
        let path = directory.path().join("logs/deb-1.log");
        fs::write(&path, "of another run").unwrap();
        let mut logs = HostLogs::new(directory.path());
        logs.read(story::at(0), &story::start(&[("deb-1", "dev")]));
        for _ in 0..100 {
            logs.read(story::at(5), &printed("deb-1", &"x".repeat(1000)));
        }
        let written = fs::read_to_string(&path).unwrap();
        assert!(!written.contains("another") && written.len() > 64 << 10, "{}", written.len());
        drop(logs);
        let written = fs::read_to_string(&path).unwrap();
        assert_eq!(written.matches(" out      xxx").count(), 100);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_told_once_and_nothing_else_happens() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(LOGS), "in the way").unwrap();
        let mut logs = HostLogs::new(directory.path());
        for (at, event) in &story::whole() {
            logs.read(*at, event);
        }
        let told = logs.trouble().told().unwrap();
        assert!(told.starts_with("logs are incomplete: ") && told.contains("/logs "), "{told}");
    }

    #[test]
    fn the_longest_names_differ_within_what_a_file_system_takes() {
        let name = |last: &str| file_name(&HostName::sample(&(["abcdefg"; 29].join(".") + last)));
        assert!(name(".x").len() <= 255 && name(".x").ends_with(".x.log"));
        let long = |last: &str| name(&format!(".{}{last}", "x".repeat(18)));
        assert!(long("y").len() <= 255);
        assert_ne!(long("y"), long("z"));
    }
}
