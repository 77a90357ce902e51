//! The report on a terminal: one line as each scenario ends, and the sum at the end.

use std::fmt::Write as _;
use std::path::Path;

use super::words::legible;
use super::{Cell, Outcome, Report};

/// One scenario, as it ended.
#[must_use]
pub fn line(cell: &Cell) -> String {
    let word = match cell.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "skipped",
    };
    let mut text =
        format!("{word:<8}{} {} in {:.1} s", cell.machine, cell.scenario, seconds(cell.elapsed_ms));
    for cause in &cell.causes {
        let _ = write!(text, "\n        {}", cause.replace('\n', "\n        "));
    }
    if cell.outcome == Outcome::Failed {
        if !cell.console.is_empty() {
            let _ = write!(
                text,
                "\n        the end of its console:\n          {}",
                cell.console.replace('\n', "\n          ")
            );
        }
        let _ = write!(text, "\n        again: {}", cell.replay);
    }
    legible(&text)
}

/// All of them.
#[must_use]
pub fn summary(report: &Report, results: &Path) -> String {
    let mut text = String::new();
    for cell in report.cells.iter().filter(|cell| cell.outcome == Outcome::Failed) {
        let why = cell.causes.first().map_or("", |cause| cause.lines().next().unwrap_or_default());
        let _ = writeln!(text, "FAILED  {} {}: {why}", cell.machine, cell.scenario);
    }
    let _ = writeln!(text, "report: {}", results.join("report.html").display());
    let ended = if report.interrupted { "; interrupted" } else { "" };
    let _ = write!(
        text,
        "scenarios: {} passed, {} failed, {} skipped in {:.0} s, seed {}{ended}",
        report.count(Outcome::Passed),
        report.count(Outcome::Failed),
        report.count(Outcome::Skipped),
        seconds(report.elapsed_ms),
        report.seed
    );
    legible(&text)
}

fn seconds(milliseconds: u64) -> f64 {
    std::time::Duration::from_millis(milliseconds).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_with_every_cause_and_how_to_see_it_again() {
        let cell = Cell {
            machine: "aarch64".to_owned(),
            scenario: "reboot".to_owned(),
            summary: String::new(),
            outcome: Outcome::Failed,
            // What a guest says may be anything: the second one would clear the screen.
            causes: vec!["it is not back".to_owned(), "\u{1b}[2Jno route".to_owned()],
            seed: 7,
            started_ms: 0,
            elapsed_ms: 61_540,
            timeline: Vec::new(),
            console: "login:".to_owned(),
            logs: "logs".into(),
            replay: "hil run --seed 7".to_owned(),
        };
        let expected = "FAILED  aarch64 reboot in 61.5 s\n        it is not back\n        [2Jno route\n        \
                        the end of its console:\n          login:\n        again: hil run --seed 7";
        assert_eq!(line(&cell), expected);
    }
}
