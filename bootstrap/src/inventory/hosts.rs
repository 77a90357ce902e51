//! From a roster to hosts: the layers of settings are folded into one, and what must be unique is compared.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    environments::Environments,
    model::{Connection, Environment, Escalation, GroupName, HostName, HostSpec, Limits, LoginPassword},
    network::{Delivery, Proxy},
    problems::Findings,
    roster::{Draft, Roster},
    routes::{self, Place, Unique},
    settings::{Conflict, GroupLayer, Layers, Settings},
    spans::{At, Table},
    tags::{self, MOST_TAGS},
};

const COMMAND: Duration = Duration::from_mins(10);
const HOST: Duration = Duration::from_mins(30);
const RETRIES: u32 = 2;

/// The settings that hosts are built from.
#[derive(Debug)]
pub(super) struct Sources<'s> {
    pub(super) defaults: &'s Settings<'s>,
    pub(super) groups: &'s [(&'s str, Settings<'s>)],
    pub(super) hosts: &'s [Settings<'s>],
    pub(super) environments: &'s Environments<'s>,
    /// Who runs this program.
    pub(super) operator: &'s str,
}

/// The hosts of a roster.
#[derive(Debug, Default)]
pub(super) struct Built {
    /// Those that are to be enrolled.
    pub(super) hosts: Vec<Arc<HostSpec>>,
    /// Those that only lead to others.
    pub(super) gates: Vec<Arc<HostSpec>>,
}

/// Every host of a roster; those with problems are missing.
pub(super) fn build(roster: &Roster<'_>, sources: &Sources<'_>, findings: &mut Findings<'_>) -> Built {
    let mut conflicts = BTreeSet::new();
    let mut built = Built::default();
    let mut unique = Unique::default();
    for draft in &roster.drafts {
        let groups = draft.groups.iter().filter_map(|index| sources.groups.get(*index));
        let mut layers = Layers {
            host: draft.entry.and_then(|index| sources.hosts.get(index)),
            groups: groups.map(|(name, settings)| GroupLayer { name, settings }).collect(),
            defaults: sources.defaults,
            conflicts: Vec::new(),
        };
        let place = Place::of(draft, &mut layers, findings);
        let enrol = layers.pick("enrol", |settings| settings.enrol.as_ref()).is_none_or(|enrol| enrol.value);
        if enrol {
            unique.check(&place, draft, findings);
        }
        let position = built.hosts.len() + 1;
        let local = (place == Place::Local).then_some(sources.operator);
        let mut host = host(draft, position, local, enrol, &mut layers, sources.environments, findings);
        let those = if enrol { &mut built.hosts } else { &mut built.gates };
        // Neighbours mostly have the same, and there are thousands.
        if let (Some(host), Some(previous)) = (&mut host, those.last())
            && host.tags == previous.tags
        {
            host.tags = Arc::clone(&previous.tags);
        }
        those.extend(host.map(Arc::new));
        for conflict in layers.conflicts {
            if conflicts.insert((conflict.key.to_owned(), conflict.groups, conflict.span)) {
                report_conflict(conflict, &draft.name, findings);
            }
        }
    }
    routes::check_ways(&built, &roster.drafts, findings);
    built
}

fn host<'s>(
    draft: &Draft<'_>,
    position: usize,
    local: Option<&str>,
    enrol: bool,
    layers: &mut Layers<'s>,
    environments: &'s Environments<'s>,
    findings: &mut Findings<'_>,
) -> Option<HostSpec> {
    let limits = Limits {
        connect: layers.pick("limits.connect", |settings| settings.connect.as_ref()).map(|limit| limit.value),
        command: layers
            .pick("limits.command", |settings| settings.command.as_ref())
            .map_or(COMMAND, |limit| limit.value),
        host: layers.pick("limits.host", |settings| settings.host.as_ref()).map_or(HOST, |limit| limit.value),
        retries: layers
            .pick("limits.retries", |settings| settings.retries.as_ref())
            .map_or(RETRIES, |number| number.value),
    };
    let escalation = layers.pick("become", |settings| settings.escalation.as_ref());
    let become_prompt = layers.pick("become_prompt", |settings| settings.become_prompt.as_ref());
    let port = layers.pick("port", |settings| settings.port.as_ref());
    let user = layers.pick("user", |settings| settings.user.as_ref());
    let identities = layers.pick("identity", |settings| settings.identities.as_ref());
    let jump = layers.pick("jump", |settings| settings.jump.as_ref());
    let password = layers.pick("ssh_password", |settings| settings.password.as_ref());
    let host_key = layers.pick("host_key", |settings| settings.host_key.as_ref());
    let known_hosts = layers.pick("known_hosts", |settings| settings.known_hosts.as_ref());
    let url = layers.pick("proxy", |settings| settings.proxy.as_ref());
    let except = layers.pick("no_proxy", |settings| settings.no_proxy.as_ref());
    let proxy = url
        .and_then(|url| url.value.clone())
        .map(|url| Proxy::new(url, except.map(|except| except.value.clone()).unwrap_or_default()));
    let deliver = layers.pick("deliver", |settings| settings.deliver.as_ref());
    let (environment, of_environment) = environment(draft, enrol, layers, environments, findings)?;
    if let Some(wish) =
        deliver.filter(|wish| enrol && wish.value == Delivery::Pull && !environment.package.is_on_the_web())
    {
        let source = environment.package.source.as_deref().unwrap_or("aws");
        let what =
            format!("host `{}` is to download its package, but {source:?} is on this machine", draft.name);
        let hint = "name a `source` that it can reach, \"aws\" or a URL, in [package] or its environment, or let `deliver` be \"push\"";
        findings.add(wish.span, what, hint.to_owned());
    }
    let host = HostSpec {
        name: HostName(draft.name.clone()),
        position,
        connection: if local.is_some() { Connection::Local } else { Connection::Ssh },
        address: if local.is_some() { "localhost".to_owned() } else { draft.address.clone() },
        port: port.map(|port| port.value),
        user: local.map(str::to_owned).or_else(|| user.map(|user| user.value.clone())),
        identities: identities.filter(|_| local.is_none()).map(|files| files.value.clone()),
        jump: jump.map(|jump| jump.value.clone()),
        password: password.is_some_and(|password| password.value == LoginPassword::Ask),
        escalation: escalation.map_or(Escalation::Sudo, |escalation| escalation.value),
        become_prompt: become_prompt.map(|words| words.value.clone()),
        deliver: deliver.map_or(Delivery::Push, |deliver| deliver.value),
        proxy,
        environment,
        groups: layers.groups.iter().map(|group| GroupName(group.name.to_owned())).collect(),
        tags: Arc::new(layers.tags(of_environment)),
        host_key: host_key.map(|policy| policy.value.clone()),
        known_hosts: known_hosts.map(|paths| paths.value.clone()),
        limits,
    };
    check_tags(&host, draft.origin, findings);
    Some(host)
}

fn environment<'s>(
    draft: &Draft<'_>,
    enrol: bool,
    layers: &mut Layers<'s>,
    environments: &'s Environments<'s>,
    findings: &mut Findings<'_>,
) -> Option<(Arc<Environment>, &'s Table<At<String>>)> {
    let found = if let Some(name) = layers.pick("environment", |settings| settings.environment.as_ref()) {
        environments.find(name, findings)
    } else if !enrol {
        environments.any()
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

fn report_conflict(conflict: Conflict<'_>, host: &str, findings: &mut Findings<'_>) {
    let Conflict { key, is_tag, groups: (first, second), span } = conflict;
    let key = if is_tag { format!("tag `{key}`") } else { format!("`{key}`") };
    let what = format!("groups `{first}` and `{second}` set {key} differently for host `{host}`");
    findings.add(span, what, "set it on the host itself, or in one of the groups only");
}
