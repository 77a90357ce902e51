//! What went wrong, by cause: a fleet behind one dead link has one cause, not 200, though each host's says its own address.
//! The table and the page both say it so.

use std::collections::BTreeMap;

use super::{
    FleetReport, HostReport,
    words::{OUTCOMES, Trouble},
};
use crate::events::Step;

/// A host and what is wrong with it.
pub(super) type Bad<'a> = (&'a HostReport, Trouble<'a>);

/// Hosts that are not good for what is the same reason.
pub(super) struct Cause<'a> {
    pub(super) word: &'static str,
    pub(super) step: Option<Step>,
    /// The reason, with `…` where those of the hosts differ.
    pub(super) why: String,
    /// What all of them are told to do.
    pub(super) hint: Option<&'a str>,
    pub(super) hosts: Vec<Bad<'a>>,
}

impl Cause<'_> {
    /// The last lines of its hosts, if they are the same on all.
    pub(super) fn lines(&self) -> Option<String> {
        shared(self.hosts.iter().map(|(_, trouble)| trouble.text())).filter(|text| !text.is_empty())
    }
}

/// What needs the operator most first: by outcome, then the causes of the most hosts.
pub(super) fn causes(report: &FleetReport) -> Vec<Cause<'_>> {
    let mut groups: BTreeMap<(usize, Option<Step>, [String; 3]), Vec<Bad<'_>>> = BTreeMap::new();
    for host in &report.hosts {
        let Some(trouble) = Trouble::of(&host.outcome) else { continue };
        let rank = OUTCOMES.iter().position(|word| *word == host.outcome.word()).unwrap_or(OUTCOMES.len());
        // One program may end in the same way for many reasons: what it said last tells them apart, and what helps.
        let last = trouble.lines.last().map_or("", String::as_str);
        let pattern = [trouble.why, trouble.hint, last].map(|text| pattern(host, text));
        groups.entry((rank, trouble.step, pattern)).or_default().push((host, trouble));
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

/// The words that all have, with `…` for each that differs; of `KEY=VALUE` for the value, and what follows a word stays.
pub(super) fn common(whys: &[&str]) -> String {
    let Some((first, rest)) = whys.split_first() else { return String::new() };
    if rest.iter().all(|why| why == first) {
        return (*first).to_owned();
    }
    let mut words: Vec<_> = first.split_whitespace().map(str::to_owned).collect();
    for why in rest {
        let others: Vec<_> = why.split_whitespace().collect();
        for (word, other) in words.iter_mut().zip(&others) {
            if word != other {
                *word = blurred(word, other);
            }
        }
        words.truncate(others.len());
    }
    words.join(" ")
}

/// What two words have in common: a key and its `=`, and a mark at the end.
fn blurred(word: &str, other: &str) -> String {
    let key = word.split_inclusive('=').next().filter(|key| key.ends_with('=') && other.starts_with(key));
    let mark = [',', ':', ';'].into_iter().find(|mark| word.ends_with(*mark) && other.ends_with(*mark));
    format!("{}…{}", key.unwrap_or_default(), mark.map(String::from).unwrap_or_default())
}

/// The value, if it is the same everywhere.
pub(super) fn shared<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
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

    #[test]
    fn what_a_program_said_last_parts_what_ended_in_the_same_way() {
        let failed = |name: &str, last: &str| {
            let lines = vec![format!("{name}: 12:00:01 installing"), last.to_owned()];
            let why = "`apply` ended with exit code 1".to_owned();
            sample::host(
                name,
                "dev",
                Outcome::Failed { step: Step::Install, why, lines, hint: String::new() },
            )
        };
        let hosts = vec![
            failed("pi-1", "pi-1: process 811 has the lock"),
            failed("pi-2", "No space left on device"),
            failed("pi-3", "pi-3: process 4 has the lock"),
        ];
        let report = FleetReport { hosts, ..sample::good() };
        let causes = causes(&report);
        assert_eq!(causes.iter().map(|cause| cause.hosts.len()).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(causes[0].lines(), None, "each has its own");
        assert!(causes[1].lines().unwrap().ends_with("\nNo space left on device"));
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
            [("unreachable", "…: its vault names …, as the vault of … does".to_owned(), 2)]
        );
    }
}
