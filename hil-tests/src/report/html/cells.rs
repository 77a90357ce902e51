//! What is known of each cell: folded away until somebody wants it, so that a page of a thousand stays quick.

use std::path::{Component, Path};

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::gantt::share;
use crate::report::words::{Matrix, Numbered, duration, sign, word};
use crate::report::{Cell, Outcome, Report};

/// What may stand in a link as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// All cells that ended so, repeats of a scenario together.
pub(super) fn section(matrix: &Matrix<'_>, report: &Report, outcome: Outcome) -> Markup {
    let count = report.count(outcome);
    html! {
        section id=(word(outcome)) class=(word(outcome)) {
            @if count > 0 {
                h2 {
                    (sign(outcome)) " " (count) " " (word(outcome)) " "
                    button.unfold type="button" { "unfold all" }
                }
                @for (row, scenario) in matrix.scenarios.keys().enumerate() {
                    @for (column, (machine, _)) in matrix.machines.iter().enumerate() {
                        (field(matrix.at(machine, scenario), outcome, &format!("{column}-{row}")))
                    }
                }
            }
        }
    }
}

fn field(repeats: &[Numbered<'_>], outcome: Outcome, at: &str) -> Markup {
    let ended: Vec<Numbered<'_>> =
        repeats.iter().filter(|(_, cell)| cell.outcome == outcome).copied().collect();
    let all = html! {
        @for numbered in &ended { (details(*numbered, at, repeats.len() > 1)) }
    };
    match ended.first() {
        // Each failure is a case of its own; what went well is only many.
        Some((_, cell)) if ended.len() > 1 && outcome != Outcome::Failed => html! {
            details.group {
                summary {
                    span.sign { (sign(outcome)) } " "
                    span.name { (cell.scenario) } " on " span.name { (cell.machine) } " "
                    span.time { (ended.len()) " of " (repeats.len()) " repeats " (word(outcome)) }
                }
                (all)
            }
        },
        _ => all,
    }
}

fn details((number, cell): Numbered<'_>, at: &str, repeated: bool) -> Markup {
    html! {
        details.cell id={ "cell-" (number) } data-at=(at) data-outcome=(word(cell.outcome)) {
            summary {
                span.sign { (sign(cell.outcome)) } " "
                span.name { (cell.scenario) } " on " span.name { (cell.machine) } " "
                @if repeated { span.seed { "seed " (cell.seed) } " " }
                span.time { (duration(cell.elapsed_ms)) }
                @if let Some(line) = cell.causes.first().and_then(|cause| cause.lines().next()) {
                    " " span.why { (line) }
                }
            }
            div.body {
                p.summary { (cell.summary) }
                (causes(cell))
                (again(cell))
                @if !cell.console.is_empty() {
                    h3 { "The end of its console" }
                    pre.console tabindex="0" { (cell.console) }
                }
                @if !cell.timeline.is_empty() { (timeline(cell)) }
            }
        }
    }
}

fn causes(cell: &Cell) -> Markup {
    html! {
        @if let Some((first, rest)) = cell.causes.split_first() {
            ul.causes {
                li { (first) }
                @for cause in rest { li { span.because { "because: " } (cause) } }
            }
        }
    }
}

fn again(cell: &Cell) -> Markup {
    html! {
        dl.again {
            dt { "seed" } dd { (cell.seed) }
            dt { "began" } dd { (duration(cell.started_ms)) " after the run’s beginning" }
            dt { "logs" } dd { a href=(link(&cell.logs)) { (cell.logs.display()) "/" } }
            dt { "again" } dd { code { (cell.replay) } " " button.copy type="button" { "copy" } }
        }
    }
}

/// Each mark with the time until the next one: that is where the time went.
fn timeline(cell: &Cell) -> Markup {
    let ends = cell.timeline.iter().skip(1).map(|mark| mark.at_ms).chain([cell.elapsed_ms]);
    let steps: Vec<_> = cell
        .timeline
        .iter()
        .zip(ends)
        .map(|(mark, end)| (mark.at_ms, end.saturating_sub(mark.at_ms), mark.what.as_str()))
        .collect();
    let whole = steps.iter().map(|(at, took, _)| at.saturating_add(*took)).max().unwrap_or_default();
    let longest = steps.iter().map(|(_, took, _)| *took).max().unwrap_or_default();
    html! {
        h3 { "Timeline" }
        svg.strip width="100%" height="12" aria-hidden="true" {
            @for (at, took, what) in &steps {
                rect x=(share(*at, whole)) width=(share(*took, whole)) height="12" {
                    title { (duration(*at)) ": " (what) }
                }
            }
        }
        table.marks {
            thead { tr { th scope="col" { "at" } th scope="col" { "for" } th scope="col" { "what" } } }
            tbody {
                @for (at, took, what) in &steps {
                    tr.longest[*took == longest] { td { (duration(*at)) } td { (duration(*took)) } td { (what) } }
                }
            }
        }
    }
}

/// A link beside the page, and nowhere else: no scheme, no host, whatever a machine is called.
fn link(path: &Path) -> String {
    path.components().fold(".".to_owned(), |link, component| match component {
        Component::Normal(name) => link + "/" + &percent_encode(name.as_encoded_bytes(), PLAIN).to_string(),
        Component::ParentDir => link + "/..",
        Component::Prefix(_) | Component::RootDir | Component::CurDir => link,
    }) + "/"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_logs_stays_beside_the_page_whatever_they_are_called() {
        for (path, expected) in [
            ("logs/x86_64/reboot-7", "./logs/x86_64/reboot-7/"),
            ("logs/my board #2?/a%20b", "./logs/my%20board%20%232%3F/a%2520b/"),
            ("javascript:alert(1)", "./javascript%3Aalert%281%29/"),
            ("//example.net/x", "./example.net/x/"),
            ("../logs", "./../logs/"),
        ] {
            assert_eq!(link(Path::new(path)), expected);
        }
    }
}
