//! What went wrong, by cause.

use maud::{Markup, html};

use super::{
    Beside,
    hosts::{header, row},
    spoken,
    strip::Clock,
};
use crate::{
    display::{clean, plural},
    report::{
        FleetReport,
        causes::{Cause, causes},
        words::{Trouble, sign},
    },
};

/// More hosts of one cause are folded away, so that the next cause is still in sight.
const UNFOLDED: usize = 8;
/// The first of those are named.
const NAMED: usize = 5;

pub(super) fn section(report: &FleetReport, clock: Clock, beside: Beside<'_>) -> Markup {
    let causes = causes(report);
    let bad: usize = causes.iter().map(|cause| cause.hosts.len()).sum();
    html! {
        @if !causes.is_empty() {
            section #causes {
                h2 { (plural(bad, "host")) " not as wanted, " (plural(causes.len(), "cause")) }
                (header(clock))
                @for cause in &causes { (block(cause, clock, beside)) }
            }
        }
    }
}

fn block(cause: &Cause<'_>, clock: Clock, beside: Beside<'_>) -> Markup {
    let lines = cause.lines();
    let hosts = html! {
        div.hosts {
            @for (host, trouble) in &cause.hosts {
                (row(host, clock, beside, &own_why(cause, trouble), &own(cause, trouble, lines.is_some())))
            }
        }
    };
    html! {
        div.cause.(cause.word) {
            h3 {
                span.sign.(cause.word) { (sign(cause.word)) } " "
                span.kind { (cause.hosts.len()) " " (cause.word) @if let Some(step) = cause.step { " in " (step) } }
                " " span.why { (spoken(&clean(&cause.why))) }
            }
            @if let Some(text) = &lines { pre tabindex="0" { (text) } }
            @if let Some(hint) = cause.hint { p.hint { (spoken(&clean(hint))) } }
            @if cause.hosts.len() > UNFOLDED {
                details.fold {
                    summary { (first_names(cause)) }
                    (hosts)
                }
            } @else {
                (hosts)
            }
        }
    }
}

fn first_names(cause: &Cause<'_>) -> String {
    let names: Vec<_> = cause.hosts.iter().take(NAMED).map(|(host, _)| host.host.as_str()).collect();
    format!("{} and {} more", names.join(", "), cause.hosts.len().saturating_sub(NAMED))
}

fn own_why(cause: &Cause<'_>, trouble: &Trouble<'_>) -> Markup {
    html! { @if trouble.why != cause.why { (spoken(&clean(trouble.why))) } }
}

/// What is not said of all hosts of the cause.
fn own(cause: &Cause<'_>, trouble: &Trouble<'_>, lines_are_shared: bool) -> Markup {
    let text = if lines_are_shared { String::new() } else { trouble.text() };
    html! {
        @if !text.is_empty() { pre tabindex="0" { (text) } }
        @if cause.hint.is_none() && !trouble.hint.is_empty() { p.hint { (spoken(&clean(trouble.hint))) } }
    }
}
