//! One row for each host, with what is known of it folded away until somebody wants it. A host is on the page once: here,
//! or below the cause of its trouble.

use maud::{Markup, html};

use super::{
    Beside,
    strip::{Clock, Phase},
};
use crate::{
    display::elapsed,
    report::{
        FleetReport, HostReport, Outcome,
        logs::{LOGS, file_name},
        words::sign,
    },
};

/// The hosts that are good.
pub(super) fn section(report: &FleetReport, clock: Clock, beside: Beside<'_>) -> Markup {
    let word = if report.dry_run { "planned" } else { "online" };
    let good = report.hosts.iter().filter(|host| host.outcome.is_good());
    let count = good.clone().count();
    html! {
        @if count > 0 {
            section #good {
                h2 { span class=(word) { (sign(word)) " " (count) " " (word) } }
                (header(clock))
                div.hosts { @for host in good { (row(host, clock, beside, &html! {}, &html! {})) } }
            }
        }
    }
}

/// What the columns of the rows below it are.
pub(super) fn header(clock: Clock) -> Markup {
    html! {
        div.columns aria-hidden="true" {
            span {} span { "host" } span { "environment" } span { "what" } span.time { "took" } div { (clock.face()) }
        }
    }
}

/// A host; `what` is said in its row, `more` where it is unfolded.
pub(super) fn row(
    host: &HostReport,
    clock: Clock,
    beside: Beside<'_>,
    what: &Markup,
    more: &Markup,
) -> Markup {
    let word = host.outcome.word();
    let log = Some(file_name(&host.host)).filter(|name| (beside.has_log)(name));
    html! {
        details.host data-outcome=(word) data-position=(host.position) data-took=(host.elapsed.as_millis()) {
            summary {
                span.sign.(word) title=(word) { (sign(word)) }
                span.name { (host.host) }
                span { (host.environment) }
                span.what { (done(host)) (what) }
                span.time { @if host.timeline.is_empty() { "–" } @else { (elapsed(host.elapsed)) } }
                (clock.strip(host))
            }
            div.body {
                (more)
                @if !host.actions.is_empty() {
                    ul.actions { @for action in &host.actions { li { (action) } } }
                }
                @if !host.timeline.is_empty() {
                    ol.steps {
                        @for time in &host.timeline {
                            li.(Phase::of(time.step).class()) {
                                (time.step) " " (elapsed(time.ended.saturating_sub(time.began)))
                            }
                        }
                    }
                }
                p.facts {
                    @if let Some(first) = host.timeline.first() { "began " (elapsed(first.began)) " into the run, " }
                    (crate::display::plural(host.execs as usize, "command"))
                    @if let Some(name) = log { ", " a href={ "./" (LOGS) "/" (name) } { "log" } }
                }
            }
        }
    }
}

fn done(host: &HostReport) -> Markup {
    let changed = match host.outcome {
        Outcome::Online { changed: true } => "changed ",
        Outcome::Online { changed: false } => "unchanged ",
        Outcome::Planned if host.actions.is_empty() => "as wanted ",
        Outcome::Planned => "to change ",
        _ => "",
    };
    html! { (changed) @if let Some(node) = &host.node { span.node { (node) } " " } }
}
