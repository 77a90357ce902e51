use std::path::PathBuf;

use super::html;
use crate::report::{Cell, MachineReport, Mark, Outcome, Report};

/// Whatever ends an element, an attribute, a comment or a script where it was not to end.
const HOSTILE: &str =
    "</pre></details></script><script>alert(1)</script><!-- \" onload='alert(1)' \u{2028}\u{1b}[2J\u{0}&lt;";
const HARMLESS: &str = "&lt;/pre&gt;&lt;/details&gt;&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;!-- \
                        &quot; onload='alert(1)' \u{2028}[2J&amp;lt;";

fn cell(machine: &str, scenario: &str, seed: u64, outcome: Outcome) -> Cell {
    let well = outcome == Outcome::Passed;
    Cell {
        machine: machine.to_owned(),
        scenario: scenario.to_owned(),
        summary: "It shows that.".to_owned(),
        outcome,
        causes: if well { Vec::new() } else { vec!["it is not back".to_owned(), "no route".to_owned()] },
        seed,
        started_ms: seed * 1000,
        elapsed_ms: 500,
        timeline: vec![Mark { at_ms: 200, what: "the power is cut".to_owned() }],
        console: if well { String::new() } else { "login:".to_owned() },
        logs: PathBuf::from("logs").join(machine).join(format!("{scenario}-{seed}")),
        replay: format!("hil run --machine {machine} --scenario {scenario} --seed {seed}"),
    }
}

fn report(cells: Vec<Cell>) -> Report {
    let machine = |name: &str| MachineReport {
        name: name.to_owned(),
        summary: format!("{name} in a few words"),
        arch: name.to_owned(),
        runs_on: "tcg".to_owned(),
    };
    Report {
        schema: 1,
        started: "2026-11-22T17:33:10Z".to_owned(),
        elapsed_ms: 65_000,
        seed: 7,
        jobs: 2,
        interrupted: false,
        machines: vec![machine("x86_64"), machine("armv7")],
        cells,
    }
}

fn count(page: &str, text: &str) -> usize {
    page.matches(text).count()
}

#[test]
fn every_cell_is_on_the_page_once_and_led_to_by_the_timeline() {
    let mut cells: Vec<Cell> = (0..130)
        .map(|seed| {
            cell("x86_64", "power-cuts", seed, if seed % 44 == 3 { Outcome::Failed } else { Outcome::Passed })
        })
        .collect();
    cells.push(cell("armv7", "reboot", 7, Outcome::Skipped));
    cells.push(cell("a machine nobody knows", "reboot", 7, Outcome::Failed));
    let page = html(&report(cells.clone()));
    for (number, cell) in cells.iter().enumerate() {
        assert_eq!(count(&page, &format!("id=\"cell-{number}\"")), 1, "{number}");
        assert!(page.contains(&format!("<a href=\"#cell-{number}\" tabindex=\"-1\"")), "{number}");
        assert_eq!(count(&page, &format!("<code>{}</code>", cell.replay)), 1, "{}", cell.replay);
    }
    assert_eq!(count(&page, "class=\"cell\""), 132);
}

#[test]
fn the_counts_are_those_of_the_model() {
    use Outcome::{Failed, Passed, Skipped};
    let outcomes = [Passed, Failed, Passed, Skipped, Passed, Failed];
    let cells =
        outcomes.iter().zip(0..).map(|(outcome, seed)| cell("x86_64", &format!("s{seed}"), seed, *outcome));
    let page = html(&report(cells.collect()));
    for (word, sign, expected) in [("passed", "✓", 3), ("failed", "✗", 2), ("skipped", "–", 1)] {
        let counted = format!("<div class=\"{word}\"><dt>{sign} {word}</dt><dd>{expected}</dd></div>");
        assert!(page.contains(&counted), "{counted}");
        assert_eq!(count(&page, &format!("data-outcome=\"{word}\"")), expected, "{word}");
        assert_eq!(count(&page, &format!("<td class=\"{word}\" data-at=")), expected, "{word}");
    }
    assert!(page.contains("✗ 2 of 6 failed"));
    assert!(page.find("data-outcome=\"failed\"") < page.find("id=\"matrix\""), "failures come first");
}

#[test]
fn repeats_are_one_field_that_leads_to_the_first_failure() {
    let mut cells: Vec<Cell> =
        (0..30).map(|seed| cell("x86_64", "power-cuts", seed, Outcome::Passed)).collect();
    cells[11].outcome = Outcome::Failed;
    let page = html(&report(cells));
    let field =
        "<td class=\"failed\" data-at=\"0-0\"><a href=\"#cell-11\"><span class=\"sign\">✗</span> 29/30 ";
    assert!(page.contains(field), "{page}");
    assert!(page.contains("29 of 30 repeats passed"));
    assert!(page.contains("<td></td>"), "the other machine's field is empty");
}

#[test]
fn hostile_text_is_only_ever_text() {
    let mut cell = cell(HOSTILE, HOSTILE, 1, Outcome::Failed);
    for text in [&mut cell.summary, &mut cell.console, &mut cell.replay] {
        HOSTILE.clone_into(text);
    }
    cell.causes = vec![HOSTILE.to_owned()];
    cell.timeline = vec![Mark { at_ms: 1, what: HOSTILE.to_owned() }];
    cell.logs = PathBuf::from(HOSTILE);
    let mut report = report(vec![cell]);
    HOSTILE.clone_into(&mut report.started);
    for machine in &mut report.machines {
        (machine.name, machine.summary) = (HOSTILE.to_owned(), HOSTILE.to_owned());
        (machine.arch, machine.runs_on) = (HOSTILE.to_owned(), HOSTILE.to_owned());
    }
    let page = html(&report);
    assert!(page.contains(&format!("<pre class=\"console\" tabindex=\"0\">{HARMLESS}</pre>")));
    for text in ["<script", "</script", "</pre", "<style", "</style"] {
        assert_eq!(count(&page, text), 1, "{text}");
    }
    for text in ["<!--", "\u{1b}", "\u{0}", "onload='alert(1)' \u{2028}\u{1b}"] {
        assert_eq!(count(&page, text), 0, "{text:?}");
    }
    // Between quotes it never ends its attribute: each is followed by another one, or by the end of its tag.
    assert_eq!(count(&page, "\" onload"), 0);
}

#[test]
fn the_page_fetches_nothing_and_runs_only_its_own_script() {
    let page = html(&report(vec![cell("x86_64", "reboot", 1, Outcome::Failed)]));
    for text in ["http:", "https:", " src=", "@import", "url(", " style=", " onclick="] {
        assert_eq!(count(&page, text), 0, "{text}");
    }
    assert!(page.contains("default-src 'none'; style-src 'sha256-"));
    // The text of a script is not unescaped by a browser: nothing in it may look like its end.
    assert!(page.contains(super::SCRIPT) && page.contains(super::STYLE));
}

#[test]
fn a_run_without_cells_and_an_interrupted_one_say_so() {
    let mut report = report(Vec::new());
    report.interrupted = true;
    let page = html(&report);
    assert!(page.contains("✓ 0 passed, interrupted") && page.contains("never began"), "{page}");
}
