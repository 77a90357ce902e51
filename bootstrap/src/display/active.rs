//! The fleet as a moving display sees it: who is being worked on since when, and how many are through.
//! Pure, so that what is drawn can be tested without drawing it.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{Paint, elapsed};
use crate::{
    events::{Event, Step},
    inventory::HostName,
};

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// The room there is on the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Lines for active hosts.
    pub(super) lines: usize,
    /// Characters in a line.
    pub(super) columns: usize,
}

#[derive(Debug)]
struct Active {
    since: Timestamp,
    step: Step,
}

/// The state of the fleet after the events so far.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    started: Option<Timestamp>,
    hosts: usize,
    active: BTreeMap<HostName, Active>,
    ended: BTreeMap<&'static str, usize>,
    interrupted: bool,
    frame: usize,
}

impl Fleet {
    /// Takes note of an event.
    pub(super) fn read(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::RunStarted { hosts, .. } => {
                self.started = Some(at);
                self.hosts = hosts.len();
            }
            Event::Step { step: Step::Queue, .. } => {}
            Event::Step { host, step } => {
                self.active.entry(host.clone()).or_insert(Active { since: at, step: *step }).step = *step;
            }
            Event::HostDone(report) => {
                self.active.remove(&report.host);
                *self.ended.entry(report.outcome.word()).or_default() += 1;
            }
            Event::Interrupted => self.interrupted = true,
            _ => {}
        }
    }

    /// Is there anything to draw?
    pub(super) fn is_running(&self) -> bool {
        self.started.is_some()
    }

    /// The moving part of the display: a line for each active host, the longest running first, and
    /// the bar. No line is longer than the room.
    pub(super) fn draw(&mut self, now: Timestamp, room: Room, paint: Paint) -> String {
        self.frame = (self.frame + 1) % SPINNER.len();
        let mut lines = self.host_lines(now, room, paint);
        lines.push(self.bar_line(now, room, paint));
        lines.join("\n")
    }

    fn host_lines(&self, now: Timestamp, room: Room, paint: Paint) -> Vec<String> {
        let mut active: Vec<_> = self.active.iter().collect();
        active.sort_by_key(|(name, active)| (active.since, *name));
        // A line that says "1 more" could as well show that host.
        let shown = if active.len() <= room.lines { active.len() } else { room.lines.saturating_sub(1) };
        let width =
            active.iter().take(shown).map(|(name, _)| name.as_str().chars().count()).max().unwrap_or(0);
        let spinner = SPINNER.get(self.frame).copied().unwrap_or_default();
        let mut lines: Vec<_> = active
            .iter()
            .take(shown)
            .map(|(name, active)| {
                let (step, time) = (active.step.word(), elapsed(since(active.since, now)));
                let line = fit(&format!("{spinner} {name:width$}  {step:9}  {time:>11}"), room.columns);
                // The glyph is painted after cutting: an escape must not be cut in two.
                line.replacen(spinner, &paint.note(spinner), 1)
            })
            .collect();
        let hidden = active.len() - shown;
        if hidden > 0 {
            lines.push(paint.faint(&fit(&format!("  +{hidden} more"), room.columns)));
        }
        lines
    }

    fn bar_line(&self, now: Timestamp, room: Room, paint: Paint) -> String {
        let through: usize = self.ended.values().sum();
        let bar = (room.columns / 5).clamp(8, 24);
        let filled = (through * bar).checked_div(self.hosts).unwrap_or(0).min(bar);
        let (done, open) = ("━".repeat(filled), "─".repeat(bar - filled));
        let time = self.started.map_or(Duration::ZERO, |started| since(started, now));
        let mut parts = vec![format!("{through}/{} hosts", self.hosts), elapsed(time)];
        if self.interrupted {
            parts.push("interrupted".to_owned());
        }
        // What a narrow terminal cuts off is at the end, so what went wrong comes early.
        for word in ["online", "planned", "failed", "unreachable", "registered", "skipped"] {
            parts.extend(self.ended.get(word).map(|count| format!("{count} {word}")));
        }
        let line = fit(&format!("{done}{open} {}", parts.join(", ")), room.columns);
        if filled == 0 { line } else { line.replacen(&done, &paint.good(&done), 1) }
    }
}

/// Time passed; none if the controller's clock was set back.
fn since(start: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(start)).unwrap_or_default()
}

/// The text, cut to the columns: a wrapped line would break the counting of lines to redraw.
fn fit(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(columns.saturating_sub(1)).collect();
    cut.push('…');
    cut
}
