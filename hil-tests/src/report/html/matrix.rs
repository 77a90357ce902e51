//! The matrix: a row for each scenario, a column for each machine, and in each field how it went.

use maud::{Markup, html};

use crate::report::words::{Matrix, Numbered, duration, sign, word};
use crate::report::{Outcome, Report};

pub(super) fn section(matrix: &Matrix<'_>, report: &Report) -> Markup {
    let rows = matrix.scenarios.iter().enumerate();
    html! {
        section #matrix {
            h2 { "Scenarios and machines" }
            div.wide {
                table {
                    (columns(matrix))
                    tbody {
                        @for (row, (scenario, summary)) in rows {
                            tr {
                                th scope="row" { span.name { (scenario) } span.summary { (summary) } }
                                @for (column, (machine, _)) in matrix.machines.iter().enumerate() {
                                    (field(matrix.at(machine, scenario), &format!("{column}-{row}")))
                                }
                            }
                        }
                    }
                }
            }
            p.note {
                "An empty field: the scenario does not apply to the machine"
                @if report.interrupted { ", or did not begin" }
                ". “29/30 ≈ 4.0 s”: 29 of 30 repeats passed, half of them within 4.0 s."
            }
        }
    }
}

fn columns(matrix: &Matrix<'_>) -> Markup {
    html! {
        thead {
            tr {
                th scope="col" { "scenario" }
                @for (machine, known) in &matrix.machines {
                    @let passed = matrix.on(machine).filter(|(_, cell)| cell.outcome == Outcome::Passed).count();
                    th scope="col" title=[known.map(|known| known.summary.as_str())] {
                        span.name { (machine) }
                        @if let Some(known) = known {
                            span.summary { (known.arch) ", " (known.runs_on) }
                        }
                        span.summary { (passed) "/" (matrix.on(machine).count()) " passed" }
                    }
                }
            }
        }
    }
}

fn field(repeats: &[Numbered<'_>], at: &str) -> Markup {
    // A click leads to what is wrong, if anything is.
    let failed = repeats.iter().find(|(_, cell)| cell.outcome == Outcome::Failed);
    let passed = repeats.iter().find(|(_, cell)| cell.outcome == Outcome::Passed);
    let Some((number, cell)) = failed.or(passed).or(repeats.first()) else {
        return html! { td {} };
    };
    let outcome = cell.outcome;
    html! {
        td class=(word(outcome)) data-at=(at) {
            a href={ "#cell-" (number) } {
                span.sign { (sign(outcome)) } " "
                @if repeats.len() > 1 {
                    (count_passed(repeats)) "/" (repeats.len()) " "
                    span.time { "≈ " (duration(median(repeats))) }
                } @else {
                    span.word.unsaid[outcome == Outcome::Passed] { (word(outcome)) " " }
                    @if outcome != Outcome::Skipped { span.time { (duration(cell.elapsed_ms)) } }
                }
            }
        }
    }
}

fn count_passed(repeats: &[Numbered<'_>]) -> usize {
    repeats.iter().filter(|(_, cell)| cell.outcome == Outcome::Passed).count()
}

fn median(repeats: &[Numbered<'_>]) -> u64 {
    let mut times: Vec<u64> = repeats.iter().map(|(_, cell)| cell.elapsed_ms).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
