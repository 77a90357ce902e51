//! What commands print on one host, on its way to its log. A line may come in the middle of a command, where nobody can
//! wait for room among the events: it is kept here until there is some, at the latest at the end of the command. Outside
//! the host's task, like its progress, so that a task which is dropped leaves its last lines.

use std::{
    mem::take,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use crate::{
    events::{Event, Events, Line, Source},
    host::{Command, HostError, Output, STDOUT_LIMIT_BYTES},
    inventory::HostName,
};

/// Lines of one host that are not among the events yet.
#[derive(Debug, Default)]
pub(super) struct Spool(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<Line>,
    /// What the command that runs has printed.
    bytes: usize,
    left_out: usize,
}

impl Spool {
    /// A command begins.
    pub(super) fn began(&self, command: &Command) {
        let mut waiting = self.lock();
        (waiting.bytes, waiting.left_out) = (0, 0);
        waiting.push(Source::Bootstrap, format!("runs `{}`", command.name()));
    }

    /// It printed a line.
    pub(super) fn line(&self, command: &Command, line: &str) {
        if !command.tells_facts() {
            self.lock().keep(Source::Stdout, &command.censored(line));
        }
    }

    /// It is over.
    pub(super) fn ended(&self, command: &Command, result: &Result<Output, HostError>) {
        let mut waiting = self.lock();
        for line in
            result.iter().flat_map(|output| output.stderr.lines()).filter(|line| !line.trim().is_empty())
        {
            waiting.keep(Source::Stderr, &command.censored(line));
        }
        if waiting.left_out > 0 {
            let text = format!("{} more lines of it are left out", waiting.left_out);
            waiting.push(Source::Bootstrap, text);
        }
        let name = command.name();
        waiting.push(
            Source::Bootstrap,
            match result {
                Ok(Output { code: Some(code), .. }) => format!("`{name}` ended with exit code {code}"),
                Ok(Output { code: None, .. }) => format!("`{name}` was ended by a signal"),
                Err(error) => error.to_string(),
            },
        );
    }

    /// Hands the lines over if there is room for an event.
    pub(super) fn try_tell(&self, host: &HostName, events: &Events) {
        events.try_send_with(|| self.event(host));
    }

    /// Hands the lines over.
    pub(super) async fn tell(&self, host: &HostName, events: &Events) {
        if let Some(event) = self.event(host) {
            events.send(event).await;
        }
    }

    fn event(&self, host: &HostName) -> Option<Event> {
        let lines = take(&mut self.lock().lines);
        (!lines.is_empty()).then(|| Event::Output { host: host.clone(), lines })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Lines are pushed whole, so that a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Keeps what a host printed, up to the limit of one command: what prints without end must not fill a disk.
    fn keep(&mut self, source: Source, text: &str) {
        self.bytes += text.len() + 1;
        if self.bytes > STDOUT_LIMIT_BYTES {
            self.left_out += 1;
        } else {
            self.push(source, text.to_owned());
        }
    }

    fn push(&mut self, source: Source, text: String) {
        self.lines.push(Line { at: Timestamp::now(), source, text });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::SecretString;
    use tokio::sync::mpsc;

    use super::*;
    use crate::host::Script;

    static SCRIPT: Script = Script { name: "apply", text: "" };

    fn command() -> Command {
        Command::new(&SCRIPT, Vec::new(), Duration::ZERO)
            .with_secret("activation_code", SecretString::from("hunter2hunter2"))
    }

    fn lines(event: Option<Event>) -> Vec<(Source, String)> {
        let Some(Event::Output { lines, .. }) = event else { return Vec::new() };
        lines.into_iter().map(|line| (line.source, line.text)).collect()
    }

    fn host() -> HostName {
        HostName::sample("a")
    }

    #[test]
    fn a_command_is_told_with_what_it_printed_and_without_its_secrets() {
        let (spool, command) = (Spool::default(), command());
        spool.began(&command);
        spool.line(&command, ":begin register");
        spool.line(&command, "code hunter2hunter2 is bad");
        let stderr = "\nsudo: hunter2hunter2?\n".to_owned();
        spool.ended(&command, &Ok(Output { code: Some(1), stdout: String::new(), stderr }));
        let said = |source, text: &str| (source, text.to_owned());
        let expected = [
            said(Source::Bootstrap, "runs `apply`"),
            said(Source::Stdout, ":begin register"),
            said(Source::Stdout, "code [activation_code] is bad"),
            said(Source::Stderr, "sudo: [activation_code]?"),
            said(Source::Bootstrap, "`apply` ended with exit code 1"),
        ];
        assert_eq!(lines(spool.event(&host())), expected);
        assert!(spool.event(&host()).is_none(), "they are handed over once");
    }

    #[test]
    fn facts_are_for_the_program_only() {
        let (spool, command) = (Spool::default(), command().telling_facts());
        spool.began(&command);
        spool.line(&command, "config|{}");
        let output = Output { code: Some(0), stdout: "config|{}".to_owned(), stderr: String::new() };
        spool.ended(&command, &Ok(output));
        assert_eq!(lines(spool.event(&host())).len(), 2);
    }

    #[test]
    fn what_prints_without_end_is_cut_off_and_counted() {
        let (spool, command) = (Spool::default(), command());
        spool.began(&command);
        for _ in 0..3000 {
            spool.line(&command, &"x".repeat(1023));
        }
        spool.ended(&command, &Ok(Output { code: None, stdout: String::new(), stderr: String::new() }));
        let lines = lines(spool.event(&host()));
        assert_eq!(lines.len(), 1 + 1024 + 2);
        assert_eq!(lines[1025].1, "1976 more lines of it are left out");
        spool.began(&command);
        spool.line(&command, "the next command begins anew");
        assert_eq!(spool.lock().lines.len(), 2);
    }

    #[tokio::test]
    async fn without_room_among_the_events_lines_wait_here() {
        let (sender, mut inbox) = mpsc::channel(1);
        let events = Events::to(sender);
        let (spool, command) = (Spool::default(), command());
        events.send(Event::Interrupted).await;
        spool.line(&command, "one");
        spool.try_tell(&host(), &events);
        assert!(matches!(inbox.recv().await, Some(sent) if matches!(sent.event, Event::Interrupted)));
        spool.line(&command, "two");
        spool.try_tell(&host(), &events);
        let event = inbox.recv().await.map(|sent| sent.event);
        assert_eq!(lines(event).len(), 2);
    }
}
