//! How outcomes and foreign text are said in the documents that others open, HTML and JUnit, so that both use the same
//! words. Apart from both because neither should depend on the other for it.

use super::Outcome;
use crate::{display::clean, events::Step};

/// Every outcome; what needs the operator comes first.
pub(super) const OUTCOMES: [&str; 6] =
    ["failed", "registered", "unreachable", "skipped", "planned", "online"];

/// An outcome in one sign, for eyes that can't tell the colours apart.
pub(super) fn sign(word: &str) -> &'static str {
    match word {
        "online" => "✓",
        "planned" => "≡",
        "registered" => "◔",
        "failed" => "✗",
        "unreachable" => "⊘",
        _ => "–",
    }
}

/// What there is to say of a host that is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trouble<'a> {
    pub(super) step: Option<Step>,
    pub(super) why: &'a str,
    pub(super) lines: &'a [String],
    pub(super) hint: &'a str,
}

impl<'a> Trouble<'a> {
    pub(super) fn of(outcome: &'a Outcome) -> Option<Self> {
        let (step, why, lines, hint): (_, _, &[String], &str) = match outcome {
            Outcome::Online { .. } | Outcome::Planned => return None,
            Outcome::Registered { why, hint } | Outcome::Unreachable { why, hint } => (None, why, &[], hint),
            Outcome::Failed { step, why, lines, hint } => (Some(*step), why, lines, hint),
            Outcome::Skipped { why } => (None, why, &[], ""),
        };
        Some(Self { step, why, lines, hint })
    }

    /// The last lines of the host, each on one line and without what only a terminal would obey.
    pub(super) fn text(&self) -> String {
        self.lines.iter().map(|line| clean(line)).collect::<Vec<_>>().join("\n")
    }
}

/// Without the characters that XML forbids and that no reader can see.
pub(super) fn legible(text: &str) -> String {
    let forbidden = |character: char| {
        character.is_control() && !matches!(character, '\n' | '\t')
            || matches!(character, '\u{fffe}' | '\u{ffff}')
    };
    text.chars().filter(|character| !forbidden(*character)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_not_legible_and_lines_stay_lines() {
        assert_eq!(legible("a\u{0}\u{1b}b\r\n\tc\u{85}\u{ffff}é"), "ab\n\tcé");
    }

    #[test]
    fn every_outcome_has_a_sign_of_its_own() {
        let words = ["online", "planned", "registered", "failed", "unreachable", "skipped"];
        let signs: std::collections::BTreeSet<_> = words.map(sign).into();
        assert_eq!(signs.len(), words.len());
    }
}
