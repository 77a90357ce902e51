//! One line for each event worth reading, for logs, pipes and CI. Every line says when, and of which
//! host, because lines of many hosts are interleaved.

use std::io::Write;

use jiff::{Timestamp, tz::TimeZone};

use super::{clean, elapsed, plural, retry};
use crate::{
    events::{Event, Reader, Step},
    report::{HostReport, Outcome, table},
};

/// How much is worth reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// What is being done, and what became of each host.
    Everything,
    /// Only what went wrong.
    Trouble,
}

/// The display for anything that is not a terminal.
#[derive(Debug)]
pub struct Plain<W> {
    sink: W,
    verbosity: Verbosity,
    zone: TimeZone,
}

impl<W: Write + Send> Plain<W> {
    /// Writes to `sink`, with times in the controller's time zone.
    pub fn new(sink: W, verbosity: Verbosity) -> Self {
        Self { sink, verbosity, zone: TimeZone::system() }
    }

    fn say(&mut self, at: Timestamp, text: &str) {
        let time = at.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string();
        // A closed stderr must not end a run.
        writeln!(self.sink, "{time} {}", clean(text)).ok();
    }
}

impl<W: Write + Send> Reader for Plain<W> {
    fn read(&mut self, at: Timestamp, event: &Event) {
        let text = match self.verbosity {
            Verbosity::Everything => trouble(event).or_else(|| progress(event)),
            Verbosity::Trouble => trouble(event),
        };
        if let Some(text) = text {
            self.say(at, &text);
        }
    }
}

/// What went wrong, if the event says so.
fn trouble(event: &Event) -> Option<String> {
    match event {
        Event::ActivationLeft { id, why } => Some(format!("activation {id} could not be deleted: {why}")),
        Event::Retry { host, number, of, after, why } => {
            Some(format!("{host}: {}", retry(*number, *of, *after, why)))
        }
        Event::Warning { host: Some(host), text } => Some(format!("{host}: warning: {text}")),
        Event::Warning { host: None, text } => Some(format!("warning: {text}")),
        Event::Interrupted => Some(INTERRUPTED.to_owned()),
        Event::HostDone(report) if !report.outcome.is_good() => Some(ended(report)),
        _ => None,
    }
}

/// What the first Ctrl-C means.
pub(super) const INTERRUPTED: &str =
    "interrupted: nothing new starts, what runs is ended; a second Ctrl-C drops everything";

/// What goes on, if the event is worth a line.
fn progress(event: &Event) -> Option<String> {
    Some(match event {
        Event::RunStarted { run, inventory, hosts, dry_run } => {
            let remark = if *dry_run { "; a dry run, nothing will be changed" } else { "" };
            format!("run {run}: {} of {}{remark}", plural(hosts.len(), "host"), inventory.display())
        }
        Event::Step { host, step } => format!("{host}: {}", slow(*step)?),
        Event::Planned { host, actions } if actions.is_empty() => format!("{host}: nothing to do"),
        Event::Planned { host, actions } => format!("{host}: {} to do", plural(actions.len(), "action")),
        Event::Done { host, action, .. } => format!("{host}: {action}"),
        Event::ActivationCreated { environment, id, limit } => {
            format!("{environment}: activation {id} created, for up to {}", registrations(*limit))
        }
        Event::ActivationDeleted { id } => format!("activation {id} deleted"),
        Event::HostDone(report) => ended(report),
        Event::RunDone(report) => table::counts(report),
        Event::ActivationRequested { .. }
        | Event::ActivationsSettled { .. }
        | Event::ActivationLeft { .. }
        | Event::Retry { .. }
        | Event::Warning { .. }
        | Event::Interrupted
        | Event::Output { .. } => return None,
    })
}

fn registrations(limit: u32) -> String {
    if limit == 1 { "1 registration".to_owned() } else { format!("{limit} registrations") }
}

/// The steps that may take so long that a silent log would look hung.
fn slow(step: Step) -> Option<&'static str> {
    match step {
        Step::Connect => Some("connecting"),
        Step::Fetch => Some("waiting for the package"),
        Step::Upload => Some("sending the package"),
        Step::Download => Some("downloading the package"),
        Step::Install => Some("installing"),
        Step::Register => Some("registering"),
        Step::Online => Some("waiting until SSM says Online"),
        Step::Repair => Some("restarting the agent, which stays offline"),
        _ => None,
    }
}

/// What became of a host, on one line.
pub(super) fn ended(report: &HostReport) -> String {
    let (host, time) = (&report.host, elapsed(report.elapsed));
    match &report.outcome {
        Outcome::Online { changed } => {
            let changed = if *changed { "changed" } else { "unchanged" };
            let node = report.node.as_deref().unwrap_or("no node");
            format!("{host}: online, {changed}, {node}, in {time}")
        }
        Outcome::Planned if report.actions.is_empty() => {
            format!("{host}: as wanted, nothing to do, in {time}")
        }
        Outcome::Planned => {
            format!("{host}: planned, {} to do, in {time}", plural(report.actions.len(), "action"))
        }
        Outcome::Failed { step, why, .. } => format!("{host}: failed: {step}: {why}"),
        Outcome::Registered { why, .. } => format!("{host}: registered, not online: {why}"),
        Outcome::Unreachable { why, .. } => format!("{host}: unreachable: {why}"),
        Outcome::Skipped { why } => format!("{host}: skipped: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::story, *};

    fn lines(verbosity: Verbosity, events: &[(Timestamp, Event)]) -> String {
        let mut plain = Plain { sink: Vec::new(), verbosity, zone: TimeZone::UTC };
        for (at, event) in events {
            plain.read(*at, event);
            plain.tick();
        }
        String::from_utf8(plain.sink).unwrap()
    }

    #[test]
    fn every_event_worth_reading_is_one_line_that_names_its_host() {
        insta::assert_snapshot!(lines(Verbosity::Everything, &story::whole()), @r#"
        10:31:05 run 20261122T103105Z-5f3a: 6 hosts of /etc/fleet/hosts.toml
        10:31:05 warning: AWS's key expires in 60 days
        10:31:06 deb-1: connecting
        10:31:06 deb-2: connecting
        10:31:06 deb-3: connecting
        10:31:07 rpm-1: connecting
        10:31:07 deb-1: warning: its clock is 40 s behind
        10:31:08 deb-1: 3 actions to do
        10:31:08 dev: activation 6a2f1c1e-8b8e-4a51-9d3c-0123456789ab created, for up to 3 registrations
        10:31:08 rpm-1: nothing to do
        10:31:09 rpm-1: online, unchanged, mi-0fedcba9876543210, in 0.9 s
        10:31:09 deb-1: installing
        10:31:09 deb-2: installing
        10:31:11 deb-1: install amazon-ssm-agent 3.3.3000.0
        10:31:11 deb-2: failed: install: `dpkg --install amazon-ssm-agent.deb` ended with exit code 1
        10:31:12 deb-1: registering
        10:31:13 deb-1: register with activation
        10:31:13 deb-1: start and enable the agent
        10:31:13 deb-1: waiting until SSM says Online
        10:31:14 deb-1: online, changed, mi-0123456789abcdef0, in 8.1 s
        10:31:15 interrupted: nothing new starts, what runs is ended; a second Ctrl-C drops everything
        10:31:16 deb-3: unreachable: connection to 10.0.0.4:22 timed out after 10 s
        10:31:16 rpm-2: registered, not online: SSM says ConnectionLost after 120 s
        10:31:16 rpm-3: skipped: the run was interrupted before its turn
        10:31:17 activation 6a2f1c1e-8b8e-4a51-9d3c-0123456789ab could not be deleted: the endpoint does not answer
        10:31:17 6 hosts: 2 online (1 changed, 1 unchanged), 1 registered, 1 failed, 1 unreachable, 1 skipped in 12.3 s
        "#);
    }

    #[test]
    fn quiet_says_only_what_went_wrong() {
        insta::assert_snapshot!(lines(Verbosity::Trouble, &story::whole()), @r#"
        10:31:05 warning: AWS's key expires in 60 days
        10:31:07 deb-1: warning: its clock is 40 s behind
        10:31:11 deb-2: failed: install: `dpkg --install amazon-ssm-agent.deb` ended with exit code 1
        10:31:15 interrupted: nothing new starts, what runs is ended; a second Ctrl-C drops everything
        10:31:16 deb-3: unreachable: connection to 10.0.0.4:22 timed out after 10 s
        10:31:16 rpm-2: registered, not online: SSM says ConnectionLost after 120 s
        10:31:16 rpm-3: skipped: the run was interrupted before its turn
        10:31:17 activation 6a2f1c1e-8b8e-4a51-9d3c-0123456789ab could not be deleted: the endpoint does not answer
        "#);
    }

    #[test]
    fn text_from_a_host_stays_on_its_line() {
        let event = story::done("deb-1", Step::Install, "install\n10:00:00 deb-2: online\u{1b}[2K");
        let text = lines(Verbosity::Everything, &[(story::at(0), event)]);
        assert_eq!(text, "10:31:05 deb-1: install 10:00:00 deb-2: online\n");
    }

    #[test]
    fn a_closed_stderr_does_not_end_the_run() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut plain = Plain::new(Closed, Verbosity::Everything);
        for (at, event) in story::whole() {
            plain.read(at, &event);
        }
    }
}
