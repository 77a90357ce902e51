use std::collections::BTreeSet;

use super::*;
use crate::{
    events::{RunId, Step},
    inventory::{EnvironmentName, HostName},
    report::{Outcome, StepTime, table::sample},
};

/// Whatever ends an element, an attribute, a comment or a script where it was not to end.
const HOSTILE: &str =
    "</pre></details></script><script>alert(1)</script><!-- \" onload='alert(1)' \u{2028}\u{1b}[2J\u{0}&lt;";
const HARMLESS: &str = "&lt;/pre&gt;&lt;/details&gt;&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;!-- \
                        &quot; onload='alert(1)' \u{2028}&amp;lt;";

fn page(report: &FleetReport) -> String {
    render(report, Beside::NOTHING)
}

fn count(page: &str, text: &str) -> usize {
    page.matches(text).count()
}

#[test]
fn every_host_is_on_the_page_once_and_those_that_are_not_good_come_first() {
    let page = page(&sample::mixed());
    for name in ["deb-1", "deb-2", "deb-3", "rpm-1", "rpm-2", "rpm-3"] {
        assert_eq!(count(&page, &format!("<span class=\"name\">{name}</span>")), 1, "{name}");
    }
    assert_eq!(count(&page, "<details class=\"host\""), 6);
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} in {page}"));
    let order =
        ["deb-2</span>", "rpm-2</span>", "deb-3</span>", "rpm-3</span>", "deb-1</span>", "rpm-1</span>"];
    assert!(order.map(place).is_sorted(), "failed, registered, unreachable, skipped, and then the good ones");
}

#[test]
fn what_is_not_good_has_its_cause_its_last_lines_and_its_remedy() {
    let page = page(&sample::mixed());
    assert!(page.contains("✗ 4 of 6 hosts not online"), "{page}");
    assert!(page.contains("1 failed in install"), "{page}");
    let why = "<code>dpkg --install amazon-ssm-agent.deb</code> ended with exit code 1";
    assert_eq!(count(&page, why), 1, "said once, since there is one host");
    assert!(page.contains(">dpkg: error: failed to write\nNo space left on device</pre>"), "{page}");
    assert!(page.contains("<p class=\"hint\">free space in /var and run again</p>"), "{page}");
    assert!(
        page.contains("1 activation could not be deleted: 6a2f1c1e-8b8e-4a51-9d3c-0123456789ab."),
        "{page}"
    );
}

#[test]
fn a_host_shows_its_steps_with_their_times_and_what_was_done() {
    let page = page(&sample::good());
    for text in [
        "<li class=\"p\">install 3.6 s</li>",
        "<li class=\"w\">online 1.2 s</li>",
        "began 0.0 s into the run, 4 commands",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    assert!(page.contains("<rect class=\"p\" x=\"1200\" width=\"3600\">"), "{page}");
    assert!(page.contains("<li>register with activation</li>"), "{page}");
    assert!(page.contains("✓ 2 hosts, all online") && !page.contains("id=\"causes\""), "{page}");
}

#[test]
fn hostile_text_is_only_ever_text() {
    let mut report = sample::mixed();
    let text = || HOSTILE.to_owned();
    report.run = RunId::from_text(text());
    report.merged = vec![RunId::from_text(text())];
    report.inventory.path = HOSTILE.into();
    report.activations_left = vec![text()];
    let outcomes = [
        Outcome::Failed { step: Step::Install, why: text(), lines: vec![text(), text()], hint: text() },
        Outcome::Failed { step: Step::Install, why: text() + " `x", lines: Vec::new(), hint: String::new() },
        Outcome::Registered { why: text(), hint: text() },
        Outcome::Unreachable { why: text(), hint: text() },
        Outcome::Skipped { why: text() },
        Outcome::Online { changed: true },
    ];
    for (host, outcome) in report.hosts.iter_mut().zip(outcomes) {
        // The inventory refuses such names; the page does not count on it.
        host.host = HostName::sample(HOSTILE);
        host.environment = EnvironmentName::sample(HOSTILE);
        host.node = Some(text());
        host.actions = vec![text()];
        host.outcome = outcome;
    }
    let page = render(&report, Beside { has_log: &|_| true, has_failed: true });
    assert!(page.contains(&format!(">{HARMLESS}\n{HARMLESS}</pre>")), "{page}");
    for text in ["<script", "</script", "<style", "</style", "<body", "</body"] {
        assert_eq!(count(&page, text), 1, "{text}");
    }
    for text in ["<!--", "\u{1b}", "\u{0}", "<script>alert", "\" onload"] {
        assert_eq!(count(&page, text), 0, "{text:?}");
    }
    assert_eq!(count(&page, "<pre"), count(&page, "</pre"));
    assert_eq!(count(&page, "<details"), count(&page, "</details"));
}

#[test]
fn the_page_fetches_nothing_and_runs_only_its_own_script() {
    let page = page(&sample::mixed());
    for text in ["http:", "https:", " src=", "@import", "url(", " style=", " onclick="] {
        assert_eq!(count(&page, text), 0, "{text}");
    }
    assert!(page.contains("default-src 'none'; style-src 'sha256-"), "{page}");
    // The text of a script is not unescaped by a browser: nothing in it may look like its end.
    assert!(page.contains(SCRIPT) && page.contains(STYLE));
}

#[test]
fn only_what_lies_beside_the_page_is_led_to() {
    let report = sample::mixed();
    let alone = page(&report);
    assert_eq!(count(&alone, "href="), 0);
    let beside = render(&report, Beside { has_log: &|name| name == "deb-2.log", has_failed: true });
    assert_eq!(count(&beside, "href="), 2);
    assert!(beside.contains("<a href=\"./logs/deb-2.log\">") && beside.contains("<a href=\"failed.toml\">"));
}

#[test]
fn every_kind_of_step_has_a_colour_and_a_place_in_the_legend() {
    let mut report = sample::good();
    let steps = [
        Step::Retry,
        Step::Connect,
        Step::Observe,
        Step::Plan,
        Step::Fetch,
        Step::Upload,
        Step::Install,
        Step::Configure,
        Step::Register,
        Step::Start,
        Step::Check,
        Step::Online,
        Step::Repair,
        Step::Tag,
    ];
    let time = |step| StepTime { step, began: report.elapsed, ended: report.elapsed };
    report.hosts[0].timeline = steps.map(time).into();
    let page = page(&report);
    let classes: BTreeSet<_> = steps.map(|step| Phase::of(step).class()).into();
    for class in classes {
        assert!(STYLE.contains(&format!("svg .{class} {{ fill: var(--{class}); }}")), "{class}");
        assert!(page.contains(&format!("<li class=\"{class}\">")), "{class}");
    }
}

#[test]
fn an_empty_an_interrupted_and_a_dry_run_say_so() {
    let mut report = sample::dry();
    report.interrupted = true;
    let dry = page(&report);
    assert!(
        dry.contains("bootstrap, a dry run") && dry.contains("1 of 3 hosts not planned, interrupted"),
        "{dry}"
    );
    report.hosts.clear();
    report.inventory.hosts = 3;
    let none = page(&report);
    assert!(none.contains("0 hosts, all planned, interrupted"), "{none}");
    assert!(none.contains("Of the inventory’s 3 hosts, 3 are not in this report."), "{none}");
}
