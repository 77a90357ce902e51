//! The run along the clock: how many hosts were in which phase. It shows at a glance what the fleet waited for.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::{
    legend,
    strip::{Clock, Phase, marks, millis, said, share},
};
use crate::report::FleetReport;

/// Moments at which hosts are counted.
const MOMENTS: usize = 240;
/// In pixels.
const HEIGHT: usize = 90;

pub(super) fn section(report: &FleetReport, clock: Clock) -> Markup {
    let counted = count(report, clock);
    let most = counted.iter().map(|phases| phases.iter().sum()).max().unwrap_or(0).max(1);
    html! {
        section #load {
            h2 { "Hosts at work along the clock" span.note { ", " (most) " at most" } }
            div.chart {
                svg viewBox={ "0 0 " (MOMENTS) " " (most) } preserveAspectRatio="none" width="100%" height=(HEIGHT)
                    role="img" aria-label={ "Hosts at work along the clock, " (most) " at most" } {
                    @for (index, phase) in Phase::ALL.iter().enumerate().rev() {
                        path.(phase.class()) d=(outline(&counted, index, most)) {}
                    }
                }
                svg.clock width="100%" height="16" aria-hidden="true" {
                    @for at in marks(clock.run) { text x=(share(at, clock.run)) y="12" { (said(at)) } }
                }
            }
            (legend())
        }
    }
}

/// For each moment, the hosts in each phase.
fn count(report: &FleetReport, clock: Clock) -> Vec<[usize; Phase::ALL.len()]> {
    let mut counted = vec![[0; Phase::ALL.len()]; MOMENTS];
    let moments = MOMENTS as u64;
    // The first moment at or after a time; moments are in the middle of their part of the run.
    let moment = |at: u64| {
        let after = u128::from(at) * u128::from(moments * 2) / u128::from(clock.run);
        usize::try_from(after.div_ceil(2)).unwrap_or(MOMENTS).min(MOMENTS)
    };
    for time in report.hosts.iter().flat_map(|host| &host.timeline) {
        let phase = Phase::of(time.step) as usize;
        let (first, end) = (moment(millis(time.began)), moment(millis(time.ended)));
        for moment in counted.get_mut(first..end).into_iter().flatten() {
            if let Some(hosts) = moment.get_mut(phase) {
                *hosts += 1;
            }
        }
    }
    counted
}

/// The area below the phases up to this one; those of earlier phases are drawn over it.
fn outline(counted: &[[usize; Phase::ALL.len()]], phase: usize, most: usize) -> String {
    let mut path = format!("M0 {most}");
    let mut last = 0;
    // Writing to a string cannot fail.
    for (at, phases) in counted.iter().enumerate() {
        let height: usize = phases.iter().take(phase + 1).sum();
        if height != last {
            write!(path, "H{at}V{}", most - height).ok();
            last = height;
        }
    }
    path + &format!("H{}V{most}Z", counted.len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        events::Step,
        report::{StepTime, table::sample},
    };

    #[test]
    fn each_moment_counts_the_hosts_that_are_in_a_phase_then() {
        let mut report = sample::good();
        let time = |step, began, ended| StepTime {
            step,
            began: Duration::from_secs(began),
            ended: Duration::from_secs(ended),
        };
        report.elapsed = Duration::from_mins(4);
        report.hosts[0].timeline = vec![time(Step::Connect, 0, 10), time(Step::Install, 10, 240)];
        report.hosts[1].timeline = vec![time(Step::Connect, 5, 20)];
        let counted = count(&report, Clock::of(&report));
        assert_eq!((counted[0], counted[7]), ([1, 0, 0, 0, 0], [2, 0, 0, 0, 0]));
        assert_eq!((counted[12], counted[239]), ([1, 0, 1, 0, 0], [0, 0, 1, 0, 0]));
        assert_eq!(outline(&counted, 0, 2), "M0 2H0V1H5V0H10V1H20V2H240V2Z");
    }
}
