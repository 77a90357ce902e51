//! From a roster to hosts: the layers of settings are folded into one, and what must be unique is compared.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use super::{
    environments::Environments,
    model::{Environment, Escalation, GroupName, HostKeyPolicy, HostName, HostSpec, Limits},
    problems::Findings,
    roster::{Draft, Roster},
    settings::{Conflict, GroupLayer, Layers, Settings},
    spans::{At, Table},
    tags::{self, MOST_TAGS},
};

const SSH_PORT: u16 = 22;
const CONNECT: Duration = Duration::from_secs(15);
const COMMAND: Duration = Duration::from_mins(10);
const HOST: Duration = Duration::from_mins(30);

/// The settings that hosts are built from.
#[derive(Debug)]
pub(super) struct Sources<'s> {
    pub(super) defaults: &'s Settings<'s>,
    pub(super) groups: &'s [(&'s str, Settings<'s>)],
    pub(super) hosts: &'s [Settings<'s>],
    pub(super) environments: &'s Environments<'s>,
}

/// Every host of a roster; those with problems are missing.
pub(super) fn build(
    roster: &Roster<'_>,
    sources: &Sources<'_>,
    findings: &mut Findings<'_>,
) -> Vec<Arc<HostSpec>> {
    let mut conflicts = BTreeSet::new();
    let mut hosts = Vec::new();
    let mut taken: HashMap<(String, u16), usize> = HashMap::new();
    let mut repeated = BTreeSet::new();
    for (index, draft) in roster.drafts.iter().enumerate() {
        let groups = draft.groups.iter().filter_map(|index| sources.groups.get(*index));
        let mut layers = Layers {
            host: draft.entry.and_then(|index| sources.hosts.get(index)),
            groups: groups.map(|(name, settings)| GroupLayer { name, settings }).collect(),
            defaults: sources.defaults,
            conflicts: Vec::new(),
        };
        let port = layers.pick("port", |settings| settings.port.as_ref()).map_or(SSH_PORT, |port| port.value);
        let first = *taken.entry((canonical(&draft.address), port)).or_insert(index);
        if let Some(other) = roster.drafts.get(first).filter(|_| first != index)
            && repeated.insert((other.origin.span, draft.origin.span))
        {
            report_same_address(draft, other, port, findings);
        }
        hosts.extend(host(draft, port, &mut layers, sources.environments, findings).map(Arc::new));
        for conflict in layers.conflicts {
            if conflicts.insert((conflict.key.to_owned(), conflict.groups, conflict.span)) {
                report_conflict(conflict, &draft.name, findings);
            }
        }
    }
    hosts
}

fn host<'s>(
    draft: &Draft<'_>,
    port: u16,
    layers: &mut Layers<'s>,
    environments: &'s Environments<'s>,
    findings: &mut Findings<'_>,
) -> Option<HostSpec> {
    let written = &draft.origin.value;
    let mut lacks = |key: &str, hint: &str| {
        if !findings.is_doubtful(key) {
            findings.add(draft.origin.span, format!("host `{written}` has no `{key}`"), hint);
        }
    };
    let user = layers.pick("user", |settings| settings.user.as_ref());
    if user.is_none() {
        lacks("user", "add `user` to [defaults], to one of its groups, or to the host");
    }
    let identities = layers.pick("identity", |settings| settings.identities.as_ref());
    if identities.is_none() {
        lacks(
            "identity",
            "add `identity`, the private key's file, to [defaults], to one of its groups, or to the host",
        );
    }
    let limits = Limits {
        connect: layers
            .pick("limits.connect", |settings| settings.connect.as_ref())
            .map_or(CONNECT, |limit| limit.value),
        command: layers
            .pick("limits.command", |settings| settings.command.as_ref())
            .map_or(COMMAND, |limit| limit.value),
        host: layers.pick("limits.host", |settings| settings.host.as_ref()).map_or(HOST, |limit| limit.value),
    };
    let escalation = layers.pick("become", |settings| settings.escalation.as_ref());
    let host_key = layers.pick("host_key", |settings| settings.host_key.as_ref());
    let known_hosts = layers.pick("known_hosts", |settings| settings.known_hosts.as_ref());
    let (environment, of_environment) = environment(draft, layers, environments, findings)?;
    let host = HostSpec {
        name: HostName(draft.name.clone()),
        address: draft.address.clone(),
        port,
        user: user?.value.clone(),
        identities: identities?.value.clone(),
        escalation: escalation.map_or(Escalation::Sudo, |escalation| escalation.value),
        environment,
        groups: layers.groups.iter().map(|group| GroupName(group.name.to_owned())).collect(),
        tags: layers.tags(of_environment),
        host_key: host_key.map_or(HostKeyPolicy::Strict, |policy| policy.value.clone()),
        known_hosts: known_hosts.map(|paths| paths.value.clone()).unwrap_or_default(),
        limits,
    };
    check_tags(&host, draft.origin, findings);
    Some(host)
}

fn environment<'s>(
    draft: &Draft<'_>,
    layers: &mut Layers<'s>,
    environments: &'s Environments<'s>,
    findings: &mut Findings<'_>,
) -> Option<(Arc<Environment>, &'s Table<At<String>>)> {
    let found = if let Some(name) = layers.pick("environment", |settings| settings.environment.as_ref()) {
        environments.find(name, findings)
    } else {
        let only = environments.only();
        if only.is_none() && !findings.is_doubtful("environment") && !findings.is_doubtful("environments") {
            let names: Vec<_> = environments.names().collect();
            let hint = if names.is_empty() {
                "define one: [environments.NAME] with `region` and `role`".to_owned()
            } else {
                format!(
                    "add `environment` to the host, a group or [defaults]; there are: {}",
                    names.join(", ")
                )
            };
            findings.add(
                draft.origin.span,
                format!("host `{}` has no environment", draft.origin.value),
                hint,
            );
        }
        only
    };
    let entry = found?;
    Some((entry.checked.clone()?, entry.tags))
}

fn check_tags(host: &HostSpec, origin: &At<String>, findings: &mut Findings<'_>) {
    if host.tags.len() > MOST_TAGS {
        let what = format!("host `{}` gets {} tags", origin.value, host.tags.len());
        let hint = format!("AWS takes 50, of which {MOST_TAGS} are yours; take some out");
        findings.add(origin.span, what, hint);
    }
    let name = host.environment.instance_name.render(host);
    if let Err(refusal) = tags::value(&name) {
        let what = format!("the `Name` of host `{}`: {}", origin.value, refusal.what);
        let environment = &host.environment.name;
        findings.add(
            origin.span,
            what,
            format!("change `instance_name` in [environments.{environment}]: {}", refusal.hint),
        );
    }
}

// One spelling per address, as far as that can be told without asking DNS.
fn canonical(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().to_string(),
        Err(_) => address.to_ascii_lowercase(),
    }
}

fn report_same_address(draft: &Draft<'_>, other: &Draft<'_>, port: u16, findings: &mut Findings<'_>) {
    let line = findings.line(other.origin.span);
    let what = format!(
        "host `{}` has the address of `{}` in line {line}: {} port {port}",
        draft.name, other.name, draft.address
    );
    findings.add(
        draft.address_origin,
        what,
        "one host would be enrolled twice: remove one, or correct its address",
    );
}

fn report_conflict(conflict: Conflict<'_>, host: &str, findings: &mut Findings<'_>) {
    let Conflict { key, is_tag, groups: (first, second), span } = conflict;
    let key = if is_tag { format!("tag `{key}`") } else { format!("`{key}`") };
    let what = format!("groups `{first}` and `{second}` set {key} differently for host `{host}`");
    findings.add(span, what, "set it on the host itself, or in one of the groups only");
}
