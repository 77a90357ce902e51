//! The report as JUnit XML, which every CI server reads: a machine is a test suite, a scenario a test case.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::words::{Matrix, Numbered, legible, word};
use super::{Cell, Outcome, Report};

/// The whole report as one document.
pub fn junit(report: &Report) -> Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    document(&mut writer, report).context("the report is no XML")?;
    let text = String::from_utf8(writer.into_inner()).context("the report is no text")?;
    Ok(legible(&text) + "\n")
}

type Xml = Writer<Vec<u8>>;

fn document(xml: &mut Xml, report: &Report) -> io::Result<()> {
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let matrix = Matrix::of(report);
    xml.create_element("testsuites")
        .with_attribute(("name", "hil"))
        .with_attributes(counts(&report.cells.iter().collect::<Vec<_>>()).iter().map(pair))
        .with_attribute(("time", seconds(report.elapsed_ms).as_str()))
        .with_attribute(("timestamp", report.started.as_str()))
        .write_inner_content(|xml| {
            for (name, _) in &matrix.machines {
                suite(xml, report, &matrix, name)?;
            }
            Ok(())
        })?;
    Ok(())
}

fn suite(xml: &mut Xml, report: &Report, matrix: &Matrix<'_>, machine: &str) -> io::Result<()> {
    let cells: Vec<&Cell> = matrix.on(machine).map(|(_, cell)| cell).collect();
    let elapsed = cells.iter().map(|cell| cell.elapsed_ms).fold(0, u64::saturating_add);
    xml.create_element("testsuite")
        .with_attribute(("name", machine))
        .with_attributes(counts(&cells).iter().map(pair))
        .with_attribute(("time", seconds(elapsed).as_str()))
        .with_attribute(("timestamp", report.started.as_str()))
        .write_inner_content(|xml| {
            properties(xml, report, machine)?;
            matrix.on(machine).try_for_each(|numbered| case(xml, matrix, numbered))
        })?;
    Ok(())
}

fn properties(xml: &mut Xml, report: &Report, machine: &str) -> io::Result<()> {
    let mut properties = vec![
        ("seed", report.seed.to_string()),
        ("jobs", report.jobs.to_string()),
        ("interrupted", report.interrupted.to_string()),
    ];
    if let Some(machine) = report.machines.iter().find(|known| known.name == machine) {
        properties.push(("summary", machine.summary.clone()));
        properties.push(("arch", machine.arch.clone()));
        properties.push(("runs_on", machine.runs_on.clone()));
    }
    xml.create_element("properties").write_inner_content(|xml| {
        for (name, value) in &properties {
            let property = xml.create_element("property");
            property.with_attributes([("name", *name), ("value", value.as_str())]).write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

fn case(xml: &mut Xml, matrix: &Matrix<'_>, (_, cell): Numbered<'_>) -> io::Result<()> {
    let name = if matrix.is_repeated(cell) {
        format!("{} (seed {})", cell.scenario, cell.seed)
    } else {
        cell.scenario.clone()
    };
    let case = xml.create_element("testcase").with_attributes([
        ("name", name.as_str()),
        ("classname", cell.machine.as_str()),
        ("time", seconds(cell.elapsed_ms).as_str()),
    ]);
    let message = cell.causes.first().and_then(|cause| cause.lines().next()).unwrap_or(word(cell.outcome));
    match cell.outcome {
        Outcome::Passed => case.write_empty()?,
        Outcome::Skipped => case.write_inner_content(|xml| {
            let message = cell.causes.join(": ").replace('\n', " ");
            xml.create_element("skipped").with_attribute(("message", message.as_str())).write_empty()?;
            Ok(())
        })?,
        Outcome::Failed => case.write_inner_content(|xml| {
            xml.create_element("failure")
                .with_attributes([("message", message), ("type", "failed")])
                .write_text_content(BytesText::new(&story(cell)))?;
            Ok(())
        })?,
    };
    Ok(())
}

/// What somebody who sees nothing but this failure needs.
fn story(cell: &Cell) -> String {
    let mut text = cell.causes.join("\nbecause: ");
    for mark in &cell.timeline {
        let _ = write!(text, "\n{:>9} s  {}", seconds(mark.at_ms), mark.what);
    }
    if !cell.console.is_empty() {
        let _ = write!(text, "\nthe end of its console:\n{}", cell.console);
    }
    text + &format!("\nlogs: {}\nagain: {}", cell.logs.display(), cell.replay)
}

fn counts(cells: &[&Cell]) -> [(&'static str, String); 4] {
    let ended = |outcome| cells.iter().filter(|cell| cell.outcome == outcome).count().to_string();
    [
        ("tests", cells.len().to_string()),
        ("failures", ended(Outcome::Failed)),
        ("errors", 0.to_string()),
        ("skipped", ended(Outcome::Skipped)),
    ]
}

fn pair<'a>((name, value): &'a (&'static str, String)) -> (&'a str, &'a str) {
    (name, value)
}

fn seconds(milliseconds: u64) -> String {
    format!("{:.3}", Duration::from_millis(milliseconds).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use roxmltree::{Document, Node};

    use super::*;
    use crate::report::{MachineReport, Mark};

    const HOSTILE: &str = "]]></failure><!-- & \"'\u{0}\u{8}\u{1b}[31m\u{fffe} \r\n\té";

    fn cell(machine: &str, scenario: &str, seed: u64, outcome: Outcome) -> Cell {
        let text = |text: &str| if outcome == Outcome::Passed { String::new() } else { text.to_owned() };
        Cell {
            machine: machine.to_owned(),
            scenario: scenario.to_owned(),
            summary: String::new(),
            outcome,
            causes: vec![text("it is not back\nat all"), text("no route")],
            seed,
            started_ms: 0,
            elapsed_ms: 1_500,
            timeline: vec![Mark { at_ms: 200, what: "the power is cut".to_owned() }],
            console: text(HOSTILE),
            logs: "logs".into(),
            replay: format!("hil run --seed {seed}"),
        }
    }

    fn report() -> Report {
        use Outcome::{Failed, Passed, Skipped};
        let machine = |name: &str| MachineReport {
            name: name.to_owned(),
            summary: "A \"board\" & more".to_owned(),
            arch: "armv7".to_owned(),
            runs_on: "tcg".to_owned(),
        };
        Report {
            schema: 1,
            started: "2026-11-22T17:33:10Z".to_owned(),
            elapsed_ms: 65_432,
            seed: 7,
            jobs: 2,
            interrupted: false,
            machines: vec![machine("armv7"), machine("x86_64")],
            cells: vec![
                cell("x86_64", "reboot", 7, Failed),
                cell("armv7", "power-cuts", 8, Passed),
                cell("armv7", "power-cuts", 7, Passed),
                cell("armv7", "reboot", 7, Skipped),
            ],
        }
    }

    fn elements<'a>(node: Node<'a, 'a>, name: &'a str) -> Vec<Node<'a, 'a>> {
        node.descendants().filter(|node| node.has_tag_name(name)).collect()
    }

    fn attributes<'a>(node: Node<'a, 'a>) -> Vec<(&'a str, &'a str)> {
        node.attributes().map(|attribute| (attribute.name(), attribute.value())).collect()
    }

    #[test]
    fn each_machine_is_a_suite_whose_counts_and_times_are_those_of_its_cells() {
        let text = junit(&report()).unwrap();
        let document = Document::parse(&text).unwrap();
        let expected =
            [("name", "hil"), ("tests", "4"), ("failures", "1"), ("errors", "0"), ("skipped", "1")];
        let (time, started) = (("time", "65.432"), ("timestamp", "2026-11-22T17:33:10Z"));
        assert_eq!(attributes(document.root_element()), [&expected[..], &[time, started]].concat());
        let suites = elements(document.root(), "testsuite");
        let expected =
            [("name", "armv7"), ("tests", "3"), ("failures", "0"), ("errors", "0"), ("skipped", "1")];
        assert_eq!(attributes(suites[0]), [&expected[..], &[("time", "4.500"), started]].concat());
        assert_eq!(suites[1].attribute("name"), Some("x86_64"));
        let properties: Vec<_> = elements(suites[0], "property").into_iter().map(attributes).collect();
        assert!(properties.contains(&vec![("name", "seed"), ("value", "7")]), "{properties:?}");
        assert!(
            properties.contains(&vec![("name", "summary"), ("value", "A \"board\" & more")]),
            "{properties:?}"
        );
    }

    #[test]
    fn only_repeats_have_their_seeds_in_their_names() {
        let text = junit(&report()).unwrap();
        let document = Document::parse(&text).unwrap();
        let cases = elements(document.root(), "testcase");
        let names: Vec<_> = cases.iter().map(|case| case.attribute("name").unwrap()).collect();
        assert_eq!(names, ["power-cuts (seed 7)", "power-cuts (seed 8)", "reboot", "reboot"]);
        assert_eq!(attributes(cases[3]), [("name", "reboot"), ("classname", "x86_64"), ("time", "1.500")]);
        assert!(!cases[0].has_children(), "a case that passed has nothing to tell");
    }

    #[test]
    fn a_failure_tells_its_story_and_hostile_text_stays_text() {
        let text = junit(&report()).unwrap();
        let document = Document::parse(&text).unwrap();
        let failure = elements(document.root(), "failure")[0];
        assert_eq!(attributes(failure), [("message", "it is not back"), ("type", "failed")]);
        let expected = "it is not back\nat all\nbecause: no route\n    0.200 s  the power is cut\n\
                        the end of its console:\n]]></failure><!-- & \"'[31m \r\n\té\nlogs: logs\nagain: hil run --seed 7";
        assert_eq!(failure.text(), Some(expected));
        let skipped = elements(document.root(), "skipped")[0];
        assert_eq!(skipped.attribute("message"), Some("it is not back at all: no route"));
    }
}
