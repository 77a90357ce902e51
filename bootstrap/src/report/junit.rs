//! The report as JUnit XML, which every CI server reads: an environment is a test suite, a host a test case. Hosts that
//! failed or are not Online are failures, hosts that were never reached are errors.
//!
//! Elements and attributes are those that the schemas in use agree on (Jenkins' xUnit plugin, Ant, Surefire): no
//! `skipped` or `timestamp` at the top, `properties` first, and times without a zone, which are UTC.

use std::{collections::BTreeMap, fmt::Write as _, io};

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};

use super::{
    FleetReport, HostReport, Outcome,
    words::{Trouble, legible},
};
use crate::{
    display::{clean, plural},
    inventory::EnvironmentName,
};

type Xml = Writer<Vec<u8>>;

/// The report as one document, with a line break at its end.
#[must_use]
pub fn render(report: &FleetReport) -> String {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Writing to memory cannot fail, and all that is written is text.
    document(&mut xml, report).ok();
    legible(&String::from_utf8_lossy(&xml.into_inner())) + "\n"
}

fn document(xml: &mut Xml, report: &FleetReport) -> io::Result<()> {
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let mut environments: BTreeMap<&EnvironmentName, Vec<&HostReport>> = BTreeMap::new();
    for host in &report.hosts {
        environments.entry(&host.environment).or_default().push(host);
    }
    let everyone: Vec<_> = report.hosts.iter().collect();
    let [tests, failures, errors, _] = counts(&everyone);
    xml.create_element("testsuites")
        .with_attribute(("name", "bootstrap"))
        .with_attributes([tests, failures, errors].iter().map(pair))
        .with_attribute(("time", seconds(report.elapsed.as_secs_f64()).as_str()))
        .write_inner_content(|xml| {
            environments.iter().try_for_each(|(environment, hosts)| suite(xml, report, environment, hosts))
        })
        .map(drop)
}

fn suite(
    xml: &mut Xml,
    report: &FleetReport,
    environment: &EnvironmentName,
    hosts: &[&HostReport],
) -> io::Result<()> {
    let elapsed: f64 = hosts.iter().map(|host| host.elapsed.as_secs_f64()).sum();
    xml.create_element("testsuite")
        .with_attribute(("name", environment.as_str()))
        .with_attributes(counts(hosts).iter().map(pair))
        .with_attribute(("time", seconds(elapsed).as_str()))
        .with_attribute(("timestamp", report.started.strftime("%Y-%m-%dT%H:%M:%S").to_string().as_str()))
        .write_inner_content(|xml| {
            properties(xml, report)?;
            hosts.iter().try_for_each(|host| case(xml, host))
        })
        .map(drop)
}

fn properties(xml: &mut Xml, report: &FleetReport) -> io::Result<()> {
    let properties = [
        ("run", report.run.to_string()),
        ("inventory", report.inventory.path.display().to_string()),
        ("dry_run", report.dry_run.to_string()),
        ("interrupted", report.interrupted.to_string()),
    ];
    let write = |xml: &mut Xml| {
        properties.iter().try_for_each(|(name, value)| {
            let property = xml.create_element("property");
            property.with_attributes([("name", *name), ("value", value.as_str())]).write_empty().map(drop)
        })
    };
    xml.create_element("properties").write_inner_content(write).map(drop)
}

fn case(xml: &mut Xml, host: &HostReport) -> io::Result<()> {
    let case = xml.create_element("testcase").with_attributes([
        ("name", host.host.as_str()),
        ("classname", host.environment.as_str()),
        ("time", seconds(host.elapsed.as_secs_f64()).as_str()),
    ]);
    let Some(trouble) = Trouble::of(&host.outcome) else { return case.write_empty().map(drop) };
    let why = clean(trouble.why);
    let kind = match &host.outcome {
        Outcome::Skipped { .. } => {
            return case
                .write_inner_content(|xml| {
                    let skipped = xml.create_element("skipped").with_attribute(("message", &*why));
                    skipped.write_empty().map(drop)
                })
                .map(drop);
        }
        Outcome::Unreachable { .. } => "error",
        _ => "failure",
    };
    let what = trouble.step.map_or(host.outcome.word(), crate::events::Step::word);
    case.write_inner_content(|xml| {
        xml.create_element(kind)
            .with_attributes([("message", &*why), ("type", what)])
            .write_text_content(BytesText::new(&story(host, &trouble)))
            .map(drop)
    })
    .map(drop)
}

/// What somebody who sees nothing but this failure needs.
fn story(host: &HostReport, trouble: &Trouble<'_>) -> String {
    let mut text = format!("{}: {}", host.host, clean(trouble.why));
    if !trouble.lines.is_empty() {
        // Writing to a string cannot fail.
        write!(text, "\nlast {}:\n{}", plural(trouble.lines.len(), "line"), trouble.text()).ok();
    }
    if !trouble.hint.is_empty() {
        write!(text, "\nhint: {}", clean(trouble.hint)).ok();
    }
    for action in &host.actions {
        write!(text, "\ndone before: {}", clean(action)).ok();
    }
    text
}

fn counts(hosts: &[&HostReport]) -> [(&'static str, String); 4] {
    let ended =
        |words: &[&str]| hosts.iter().filter(|host| words.contains(&host.outcome.word())).count().to_string();
    [
        ("tests", hosts.len().to_string()),
        ("failures", ended(&["failed", "registered"])),
        ("errors", ended(&["unreachable"])),
        ("skipped", ended(&["skipped"])),
    ]
}

fn pair<'a>((name, value): &'a (&'static str, String)) -> (&'a str, &'a str) {
    (name, value)
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.3}")
}

#[cfg(test)]
mod tests {
    use roxmltree::{Document, Node};

    use super::*;
    use crate::{events::Step, report::table::sample};

    const HOSTILE: &str = "]]></failure><!-- & \"'\u{0}\u{8}\u{1b}[31mred\u{fffe} é";

    fn elements<'a>(node: Node<'a, 'a>, name: &'a str) -> Vec<Node<'a, 'a>> {
        node.descendants().filter(|node| node.has_tag_name(name)).collect()
    }

    fn attributes<'a>(node: Node<'a, 'a>) -> Vec<(&'a str, &'a str)> {
        node.attributes().map(|attribute| (attribute.name(), attribute.value())).collect()
    }

    /// An element, what may be in it in this order, and which attributes it must and may have.
    type Rule = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

    /// Of the XSD of Jenkins' xUnit plugin: what we write of it.
    const RULES: [Rule; 8] = [
        ("testsuites", &["testsuite"], &[], &["name", "time", "tests", "failures", "errors"]),
        (
            "testsuite",
            &["properties", "testcase", "system-out", "system-err"],
            &["name", "tests", "failures", "errors"],
            &["group", "time", "skipped", "timestamp", "hostname", "id", "package"],
        ),
        ("properties", &["property"], &[], &[]),
        ("property", &[], &["name", "value"], &[]),
        (
            "testcase",
            &["skipped", "error", "failure", "system-out", "system-err"],
            &["name"],
            &["assertions", "time", "classname", "status", "class", "file", "line"],
        ),
        ("failure", &[], &[], &["type", "message"]),
        ("error", &[], &[], &["type", "message"]),
        ("skipped", &[], &[], &["type", "message"]),
    ];

    #[test]
    fn elements_attributes_and_their_order_are_those_of_the_schema() {
        for report in [sample::mixed(), sample::good(), sample::dry()] {
            let text = render(&report);
            let document = Document::parse(&text).unwrap();
            assert_eq!(document.root_element().tag_name().name(), "testsuites");
            for node in document.root_element().descendants().filter(Node::is_element) {
                let name = node.tag_name().name();
                let (_, children, must, may) = RULES.iter().find(|(rule, ..)| *rule == name).unwrap();
                let found: Vec<_> = attributes(node).into_iter().map(|(name, _)| name).collect();
                assert!(must.iter().all(|name| found.contains(name)), "{name}: {found:?}");
                assert!(
                    found.iter().all(|name| must.contains(name) || may.contains(name)),
                    "{name}: {found:?}"
                );
                // Ant's wants them in this order, too.
                let places: Vec<_> = node
                    .children()
                    .filter(Node::is_element)
                    .map(|child| children.iter().position(|may| child.has_tag_name(*may)).unwrap())
                    .collect();
                assert!(places.is_sorted(), "{name}: {places:?}");
            }
            let time = |text: &str| {
                text.split_once('.').is_some_and(|(whole, rest)| {
                    [whole, rest].iter().all(|part| part.bytes().all(|digit| digit.is_ascii_digit()))
                })
            };
            for node in document.descendants().filter_map(|node| node.attribute("time")) {
                assert!(time(node), "{node}");
            }
        }
    }

    #[test]
    fn each_environment_is_a_suite_whose_counts_are_those_of_its_hosts() {
        let text = render(&sample::mixed());
        let document = Document::parse(&text).unwrap();
        let expected =
            [("name", "bootstrap"), ("tests", "6"), ("failures", "2"), ("errors", "1"), ("time", "12.345")];
        assert_eq!(attributes(document.root_element()), expected);
        let suites = elements(document.root(), "testsuite");
        let expected = [
            ("name", "dev"),
            ("tests", "3"),
            ("failures", "1"),
            ("errors", "1"),
            ("skipped", "0"),
            ("time", "11.140"),
            ("timestamp", "2026-11-22T10:31:05"),
        ];
        assert_eq!(attributes(suites[0]), expected);
        assert_eq!(suites[1].attribute("skipped"), Some("1"));
        let names: Vec<_> = elements(document.root(), "testcase")
            .iter()
            .map(|case| case.attribute("name").unwrap())
            .collect();
        assert_eq!(names, ["deb-1", "deb-2", "deb-3", "rpm-1", "rpm-2", "rpm-3"]);
    }

    #[test]
    fn a_failure_tells_why_the_last_lines_and_what_to_do() {
        let text = render(&sample::mixed());
        let document = Document::parse(&text).unwrap();
        let failure = elements(document.root(), "failure")[0];
        let why = "`dpkg --install amazon-ssm-agent.deb` ended with exit code 1";
        assert_eq!(attributes(failure), [("message", why), ("type", "install")]);
        let expected = format!(
            "deb-2: {why}\nlast 2 lines:\ndpkg: error: failed to write\nNo space left on device\n\
             hint: free space in /var and run again"
        );
        assert_eq!(failure.text(), Some(expected.as_str()));
        let skipped = elements(document.root(), "skipped")[0];
        assert_eq!(skipped.attribute("message"), Some("the run was interrupted before its turn"));
        assert_eq!(elements(document.root(), "error")[0].attribute("type"), Some("unreachable"));
    }

    #[test]
    fn hostile_text_stays_text() {
        let mut report = sample::mixed();
        let text = || HOSTILE.to_owned();
        report.hosts[1].outcome =
            Outcome::Failed { step: Step::Install, why: text(), lines: vec![text(), text()], hint: text() };
        let text = render(&report);
        let document = Document::parse(&text).unwrap();
        let failure = elements(document.root(), "failure")[0];
        let harmless = "]]></failure><!-- & \"'red é";
        assert_eq!(failure.attribute("message"), Some(harmless));
        let expected = format!("deb-2: {harmless}\nlast 2 lines:\n{harmless}\n{harmless}\nhint: {harmless}");
        assert_eq!(failure.text(), Some(expected.as_str()));
    }
}
