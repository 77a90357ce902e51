//! What went wrong, by cause: a fleet behind one dead link has one cause, not 200, though each host's says its own address.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{
    Beside, OUTCOMES,
    hosts::{header, row},
    spoken,
    strip::Clock,
};
use crate::{
    display::{clean, plural},
    events::Step,
    report::{
        FleetReport, HostReport,
        words::{Trouble, sign},
    },
};

/// More hosts of one cause are folded away, so that the next cause is still in sight.
const UNFOLDED: usize = 8;
/// The first of those are named.
const NAMED: usize = 5;

/// A host and what is wrong with it.
type Bad<'a> = (&'a HostReport, Trouble<'a>);

/// Hosts that are not good for what is the same reason.
struct Cause<'a> {
    word: &'static str,
    step: Option<Step>,
    /// The reason, with `…` where those of the hosts differ.
    why: String,
    /// What all of them are told to do.
    hint: Option<&'a str>,
    hosts: Vec<Bad<'a>>,
}

pub(super) fn section(report: &FleetReport, clock: Clock, beside: Beside<'_>) -> Markup {
    let causes = causes(report);
    let bad: usize = causes.iter().map(|cause| cause.hosts.len()).sum();
    html! {
        @if !causes.is_empty() {
            section #causes {
                h2 { (plural(bad, "host")) " not as wanted, " (plural(causes.len(), "cause")) }
                (header(clock))
                @for cause in &causes { (block(cause, clock, beside)) }
            }
        }
    }
}

fn block(cause: &Cause<'_>, clock: Clock, beside: Beside<'_>) -> Markup {
    let lines = shared(cause.hosts.iter().map(|(_, trouble)| trouble.text())).filter(|text| !text.is_empty());
    let hosts = html! {
        div.hosts {
            @for (host, trouble) in &cause.hosts {
                (row(host, clock, beside, &own_why(cause, trouble), &own(cause, trouble, lines.is_some())))
            }
        }
    };
    html! {
        div.cause.(cause.word) {
            h3 {
                span.sign.(cause.word) { (sign(cause.word)) } " "
                span.kind { (cause.hosts.len()) " " (cause.word) @if let Some(step) = cause.step { " in " (step) } }
                " " span.why { (spoken(&clean(&cause.why))) }
            }
            @if let Some(text) = &lines { pre tabindex="0" { (text) } }
            @if let Some(hint) = cause.hint { p.hint { (spoken(&clean(hint))) } }
            @if cause.hosts.len() > UNFOLDED {
                details.fold {
                    summary { (first_names(cause)) }
                    (hosts)
                }
            } @else {
                (hosts)
            }
        }
    }
}

fn first_names(cause: &Cause<'_>) -> String {
    let names: Vec<_> = cause.hosts.iter().take(NAMED).map(|(host, _)| host.host.as_str()).collect();
    format!("{} and {} more", names.join(", "), cause.hosts.len().saturating_sub(NAMED))
}

fn own_why(cause: &Cause<'_>, trouble: &Trouble<'_>) -> Markup {
    html! { @if trouble.why != cause.why { (spoken(&clean(trouble.why))) } }
}

/// What is not said of all hosts of the cause.
fn own(cause: &Cause<'_>, trouble: &Trouble<'_>, lines_are_shared: bool) -> Markup {
    let text = if lines_are_shared { String::new() } else { trouble.text() };
    html! {
        @if !text.is_empty() { pre tabindex="0" { (text) } }
        @if cause.hint.is_none() && !trouble.hint.is_empty() { p.hint { (spoken(&clean(trouble.hint))) } }
    }
}

/// What needs the operator most first: by outcome, then the causes of the most hosts.
fn causes(report: &FleetReport) -> Vec<Cause<'_>> {
    let mut groups: BTreeMap<(usize, Option<Step>, String), Vec<Bad<'_>>> = BTreeMap::new();
    for host in &report.hosts {
        let Some(trouble) = Trouble::of(&host.outcome) else { continue };
        let rank = OUTCOMES.iter().position(|word| *word == host.outcome.word()).unwrap_or(OUTCOMES.len());
        groups.entry((rank, trouble.step, pattern(host, trouble.why))).or_default().push((host, trouble));
    }
    let mut causes: Vec<_> = groups
        .into_iter()
        .map(|((rank, step, _), hosts)| {
            let whys: Vec<_> = hosts.iter().map(|(_, trouble)| trouble.why).collect();
            let hint = shared(hosts.iter().map(|(_, trouble)| trouble.hint)).filter(|hint| !hint.is_empty());
            Cause {
                word: OUTCOMES.get(rank).copied().unwrap_or("failed"),
                step,
                why: common(&whys),
                hint,
                hosts,
            }
        })
        .collect();
    let rank = |cause: &Cause<'_>| OUTCOMES.iter().position(|word| *word == cause.word);
    causes.sort_by_key(|cause| (rank(cause), std::cmp::Reverse(cause.hosts.len())));
    causes
}

/// A reason without what is only this host's: its name, and numbers, which are in addresses, ids and sizes.
fn pattern(host: &HostReport, why: &str) -> String {
    let why = why.replace(host.host.as_str(), "…");
    let mut pattern = String::with_capacity(why.len());
    for word in why.split_whitespace() {
        // Of an id or an address nothing but its kind is the same everywhere.
        let is_id = word.contains(|letter: char| letter.is_ascii_digit());
        let end =
            word.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric() || ".:-/".contains(letter));
        pattern.push_str(if is_id { end } else { word });
        pattern.push(' ');
    }
    pattern
}

/// The words that all have, with `…` for each that differs.
fn common(whys: &[&str]) -> String {
    let Some((first, rest)) = whys.split_first() else { return String::new() };
    if rest.iter().all(|why| why == first) {
        return (*first).to_owned();
    }
    let mut words: Vec<&str> = first.split_whitespace().collect();
    for why in rest {
        let others: Vec<_> = why.split_whitespace().collect();
        for (word, other) in words.iter_mut().zip(&others) {
            if word != other {
                *word = "…";
            }
        }
        words.truncate(others.len());
    }
    words.join(" ")
}

/// The value, if it is the same everywhere.
fn shared<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Outcome, table::sample};

    fn unreachable(name: &str, why: &str) -> HostReport {
        sample::host(name, "dev", Outcome::Unreachable { why: why.to_owned(), hint: "is it on?".to_owned() })
    }

    fn told(hosts: Vec<HostReport>) -> Vec<(&'static str, String, usize)> {
        let report = FleetReport { hosts, ..sample::good() };
        causes(&report).into_iter().map(|cause| (cause.word, cause.why, cause.hosts.len())).collect()
    }

    #[test]
    fn hosts_with_one_cause_are_together_though_each_says_its_own_address() {
        let mut hosts = vec![
            unreachable("pi-1", "connection to 10.0.0.4:22 timed out after 10 s"),
            unreachable("pi-2", "connection to fe80::1:22 timed out after 10 s"),
            unreachable("pi-3", "connection to 10.0.0.9:22 was refused"),
        ];
        hosts.extend(sample::mixed().hosts.into_iter().filter(|host| host.outcome.word() == "failed"));
        let expected = [
            ("failed", "`dpkg --install amazon-ssm-agent.deb` ended with exit code 1".to_owned(), 1),
            ("unreachable", "connection to … timed out after 10 s".to_owned(), 2),
            ("unreachable", "connection to 10.0.0.9:22 was refused".to_owned(), 1),
        ];
        assert_eq!(told(hosts), expected);
    }

    #[test]
    fn the_cause_of_most_hosts_comes_first_among_its_kind() {
        let hosts = ["a b", "c d", "c d"].map(|why| unreachable("x", why)).into();
        assert_eq!(told(hosts), [("unreachable", "c d".to_owned(), 2), ("unreachable", "a b".to_owned(), 1)]);
    }

    #[test]
    fn names_of_hosts_and_ids_do_not_part_what_belongs_together() {
        let clone = |host: &str, node: &str, other: &str| {
            unreachable(host, &format!("{host}: its vault names {node}, as the vault of {other} does"))
        };
        let hosts = vec![clone("pi-1", "mi-0abc1", "pi-7"), clone("pi-2", "mi-9ffe1", "pi-8")];
        assert_eq!(
            told(hosts),
            [("unreachable", "… its vault names … as the vault of … does".to_owned(), 2)]
        );
    }
}
