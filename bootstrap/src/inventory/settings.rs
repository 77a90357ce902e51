//! The settings that defaults, groups and hosts share, checked, and how their layers fall into one: the host's own,
//! else its groups', else the defaults. Groups have no order, so two that disagree about a host are a problem.

use std::{path::PathBuf, time::Duration};

use super::{
    addresses,
    files::Base,
    model::{Connection, Escalation, HostKeyPolicy, JumpHost, LoginPassword},
    network::{self, Delivery},
    problems::Findings,
    raw::RawSettings,
    spans::{At, Span, Table},
    tags, terms,
};

/// One layer. A value that was refused is absent; nothing is made of an inventory with problems.
#[derive(Debug)]
pub(super) struct Settings<'r> {
    pub(super) connection: Option<At<Connection>>,
    pub(super) enrol: Option<At<bool>>,
    pub(super) user: Option<At<String>>,
    pub(super) port: Option<At<u16>>,
    pub(super) identities: Option<At<Vec<PathBuf>>>,
    pub(super) jump: Option<At<Vec<JumpHost>>>,
    pub(super) password: Option<At<LoginPassword>>,
    pub(super) escalation: Option<At<Escalation>>,
    pub(super) become_prompt: Option<At<String>>,
    pub(super) deliver: Option<At<Delivery>>,
    pub(super) proxy: Option<At<Option<String>>>,
    pub(super) no_proxy: Option<At<Vec<String>>>,
    pub(super) environment: Option<At<String>>,
    pub(super) host_key: Option<At<HostKeyPolicy>>,
    pub(super) known_hosts: Option<At<Vec<PathBuf>>>,
    pub(super) connect: Option<At<Duration>>,
    pub(super) command: Option<At<Duration>>,
    pub(super) host: Option<At<Duration>>,
    pub(super) retries: Option<At<u32>>,
    pub(super) tags: &'r Table<At<String>>,
}

impl<'r> Settings<'r> {
    pub(super) fn read(raw: RawSettings<'r>, base: &Base, findings: &mut Findings<'_>) -> Self {
        tags::check(raw.tags, findings);
        if let Some(user) = raw.user {
            findings.accept(user.span, addresses::user(&user.value));
        }
        if let Some(words) = raw.become_prompt {
            findings.accept(words.span, terms::prompt(&words.value));
        }
        let mut limit = |text: &Option<At<String>>| {
            let text = text.as_ref()?;
            findings.accept(text.span, terms::duration(&text.value)).map(|limit| text.with(limit))
        };
        let (connect, command, host) =
            (limit(&raw.limits.connect), limit(&raw.limits.command), limit(&raw.limits.host));
        let retries = raw.limits.retries.as_ref().and_then(|number| {
            findings.accept(number.span, terms::retries(number.value)).map(|()| number.clone())
        });
        Self {
            connect,
            command,
            host,
            retries,
            connection: raw.connection.cloned(),
            enrol: raw.enrol.cloned(),
            user: raw.user.cloned(),
            port: raw.port.cloned(),
            identities: raw
                .identity
                .map(|texts| At { value: base.identities(texts, findings), span: texts.span }),
            jump: raw.jump.map(|texts| At { value: addresses::jumps(texts, findings), span: texts.span }),
            password: raw.ssh_password.cloned(),
            escalation: raw.r#become.cloned(),
            become_prompt: raw.become_prompt.cloned(),
            deliver: raw.deliver.cloned(),
            proxy: raw.proxy.and_then(|text| {
                findings.accept(text.span, network::proxy(&text.value)).map(|url| text.with(url))
            }),
            no_proxy: raw
                .no_proxy
                .map(|texts| At { value: network::exceptions(texts, findings), span: texts.span }),
            environment: raw.environment.cloned(),
            host_key: raw.host_key.and_then(|text| {
                findings.accept(text.span, addresses::host_key(&text.value)).map(|policy| text.with(policy))
            }),
            known_hosts: raw.known_hosts.map(|texts| At {
                value: base.all_readable(texts, "known_hosts", findings),
                span: texts.span,
            }),
            tags: raw.tags,
        }
    }
}

impl Settings<'_> {
    /// What is said here of SSH, and where.
    pub(super) fn about_ssh(&self) -> impl Iterator<Item = (&'static str, Span)> {
        let all = [
            ("port", self.port.as_ref().map(|value| value.span)),
            ("user", self.user.as_ref().map(|value| value.span)),
            ("identity", self.identities.as_ref().map(|value| value.span)),
            ("jump", self.jump.as_ref().map(|value| value.span)),
            ("ssh_password", self.password.as_ref().map(|value| value.span)),
            ("host_key", self.host_key.as_ref().map(|value| value.span)),
            ("known_hosts", self.known_hosts.as_ref().map(|value| value.span)),
        ];
        all.into_iter().filter_map(|(key, span)| Some((key, span?)))
    }
}

/// A group and its settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupLayer<'s> {
    pub(super) name: &'s str,
    pub(super) settings: &'s Settings<'s>,
}

/// Two groups that disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Conflict<'s> {
    pub(super) key: &'s str,
    pub(super) is_tag: bool,
    pub(super) groups: (&'s str, &'s str),
    /// Where the second one says so.
    pub(super) span: Span,
}

/// The layers that one host lies under.
#[derive(Debug)]
pub(super) struct Layers<'s> {
    pub(super) host: Option<&'s Settings<'s>>,
    pub(super) groups: Vec<GroupLayer<'s>>,
    pub(super) defaults: &'s Settings<'s>,
    pub(super) conflicts: Vec<Conflict<'s>>,
}

impl<'s> Layers<'s> {
    /// The value that holds.
    pub(super) fn pick<T: PartialEq>(
        &mut self,
        key: &'static str,
        get: impl Fn(&'s Settings<'s>) -> Option<&'s At<T>>,
    ) -> Option<&'s At<T>> {
        if let Some(own) = self.host.and_then(&get) {
            return Some(own);
        }
        let mut of_groups: Option<(&'s str, &'s At<T>)> = None;
        for group in &self.groups {
            let Some(value) = get(group.settings) else { continue };
            match of_groups {
                Some((other, first)) if first.value != value.value => {
                    self.conflicts.push(Conflict {
                        key,
                        is_tag: false,
                        groups: (other, group.name),
                        span: value.span,
                    });
                }
                Some(_) => {}
                None => of_groups = Some((group.name, value)),
            }
        }
        of_groups.map(|(_, value)| value).or_else(|| get(self.defaults))
    }

    /// Every layer, the host's own first.
    pub(super) fn all(&self) -> impl Iterator<Item = &'s Settings<'s>> {
        self.host.into_iter().chain(self.groups.iter().map(|group| group.settings)).chain([self.defaults])
    }

    /// The tags that hold: defaults, environment, groups, host, the later ones winning.
    pub(super) fn tags(&mut self, of_environment: &'s Table<At<String>>) -> super::model::Tags {
        let mut all = super::model::Tags::new();
        let own = self.host.map(|host| host.tags);
        for (key, value) in self.defaults.tags.0.iter().chain(&of_environment.0) {
            all.insert(key.value.clone(), value.value.clone());
        }
        let mut of_groups: std::collections::BTreeMap<&str, (&str, &str)> = std::collections::BTreeMap::new();
        for group in &self.groups {
            for (key, value) in &group.settings.tags.0 {
                let (first, decided) = *of_groups.entry(&key.value).or_insert((group.name, &value.value));
                let is_overridden =
                    own.is_some_and(|own| own.0.iter().any(|(own_key, _)| own_key.value == key.value));
                if decided != value.value && !is_overridden {
                    let groups = (first, group.name);
                    self.conflicts.push(Conflict { key: &key.value, is_tag: true, groups, span: value.span });
                }
            }
        }
        all.extend(of_groups.into_iter().map(|(key, (_, value))| (key.to_owned(), value.to_owned())));
        all.extend(
            own.into_iter()
                .flat_map(|own| &own.0)
                .map(|(key, value)| (key.value.clone(), value.value.clone())),
        );
        all
    }
}
