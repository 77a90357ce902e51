//! How the values of a report are said, so that all its forms use the same words.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cell, MachineReport, Outcome, Report};

/// An outcome in one word.
pub(super) fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
    }
}

/// An outcome in one sign, for eyes that can't tell the colours apart.
pub(super) fn sign(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "✓",
        Outcome::Failed => "✗",
        Outcome::Skipped => "–",
    }
}

/// A duration as a reader wants it: fewer digits the longer it is.
pub(super) fn duration(milliseconds: u64) -> String {
    let (seconds, minutes) = (milliseconds / 1000, milliseconds / 60_000);
    match minutes {
        0 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        1..60 => format!("{minutes} min {:02} s", seconds % 60),
        _ => format!("{} h {:02} min", minutes / 60, minutes % 60),
    }
}

/// Without the control characters which XML forbids and which no reader can see: a console is whatever a machine sends.
pub(crate) fn legible(text: &str) -> String {
    let forbidden = |character: char| {
        character.is_control() && !matches!(character, '\n' | '\t')
            || matches!(character, '\u{fffe}' | '\u{ffff}')
    };
    text.chars().filter(|character| !forbidden(*character)).collect()
}

/// A cell, and its place among the cells of the report.
pub(super) type Numbered<'a> = (usize, &'a Cell);

/// The cells by machine and scenario: more than one where a scenario was repeated.
pub(super) struct Matrix<'a> {
    /// The machines' names, in their order, with what is known of them.
    pub(super) machines: Vec<(&'a str, Option<&'a MachineReport>)>,
    /// The scenarios' names and summaries, in alphabetical order: cells end in another order each time.
    pub(super) scenarios: BTreeMap<&'a str, &'a str>,
    cells: BTreeMap<&'a str, BTreeMap<&'a str, Vec<Numbered<'a>>>>,
}

impl<'a> Matrix<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        let (mut machines, mut known) = (Vec::new(), BTreeSet::new());
        let listed = report.machines.iter().map(|machine| (machine.name.as_str(), Some(machine)));
        // A cell without its machine would vanish from the report, and with it a failure.
        let met = report.cells.iter().map(|cell| (cell.machine.as_str(), None));
        for (name, machine) in listed.chain(met) {
            if known.insert(name) {
                machines.push((name, machine));
            }
        }
        let mut scenarios = BTreeMap::new();
        let mut cells: BTreeMap<&str, BTreeMap<&str, Vec<Numbered<'_>>>> = BTreeMap::new();
        for (number, cell) in report.cells.iter().enumerate() {
            scenarios.insert(cell.scenario.as_str(), cell.summary.as_str());
            cells.entry(&cell.machine).or_default().entry(&cell.scenario).or_default().push((number, cell));
        }
        for repeats in cells.values_mut().flat_map(BTreeMap::values_mut) {
            repeats.sort_by_key(|(number, cell)| (cell.seed, *number));
        }
        Self { machines, scenarios, cells }
    }

    /// How a scenario went on a machine, by seed; empty if they did not meet.
    pub(super) fn at(&self, machine: &str, scenario: &str) -> &[Numbered<'a>] {
        self.cells.get(machine).and_then(|on| on.get(scenario)).map_or(&[], Vec::as_slice)
    }

    /// All that ran on a machine, by scenario and seed.
    pub(super) fn on(&self, machine: &str) -> impl Iterator<Item = Numbered<'a>> {
        self.scenarios.keys().flat_map(move |scenario| self.at(machine, scenario)).copied()
    }

    /// The cell ran more than once, so that only its seed tells it from the others.
    pub(super) fn is_repeated(&self, cell: &Cell) -> bool {
        self.at(&cell.machine, &cell.scenario).len() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_fewer_digits_the_longer_it_is() {
        for (milliseconds, expected) in [
            (0, "0.0 s"),
            (1_250, "1.2 s"),
            (59_999, "59.9 s"),
            (60_000, "1 min 00 s"),
            (3_599_999, "59 min 59 s"),
            (3_660_000, "1 h 01 min"),
        ] {
            assert_eq!(duration(milliseconds), expected);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_legible_and_lines_stay_lines() {
        assert_eq!(legible("a\u{0}\u{1b}b\r\n\tc\u{85}\u{ffff}é"), "ab\n\tcé");
    }
}
