//! The report as one page that needs nothing else: it opens from a disk, without a network, and stays useful without its
//! script. The template escapes every text; what a host printed may hold anything, markup included.

mod causes;
mod hosts;
mod load;
mod strip;
#[cfg(test)]
mod tests;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use self::strip::{Clock, Phase};
use super::{
    FleetReport,
    rerun::FAILED,
    table,
    words::{OUTCOMES, legible, sign},
};
use crate::display::{elapsed, plural};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What lies beside the page and can be led to.
#[derive(Clone, Copy)]
pub struct Beside<'a> {
    /// Is there a host's log of this name?
    pub has_log: &'a dyn Fn(&str) -> bool,
    /// Is there a `failed.toml`?
    pub has_failed: bool,
}

impl std::fmt::Debug for Beside<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Beside").field("has_failed", &self.has_failed).finish_non_exhaustive()
    }
}

impl Beside<'_> {
    /// A page on its own.
    pub const NOTHING: Self = Self { has_log: &|_| false, has_failed: false };
}

/// The report as one page.
#[must_use]
pub fn render(report: &FleetReport, beside: Beside<'_>) -> String {
    let clock = Clock::of(report);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(report))
            body class=(clock.default_scale()) {
                (top(report))
                (notices(report, beside))
                (filter(report))
                main {
                    (causes::section(report, clock, beside))
                    (load::section(report, clock))
                    (hosts::section(report, clock, beside))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    legible(&page.into_string())
}

fn head(report: &FleetReport) -> Markup {
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
            title { (verdict(report)) " · bootstrap " (report.run) }
            style { (PreEscaped(STYLE)) }
        }
    }
}

fn top(report: &FleetReport) -> Markup {
    let all_well = bad(report) == 0 && !report.interrupted;
    let started = report.started.strftime("%Y-%m-%d %H:%M:%S").to_string();
    html! {
        header {
            h1 { @if report.dry_run { "bootstrap, a dry run" } @else { "bootstrap" } }
            p.verdict.good[all_well].bad[!all_well] { (verdict(report)) }
            p.counts { (table::counts(report)) }
            (shares(report))
            dl.facts {
                div { dt { "started" } dd { time datetime=(report.started) { (started) " UTC" } } }
                div { dt { "took" } dd { (elapsed(report.elapsed)) } }
                div { dt { "inventory" } dd { (report.inventory.path.display()) } }
                @if report.merged.is_empty() {
                    div { dt { "run" } dd { (report.run) } }
                } @else {
                    div { dt { "merged from " (plural(report.merged.len(), "run")) } dd { (report.run) " and others" } }
                }
            }
        }
    }
}

/// How the fleet divides, as one bar.
fn shares(report: &FleetReport) -> Markup {
    let whole = report.hosts.len().max(1);
    let mut begin = 0;
    let parts: Vec<_> = OUTCOMES
        .iter()
        .rev()
        .map(|word| {
            let (count, at) = (report.count(word), begin);
            begin += count;
            (word, at, count)
        })
        .filter(|(.., count)| *count > 0)
        .collect();
    html! {
        svg.shares viewBox={ "0 0 " (whole) " 1" } preserveAspectRatio="none" width="100%" height="14" aria-hidden="true" {
            @for (word, at, count) in parts {
                rect.(word) x=(at) width=(count) height="1" { title { (count) " " (word) } }
            }
        }
    }
}

fn notices(report: &FleetReport, beside: Beside<'_>) -> Markup {
    let left = &report.activations_left;
    let missing = super::merge::missing(report);
    html! {
        div.notices {
            @if report.interrupted {
                p { "The run was ended early: hosts that it left as they were are skipped." }
            }
            @if missing > 0 {
                p { "Of the inventory’s " (plural(report.inventory.hosts, "host")) ", " (missing) " are not in this report." }
            }
            @if !left.is_empty() {
                p {
                    (plural(left.len(), "activation")) " could not be deleted: " (left.join(", ")) ". Remove with "
                    code { "bootstrap activations gc --inventory " (report.inventory.path.display()) }
                }
            }
            @if beside.has_failed {
                p.rerun {
                    "Beside this page, " a href=(FAILED) { (FAILED) } " is an inventory of the hosts that are not good: "
                    code { "bootstrap --inventory " (FAILED) }
                }
            }
        }
    }
}

fn filter(report: &FleetReport) -> Markup {
    html! {
        form.filter role="search" {
            label { "Find " input #words type="search" placeholder="host, environment, node, cause …" autocomplete="off" aria-keyshortcuts="/"; }
            fieldset {
                legend.unseen { "Outcomes" }
                @for word in OUTCOMES.iter().filter(|word| report.count(word) > 0) {
                    label.(word) {
                        input type="checkbox" name="outcome" value=(word) checked;
                        " " span.sign { (sign(word)) } " " (report.count(word)) " " (word)
                    }
                }
            }
            fieldset {
                legend.unseen { "Timelines on the run’s clock, or from each host’s beginning" }
                label { input type="radio" name="scale" value="by-run"; " run’s clock" }
                label { input type="radio" name="scale" value="by-host"; " own clock" }
            }
            label {
                span.unseen { "Order" }
                select #order {
                    option value="position" { "inventory’s order" }
                    option value="took" { "slowest first" }
                }
            }
            output #shown aria-live="polite" {}
        }
    }
}

fn legend() -> Markup {
    html! {
        ul.legend aria-label="Colours of the timelines" {
            @for phase in Phase::ALL { li.(phase.class()) { (phase.said()) } }
        }
    }
}

/// Text of ours, in which backticks are around commands.
fn spoken(text: &str) -> Markup {
    let mut parts: Vec<&str> = text.split('`').collect();
    // One without its partner is only a letter.
    let last = if parts.len().is_multiple_of(2) { parts.pop() } else { None };
    html! {
        @for (index, part) in parts.iter().enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
        @if let Some(last) = last { "`" (last) }
    }
}

fn bad(report: &FleetReport) -> usize {
    report.hosts.iter().filter(|host| !host.outcome.is_good()).count()
}

fn verdict(report: &FleetReport) -> String {
    let interrupted = if report.interrupted { ", interrupted" } else { "" };
    let all = plural(report.hosts.len(), "host");
    let word = if report.dry_run { "planned" } else { "online" };
    match bad(report) {
        0 => format!("{} {all}, all {word}{interrupted}", sign(word)),
        bad => format!("{} {bad} of {all} not {word}{interrupted}", sign("failed")),
    }
}

fn digest(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}
