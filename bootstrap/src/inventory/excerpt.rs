//! A part of an inventory as an inventory of its own, every setting in full: what `failed.toml` is. It belongs to the format
//! of the file, and what is written here must be read back as the same hosts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf, absolute},
};

use super::{
    model::{
        ActivationSource, Connection, Environment, HostName, HostSpec, Inventory, JumpHost, Tags, TextSource,
    },
    network::Delivery,
    show::{duration, escalation_text, host_key_text},
    wish::{PackageWish, VerifyWish},
};
use crate::display::clean;

/// A path that TOML, which is UTF-8, cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("path {} is not UTF-8, and an inventory is", .0.display())]
pub struct NotUtf8(pub PathBuf);

/// Keys and their values, as they are written.
type Settings = Vec<(&'static str, String)>;

impl Inventory {
    /// The hosts that have remarks as an inventory, which can be read from anywhere on this machine: paths are absolute,
    /// and nothing is taken over from groups any more. `head` and the remarks become comments.
    pub fn excerpt(
        &self,
        head: &[String],
        remarks: &BTreeMap<&HostName, Vec<String>>,
    ) -> Result<String, NotUtf8> {
        let hosts: Vec<&HostSpec> =
            self.hosts.iter().map(AsRef::as_ref).filter(|host| remarks.contains_key(&host.name)).collect();
        let gates = self.on_the_way_to(&hosts);
        let all = || hosts.iter().chain(&gates);
        let settings: Vec<Settings> = all().map(|host| settings(host)).collect::<Result<_, _>>()?;
        let by_ssh = all().filter(|host| host.connection == Connection::Ssh).count();
        let shared = shared(&settings, by_ssh);
        let mut text = String::new();
        comments(&mut text, head);
        text.push_str("\n[defaults]\n");
        line(&mut text, "concurrency", &self.concurrency.to_string());
        if let Some(limit) = self.run_within {
            line(&mut text, "run_within", &quoted(&duration(limit)));
        }
        for (key, value) in &shared {
            line(&mut text, key, value);
        }
        let used: BTreeSet<_> = hosts.iter().map(|host| &host.environment.name).collect();
        for environment in self.environments.values().filter(|environment| used.contains(&environment.name)) {
            write_environment(&mut text, environment)?;
        }
        for group in hosts.iter().flat_map(|host| &host.groups).collect::<BTreeSet<_>>() {
            write!(text, "\n[groups.{}]\n", quoted(group.as_str())).ok();
        }
        for (host, settings) in hosts.iter().zip(&settings) {
            text.push_str("\n[[hosts]]\n");
            comments(&mut text, remarks.get(&host.name).map_or(&[], Vec::as_slice));
            write_membership(&mut text, host);
            write_settings(&mut text, settings.iter().filter(|setting| !shared.contains(setting)));
            let of_environment = &host.environment.tags;
            write_tags(
                &mut text,
                host.tags.iter().filter(|(key, value)| of_environment.get(*key) != Some(*value)),
            );
        }
        for (gate, settings) in gates.iter().zip(settings.iter().skip(hosts.len())) {
            text.push_str("\n[[hosts]]\n");
            comments(&mut text, &["others are reached through it".to_owned()]);
            write_place(&mut text, gate);
            line(&mut text, "enrol", "false");
            write_settings(&mut text, settings.iter().filter(|setting| !shared.contains(setting)));
        }
        Ok(text)
    }

    /// Hosts of the inventory that lead to those and are not among them, and what leads to them in turn.
    fn on_the_way_to<'i>(&'i self, hosts: &[&'i HostSpec]) -> Vec<&'i HostSpec> {
        let known: BTreeMap<&str, &HostSpec> =
            self.hosts.iter().chain(&self.gates).map(|host| (host.name.as_str(), host.as_ref())).collect();
        let mut found: BTreeSet<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        let mut gates = Vec::new();
        let mut open: Vec<&HostSpec> = hosts.to_vec();
        while let Some(host) = open.pop() {
            for jump in host.jump.iter().flatten() {
                if let Some(gate) =
                    known.get(jump.name.as_str()).filter(|gate| found.insert(gate.name.as_str()))
                {
                    gates.push(*gate);
                    open.push(gate);
                }
            }
        }
        gates.sort_by_key(|gate| &gate.name);
        gates
    }
}

/// What `[defaults]` may say as well. Taken apart in full: a setting that is added must not be forgotten here.
fn settings(host: &HostSpec) -> Result<Settings, NotUtf8> {
    let HostSpec {
        name: _,
        position: _,
        connection,
        address: _,
        port,
        user,
        identities,
        jump,
        password,
        escalation,
        become_prompt,
        deliver,
        proxy,
        environment: _,
        groups: _,
        tags: _,
        host_key,
        known_hosts,
        limits,
    } = host;
    let mut settings = Vec::new();
    if *connection == Connection::Ssh {
        // What is not said stays unsaid: the SSH configuration may say it.
        settings.extend(user.as_ref().map(|user| ("user", quoted(user))));
        settings.extend(port.map(|port| ("port", port.to_string())));
        if let Some(identities) = identities {
            settings.push(("identity", paths(identities)?));
        }
        settings.extend(jump.as_ref().map(|jump| ("jump", jump_text(jump))));
        if *password {
            settings.push(("ssh_password", quoted("ask")));
        }
        settings.extend(host_key.as_ref().map(|policy| ("host_key", quoted(host_key_text(policy)))));
        if let Some(known_hosts) = known_hosts {
            settings.push(("known_hosts", paths(known_hosts)?));
        }
        settings.extend(limits.connect.map(|limit| ("limits.connect", quoted(&duration(limit)))));
    }
    settings.push(("become", quoted(escalation_text(*escalation))));
    if let Some(words) = become_prompt {
        settings.push(("become_prompt", quoted(words)));
    }
    if *deliver == Delivery::Pull {
        settings.push(("deliver", quoted("pull")));
    }
    if let Some(proxy) = proxy {
        settings.push(("proxy", quoted(proxy.url())));
        let except: Vec<_> = proxy.except().iter().map(|item| quoted(item)).collect();
        if !except.is_empty() {
            settings.push(("no_proxy", format!("[{}]", except.join(", "))));
        }
    }
    for (key, limit) in [("limits.command", limits.command), ("limits.host", limits.host)] {
        settings.push((key, quoted(&duration(limit))));
    }
    settings.push(("limits.retries", limits.retries.to_string()));
    Ok(settings)
}

/// What a local host takes from `[defaults]`, too, unless it says otherwise.
const FOR_EVERY_HOST: [&str; 4] = ["become_prompt", "deliver", "proxy", "no_proxy"];

/// What all say alike who say it, if there are several.
fn shared(all: &[Settings], by_ssh: usize) -> Settings {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, value) in all.iter().flatten() {
        values.entry(key).or_default().insert(value);
    }
    // One host without the key, and it would get what was not meant for it; but what is about SSH is not for a local one.
    let everywhere = |key: &str| all.iter().filter(|own| own.iter().any(|(known, _)| *known == key)).count();
    let is_shared = |(key, _): &&(&'static str, String)| {
        values.get(key).is_some_and(|values| values.len() == 1)
            && everywhere(key) >= if FOR_EVERY_HOST.contains(key) { all.len() } else { by_ssh }
    };
    let longest = all.iter().max_by_key(|settings| settings.len()).filter(|_| all.len() > 1);
    longest.into_iter().flatten().filter(is_shared).cloned().collect()
}

fn write_environment(text: &mut String, environment: &Environment) -> Result<(), NotUtf8> {
    let Environment {
        name,
        region,
        role,
        profile,
        tags,
        instance_name,
        endpoint,
        agent_endpoint,
        ca_bundle,
        activation,
        online_within,
        package,
    } = environment;
    write!(text, "\n[environments.{name}]\n").ok();
    line(text, "region", &quoted(region));
    line(text, "role", &quoted(role));
    line(text, "instance_name", &quoted(&instance_name.0));
    for (key, value) in [("profile", profile), ("endpoint", endpoint), ("agent_endpoint", agent_endpoint)] {
        if let Some(value) = value {
            line(text, key, &quoted(value));
        }
    }
    if let Some(bundle) = ca_bundle {
        line(text, "ca_bundle", &path(bundle)?);
    }
    line(text, "online_within", &quoted(&duration(*online_within)));
    line(text, "activation", &activation_text(activation)?);
    write_tags(text, tags.iter());
    let PackageWish { source, verify, keys, sha256 } = package;
    if let Some(source) = source {
        let is_file = !source.contains("://") && source != "aws" && !source.starts_with("aws:");
        line(text, "package.source", &if is_file { path(Path::new(source))? } else { quoted(source) });
    }
    if let Some(verify) = verify {
        let word = match verify {
            VerifyWish::Required => "required",
            VerifyWish::IfPresent => "if-present",
            VerifyWish::Off => "off",
        };
        line(text, "package.verify", &quoted(word));
    }
    if !keys.is_empty() {
        line(text, "package.keys", &paths(keys)?);
    }
    if let Some(digest) = sha256 {
        line(text, "package.sha256", &quoted(digest));
    }
    Ok(())
}

fn activation_text(activation: &ActivationSource) -> Result<String, NotUtf8> {
    let source = |key: &str, source: &TextSource| {
        Ok(match source {
            TextSource::Plain(text) => format!("{key} = {}", quoted(text)),
            TextSource::File(file) => format!("{key}_file = {}", path(file)?),
            TextSource::Variable(name) => format!("{key}_env = {}", quoted(name)),
        })
    };
    Ok(match activation {
        ActivationSource::Create { expires_in } => {
            format!("{{ expires_in = {} }}", quoted(&duration(*expires_in)))
        }
        // No inventory holds a code, so none gets here; if one did, it would not be written.
        ActivationSource::Given { id, code: TextSource::Plain(_) } => format!("{{ {} }}", source("id", id)?),
        ActivationSource::Given { id, code } => {
            format!("{{ {}, {} }}", source("id", id)?, source("code", code)?)
        }
    })
}

fn write_place(text: &mut String, host: &HostSpec) {
    line(text, "name", &quoted(host.name.as_str()));
    match host.connection {
        Connection::Ssh => line(text, "address", &quoted(&host.address)),
        Connection::Local => line(text, "connection", "\"local\""),
    }
}

fn write_membership(text: &mut String, host: &HostSpec) {
    write_place(text, host);
    line(text, "environment", &quoted(host.environment.name.as_str()));
    if !host.groups.is_empty() {
        let groups: Vec<_> = host.groups.iter().map(|group| quoted(group.as_str())).collect();
        line(text, "groups", &format!("[{}]", groups.join(", ")));
    }
}

fn write_settings<'s>(text: &mut String, settings: impl Iterator<Item = &'s (&'static str, String)>) {
    for (key, value) in settings {
        line(text, key, value);
    }
}

fn write_tags<'t>(text: &mut String, tags: impl Iterator<Item = (&'t String, &'t String)>) {
    let tags: Tags = tags.map(|(key, value)| (key.clone(), value.clone())).collect();
    for (key, value) in &tags {
        line(text, &format!("tags.{}", quoted(key)), &quoted(value));
    }
}

fn jump_text(jump: &[JumpHost]) -> String {
    let hosts: Vec<_> = jump.iter().map(|host| quoted(&host.to_string())).collect();
    if hosts.is_empty() { quoted("none") } else { format!("[{}]", hosts.join(", ")) }
}

fn comments(text: &mut String, lines: &[String]) {
    // On one line each: what follows a line end would be read.
    for line in lines {
        writeln!(text, "# {}", clean(line)).ok();
    }
}

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a string cannot fail.
    writeln!(text, "{key} = {value}").ok();
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn path(path: &Path) -> Result<String, NotUtf8> {
    let full = absolute(path).unwrap_or_else(|_| path.to_owned());
    full.to_str().map(quoted).ok_or(NotUtf8(full.clone()))
}

fn paths(all: &[PathBuf]) -> Result<String, NotUtf8> {
    let all: Vec<_> = all.iter().map(|one| path(one)).collect::<Result<_, _>>()?;
    Ok(format!("[{}]", all.join(", ")))
}
