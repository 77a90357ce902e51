//! The report as one page that needs nothing else: it opens from a disk, without a network, and stays useful without its
//! script. The template escapes every text; a console may hold anything, markup included.

mod cells;
mod gantt;
mod matrix;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::words::{Matrix, duration, legible, sign, word};
use super::{Outcome, Report};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const OUTCOMES: [Outcome; 3] = [Outcome::Failed, Outcome::Skipped, Outcome::Passed];

/// The whole report as one page.
#[must_use]
pub fn html(report: &Report) -> String {
    let matrix = Matrix::of(report);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(report))
            body {
                (top(report))
                main {
                    (cells::section(&matrix, report, Outcome::Failed))
                    (matrix::section(&matrix, report))
                    (gantt::section(&matrix, report))
                    (cells::section(&matrix, report, Outcome::Skipped))
                    (cells::section(&matrix, report, Outcome::Passed))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    legible(&page.into_string())
}

fn head(report: &Report) -> Markup {
    // Nothing is loaded, and no script runs but this one, even if an escape were ever forgotten.
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    );
    html! {
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (verdict(report)) " · hil run, seed " (report.seed) }
            style { (PreEscaped(STYLE)) }
        }
    }
}

fn top(report: &Report) -> Markup {
    let machines = report.machines.len();
    html! {
        header {
            div.title {
                h1 { "hil run" }
                p.verdict.failed[!all_well(report)].passed[all_well(report)] { (verdict(report)) }
            }
            dl.facts {
                @for outcome in OUTCOMES {
                    div class=(word(outcome)) { dt { (sign(outcome)) " " (word(outcome)) } dd { (report.count(outcome)) } }
                }
                div { dt { "machines" } dd { (machines) } }
                div { dt { "took" } dd { (duration(report.elapsed_ms)) } }
                div { dt { "at a time" } dd { (report.jobs) } }
                div { dt { "seed" } dd { (report.seed) } }
                div { dt { "started" } dd { time datetime=(report.started) { (report.started) } } }
            }
            @if report.interrupted {
                p.interrupted { "The run was ended before all had run: an empty field of the matrix may be a scenario that never began." }
            }
            form.filter role="search" {
                label { "Show " input #words type="search" placeholder="machine, scenario, cause …" autocomplete="off"; }
                @for outcome in OUTCOMES {
                    label { input type="checkbox" name="outcome" value=(word(outcome)) checked; " " (sign(outcome)) " " (word(outcome)) }
                }
                output #shown aria-live="polite" {}
            }
        }
    }
}

fn all_well(report: &Report) -> bool {
    report.count(Outcome::Failed) == 0 && !report.interrupted
}

fn verdict(report: &Report) -> String {
    let failed = report.count(Outcome::Failed);
    let interrupted = if report.interrupted { ", interrupted" } else { "" };
    match failed {
        0 => format!("{} {} passed{interrupted}", sign(Outcome::Passed), report.count(Outcome::Passed)),
        _ => format!("{} {failed} of {} failed{interrupted}", sign(Outcome::Failed), report.cells.len()),
    }
}

fn digest(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests;
