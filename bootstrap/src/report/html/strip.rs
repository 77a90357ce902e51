//! A host's steps along a clock, as a strip of bars. Steps are coloured by what they are about, because nobody can tell
//! thirteen colours apart; their names and times are below each host.

use std::time::Duration;

use maud::{Markup, html};

use crate::{
    events::Step,
    report::{FleetReport, HostReport},
};

/// Distances of the clock's marks, in milliseconds: the least that leaves room for the words is taken.
const STEPS: [u64; 15] = [
    1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_200_000, 1_800_000,
    3_600_000, 7_200_000, 21_600_000,
];
const MOST_MARKS: u64 = 6;

/// What a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Reach,
    Look,
    Package,
    Agent,
    Aws,
}

impl Phase {
    pub(super) const ALL: [Self; 5] = [Self::Reach, Self::Look, Self::Package, Self::Agent, Self::Aws];

    pub(super) fn of(step: Step) -> Self {
        match step {
            Step::Queue | Step::Retry | Step::Connect => Self::Reach,
            Step::Observe | Step::Plan | Step::Check => Self::Look,
            Step::Fetch | Step::Upload | Step::Download | Step::Install => Self::Package,
            Step::Configure | Step::Register | Step::Start | Step::Repair => Self::Agent,
            Step::Online | Step::Tag => Self::Aws,
        }
    }

    /// Short, because it is on the page for each step of each host.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Reach => "r",
            Self::Look => "l",
            Self::Package => "p",
            Self::Agent => "a",
            Self::Aws => "w",
        }
    }

    pub(super) fn said(self) -> &'static str {
        match self {
            Self::Reach => "connect",
            Self::Look => "observe, plan, check",
            Self::Package => "fetch, upload, install",
            Self::Agent => "configure, register, start, repair",
            Self::Aws => "wait for Online, tag",
        }
    }
}

/// How long the whole is, and how long the longest host; in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    pub(super) run: u64,
    pub(super) longest: u64,
}

impl Clock {
    pub(super) fn of(report: &FleetReport) -> Self {
        let ends = report.hosts.iter().filter_map(|host| host.timeline.last()).map(|last| last.ended);
        let run = ends.chain([report.elapsed]).max().map_or(1, millis);
        let spans = report.hosts.iter().filter_map(span).map(|(began, ended)| ended.saturating_sub(began));
        Self { run: run.max(1), longest: spans.max().unwrap_or(1).max(1) }
    }

    /// Where hosts are short beside the run, their steps would be too thin to see.
    pub(super) fn default_scale(self) -> &'static str {
        if self.longest.saturating_mul(3) < self.run { "by-host" } else { "by-run" }
    }

    /// The clocks above the strips, one for each scale.
    pub(super) fn face(self) -> Markup {
        html! {
            @for (class, whole) in [("by-run", self.run), ("by-host", self.longest)] {
                svg class={ "clock " (class) } width="100%" height="16" aria-hidden="true" {
                    @for at in marks(whole) { text x=(share(at, whole)) y="12" { (said(at)) } }
                }
            }
        }
    }

    pub(super) fn strip(self, host: &HostReport) -> Markup {
        let (began, _) = span(host).unwrap_or_default();
        let (by_run, by_host) = (format!("0 0 {} 9", self.run), format!("{began} 0 {} 9", self.longest));
        let is_by_run = self.default_scale() == "by-run";
        let (shown, other) = if is_by_run { (by_run, by_host) } else { (by_host, by_run) };
        html! {
            svg.strip viewBox=(shown) data-other=(other) preserveAspectRatio="none" aria-hidden="true" {
                @for time in &host.timeline {
                    @let at = millis(time.began);
                    rect.(Phase::of(time.step).class()) x=(at) width=(millis(time.ended).saturating_sub(at)) {}
                }
            }
        }
    }
}

/// From when to when it was worked on.
fn span(host: &HostReport) -> Option<(u64, u64)> {
    Some((millis(host.timeline.first()?.began), millis(host.timeline.last()?.ended)))
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn marks(whole: u64) -> impl Iterator<Item = u64> {
    let fits = |step: &&u64| whole / **step <= MOST_MARKS;
    // Days long, it has marks all the same.
    let step = STEPS.iter().find(fits).copied().unwrap_or(whole / MOST_MARKS);
    (0..).map(move |number: u64| number.saturating_mul(step)).take_while(move |at| *at < whole)
}

/// A moment on the clock: `1:30` is one minute and a half, `1:00:00` an hour.
pub(super) fn said(milliseconds: u64) -> String {
    let (hours, minutes, seconds) =
        (milliseconds / 3_600_000, milliseconds / 60_000 % 60, milliseconds / 1_000 % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A part of a whole, in percent.
pub(super) fn share(part: u64, whole: u64) -> String {
    let thousandths = u128::from(part.min(whole)) * 100_000 / u128::from(whole.max(1));
    format!("{}.{:03}%", thousandths / 1000, thousandths % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{StepTime, table::sample};

    #[test]
    fn a_share_is_exact_and_never_more_than_the_whole() {
        for (part, whole, expected) in
            [(0, 9, "0.000%"), (1, 3, "33.333%"), (9, 9, "100.000%"), (10, 9, "100.000%"), (5, 0, "0.000%")]
        {
            assert_eq!(share(part, whole), expected);
        }
    }

    #[test]
    fn the_clock_has_room_for_its_words_however_long_the_run() {
        for whole in [1, 900, 8_000, 61_000, 600_000, 3_600_000, 86_400_000, 864_000_000, u64::MAX] {
            let marks: Vec<u64> = marks(whole).collect();
            assert!((1..=7).contains(&marks.len()) && marks[0] == 0, "{whole}: {marks:?}");
        }
        assert_eq!((said(90_000), said(3_605_000)), ("1:30".to_owned(), "1:00:05".to_owned()));
    }

    #[test]
    fn short_hosts_of_a_long_run_are_shown_from_their_own_beginning() {
        let mut report = sample::good();
        let time = |began, ended| StepTime {
            step: Step::Connect,
            began: Duration::from_secs(began),
            ended: Duration::from_secs(ended),
        };
        report.hosts[0].timeline = vec![time(600, 610)];
        report.elapsed = Duration::from_mins(20);
        let clock = Clock::of(&report);
        assert_eq!(clock, Clock { run: 1_200_000, longest: 10_000 });
        assert_eq!(clock.default_scale(), "by-host");
        let strip = clock.strip(&report.hosts[0]).into_string();
        assert!(strip.contains(r#"viewBox="600000 0 10000 9" data-other="0 0 1200000 9""#), "{strip}");
        assert!(strip.contains(r#"<rect class="r" x="600000" width="10000">"#), "{strip}");
    }
}
