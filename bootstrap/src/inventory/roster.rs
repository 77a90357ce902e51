//! Which hosts there are: ranges expanded, groups joined, names unique. Their settings come later.

use std::collections::{BTreeSet, HashMap};

use super::{
    addresses,
    problems::{Findings, did_you_mean},
    ranges::{self, MOST_HOSTS},
    raw::{RawGroup, RawHost},
    spans::{At, Span, Table},
};

/// A host before its settings are known.
#[derive(Debug)]
pub(super) struct Draft<'r> {
    pub(super) name: String,
    pub(super) address: String,
    /// The name as written, maybe a range: what to point at.
    pub(super) origin: &'r At<String>,
    /// The address as written, if it is.
    pub(super) address_origin: Span,
    /// Its place among the `[[hosts]]`, if it is there.
    pub(super) entry: Option<usize>,
    /// Places among the groups.
    pub(super) groups: BTreeSet<usize>,
}

/// The names of a fleet.
#[derive(Debug, Default)]
pub(super) struct Roster<'r> {
    pub(super) drafts: Vec<Draft<'r>>,
    by_name: HashMap<String, usize>,
}

impl<'r> Roster<'r> {
    /// Expands entries and groups, and reports what is wrong with their names.
    pub(super) fn read(
        hosts: &'r [RawHost],
        groups: &'r Table<RawGroup>,
        findings: &mut Findings<'_>,
    ) -> Self {
        let mut roster = Self::default();
        let mut repeated = BTreeSet::new();
        for (index, raw) in hosts.iter().enumerate() {
            for draft in drafts(raw, index, groups, findings) {
                roster.add(draft, &mut repeated, findings);
            }
        }
        for (index, (name, group)) in groups.0.iter().enumerate() {
            if addresses::host_name(&name.value).is_err() {
                let what = format!("{:?} can't be the name of a group", name.value);
                findings.add(name.span, what, "letters, digits, hyphens, underscores and dots");
            }
            for pattern in &group.hosts {
                roster.join(pattern, index, groups, findings);
            }
        }
        let is_empty = hosts.is_empty() && groups.0.iter().all(|(_, group)| group.hosts.is_empty());
        if is_empty && !findings.is_doubtful("hosts") && !findings.is_doubtful("groups") {
            findings.add_for_file("there are no hosts", "add some: [[hosts]] with `name` and `address`");
        }
        roster
    }

    fn has_room(&self, more: usize, span: Span, findings: &mut Findings<'_>) -> bool {
        let fits = self.drafts.len() + more <= MOST_HOSTS;
        if !fits {
            let what = format!("with these, there are more than {MOST_HOSTS} hosts");
            findings.add(span, what, "split the inventory");
        }
        fits
    }

    fn add(&mut self, draft: Draft<'r>, repeated: &mut BTreeSet<(usize, Span)>, findings: &mut Findings<'_>) {
        if let Some(first) =
            self.by_name.get(&draft.name).and_then(|index| Some((*index, self.drafts.get(*index)?)))
        {
            let (index, line) = (first.0, findings.line(first.1.origin.span));
            // One line for a range that overlaps another in many names.
            if repeated.insert((first.1.entry.unwrap_or(index), draft.origin.span)) {
                let what = format!("host `{}` is already defined in line {line}", draft.name);
                findings.add(draft.origin.span, what, "a name is one host: rename or remove one of them");
            }
            return;
        }
        if self.has_room(1, draft.origin.span, findings) {
            self.by_name.insert(draft.name.clone(), self.drafts.len());
            self.drafts.push(draft);
        }
    }

    fn join(
        &mut self,
        pattern: &'r At<String>,
        group: usize,
        groups: &Table<RawGroup>,
        findings: &mut Findings<'_>,
    ) {
        for name in expanded(pattern, findings) {
            if let Some(draft) = self.by_name.get(&name).and_then(|index| self.drafts.get_mut(*index)) {
                draft.groups.insert(group);
                continue;
            }
            if groups.0.iter().any(|(group, _)| group.value == name) {
                let hint = format!("list the hosts of `{name}`; groups have no groups");
                findings.add(pattern.span, format!("`{name}` is a group, and no host"), hint);
                return;
            }
            if findings.accept(pattern.span, addresses::host_name(&name)).is_none()
                || findings.accept(pattern.span, addresses::address(&name)).is_none()
                || !self.has_room(1, pattern.span, findings)
            {
                return;
            }
            self.by_name.insert(name.clone(), self.drafts.len());
            self.drafts.push(Draft {
                address: name.clone(),
                name,
                origin: pattern,
                address_origin: pattern.span,
                entry: None,
                groups: [group].into(),
            });
        }
    }
}

fn expanded(pattern: &At<String>, findings: &mut Findings<'_>) -> Vec<String> {
    match ranges::expand(&pattern.value) {
        Ok(texts) => texts,
        Err(error) => {
            findings.add(pattern.span, error.to_string(), error.hint());
            Vec::new()
        }
    }
}

fn drafts<'r>(
    raw: &'r RawHost,
    entry: usize,
    all_groups: &Table<RawGroup>,
    findings: &mut Findings<'_>,
) -> Vec<Draft<'r>> {
    let groups = member_of(&raw.groups, all_groups, findings);
    let address_origin = raw.address.as_ref().or(raw.name.as_ref()).map(|text| text.span);
    let addresses = raw.address.as_ref().map(|pattern| expanded(pattern, findings));
    let (Some(origin), Some(address_origin)) = (&raw.name, address_origin) else { return Vec::new() };
    let names = expanded(origin, findings);
    if let Some(addresses) = &addresses
        && addresses.len() != names.len()
        // An empty one has been reported.
        && !addresses.is_empty()
        && !names.is_empty()
    {
        let addresses = count(addresses.len(), "address", "addresses");
        let what = format!("{addresses} for {}", count(names.len(), "name", "names"));
        findings.add(address_origin, what, "give `address` a range as long as that of `name`");
    }
    let addresses =
        addresses.filter(|addresses| addresses.len() == names.len()).unwrap_or_else(|| names.clone());
    let mut drafts = Vec::new();
    for (name, address) in names.into_iter().zip(addresses) {
        // The first of a range that is refused speaks for the others.
        if findings.accept(origin.span, addresses::host_name(&name)).is_none() {
            break;
        }
        let Some(address) = findings.accept(address_origin, addresses::address(&address)) else { break };
        drafts.push(Draft {
            name,
            address,
            origin,
            address_origin,
            entry: Some(entry),
            groups: groups.clone(),
        });
    }
    drafts
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn member_of(names: &[At<String>], groups: &Table<RawGroup>, findings: &mut Findings<'_>) -> BTreeSet<usize> {
    let known = || groups.0.iter().map(|(name, _)| name.value.as_str());
    let mut members = BTreeSet::new();
    for name in names {
        match known().position(|known| known == name.value) {
            Some(index) => drop(members.insert(index)),
            None if findings.is_doubtful(&name.value) || findings.is_doubtful("groups") => {}
            None => {
                let hint = did_you_mean(&name.value, known())
                    .unwrap_or_else(|| format!("define it: [groups.{}]", name.value));
                findings.add(name.span, format!("unknown group `{}`", name.value), hint);
            }
        }
    }
    members
}
