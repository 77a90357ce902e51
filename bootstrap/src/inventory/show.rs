//! An expanded inventory for people (tables) and for programs (JSON). There is no secret in it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use comfy_table::{Table, presets};
use jiff::fmt::friendly::SpanPrinter;
use serde_json::{Value, json};

use super::model::{
    ActivationSource, Connection, Environment, Escalation, HostKeyPolicy, HostSpec, Inventory, JumpHost,
    TextSource,
};
use super::network::Proxy;

impl Inventory {
    /// The expanded inventory as JSON; durations as in the file.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "schema": 1,
            "path": shown(&self.path),
            "concurrency": self.concurrency,
            "run_within": self.run_within.map(duration),
            "environments": self.environments.values().map(|environment| environment_json(environment)).collect::<Vec<_>>(),
            "hosts": self.hosts.iter().map(|host| host_json(host)).collect::<Vec<_>>(),
            "gates": self.gates.iter().map(|host| host_json(host)).collect::<Vec<_>>(),
        })
    }

    /// The expanded inventory as two tables, of environments and of hosts.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut environments =
            table(&["ENVIRONMENT", "REGION", "ROLE", "ACTIVATION", "PACKAGE", "ENDPOINT", "HOSTS"]);
        for environment in self.environments.values() {
            let hosts = self.hosts.iter().filter(|host| host.environment.name == environment.name).count();
            environments.add_row([
                environment.name.to_string(),
                environment.region.clone(),
                environment.role.clone(),
                activation_text(&environment.activation),
                environment.package.source.clone().unwrap_or_else(|| "AWS".to_owned()),
                environment.endpoint.clone().unwrap_or_else(|| "AWS".to_owned()),
                hosts.to_string(),
            ]);
        }
        let mut hosts =
            table(&["HOST", "LOGIN", "BECOME", "ENVIRONMENT", "GROUPS", "HOST KEY", "NAME", "TAGS"]);
        for host in &self.hosts {
            hosts.add_row([
                host.name.to_string(),
                login_text(host),
                escalation_text(host.escalation).to_owned(),
                host.environment.name.to_string(),
                list(host.groups.iter().map(ToString::to_string)),
                by_ssh(host).and_then(|host| host.host_key.as_ref()).map_or("-", host_key_text).to_owned(),
                host.environment.instance_name.render(host),
                list(host.tags.iter().map(|(key, value)| format!("{key}={value}"))),
            ]);
        }
        let mut text = format!("{}\n\n{}\n", trimmed(&environments), trimmed(&hosts));
        if !self.gates.is_empty() {
            let mut gates = table(&["ON THE WAY ONLY", "LOGIN", "HOST KEY"]);
            for gate in &self.gates {
                let key = gate.host_key.as_ref().map_or("-", host_key_text);
                gates.add_row([gate.name.as_str(), &login_text(gate), key]);
            }
            text.push('\n');
            text.push_str(&trimmed(&gates));
            text.push('\n');
        }
        text
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    if items.is_empty() { "-".to_owned() } else { items.join(", ") }
}

pub(super) fn duration(duration: Duration) -> String {
    SpanPrinter::new().unsigned_duration_to_string(&duration)
}

// JSON is UTF-8; a path need not be.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn all_shown(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| shown(path)).collect()
}

fn activation_text(activation: &ActivationSource) -> String {
    match activation {
        ActivationSource::Create { expires_in } => format!("created, {}", duration(*expires_in)),
        ActivationSource::Given { id: TextSource::Plain(id), .. } => format!("given, {id}"),
        ActivationSource::Given { .. } => "given".to_owned(),
    }
}

/// A host whose settings about SSH say something.
fn by_ssh(host: &HostSpec) -> Option<&HostSpec> {
    (host.connection == Connection::Ssh).then_some(host)
}

fn login_text(host: &HostSpec) -> String {
    match host.connection {
        Connection::Local => "local".to_owned(),
        // Written as a jump host is: the parts that are said.
        Connection::Ssh => {
            JumpHost { user: host.user.clone(), name: host.address.clone(), port: host.port }.to_string()
        }
    }
}

pub(super) fn escalation_text(escalation: Escalation) -> &'static str {
    match escalation {
        Escalation::Sudo => "sudo",
        Escalation::Doas => "doas",
        Escalation::None => "none",
    }
}

pub(super) fn host_key_text(policy: &HostKeyPolicy) -> &str {
    match policy {
        HostKeyPolicy::Strict => "strict",
        HostKeyPolicy::AcceptNew => "accept-new",
        HostKeyPolicy::Pinned(fingerprint) => fingerprint,
    }
}

// As the file's keys: `id`, `id_file`, `id_env`.
fn text_source(key: &str, source: &TextSource) -> (String, Value) {
    match source {
        TextSource::Plain(text) => (key.to_owned(), json!(text)),
        TextSource::File(path) => (format!("{key}_file"), json!(shown(path))),
        TextSource::Variable(name) => (format!("{key}_env"), json!(name)),
    }
}

fn activation_json(activation: &ActivationSource) -> Value {
    match activation {
        ActivationSource::Create { expires_in } => json!({ "expires_in": duration(*expires_in) }),
        ActivationSource::Given { id, code } => {
            Value::Object([text_source("id", id), text_source("code", code)].into_iter().collect())
        }
    }
}

fn environment_json(environment: &Environment) -> Value {
    json!({
        "name": environment.name,
        "region": environment.region,
        "role": environment.role,
        "profile": environment.profile,
        "instance_name": environment.instance_name.0,
        "endpoint": environment.endpoint,
        "agent_endpoint": environment.agent_endpoint,
        "ca_bundle": environment.ca_bundle.as_deref().map(shown),
        "activation": activation_json(&environment.activation),
        "online_within": duration(environment.online_within),
        "package": {
            "source": environment.package.source,
            "verify": environment.package.verify,
            "keys": all_shown(&environment.package.keys),
            "sha256": environment.package.sha256,
        },
    })
}

fn host_json(host: &HostSpec) -> Value {
    let ssh = by_ssh(host);
    json!({
        "name": host.name,
        "connection": host.connection,
        "address": ssh.map(|host| &host.address),
        "port": ssh.and_then(|host| host.port),
        "user": ssh.and_then(|host| host.user.as_ref()),
        "identity": host.identities.as_deref().map(all_shown),
        "jump": ssh.and_then(|host| host.jump.as_ref()).map(|jump| {
            jump.iter().map(ToString::to_string).collect::<Vec<_>>()
        }),
        "ssh_password": ssh.map(|host| if host.password { "ask" } else { "none" }),
        "become": host.escalation,
        "become_prompt": host.become_prompt,
        "deliver": host.deliver,
        "proxy": host.proxy.as_ref().map(Proxy::url),
        "no_proxy": host.proxy.as_ref().map(Proxy::except),
        "environment": host.environment.name,
        "groups": host.groups,
        "instance_name": host.environment.instance_name.render(host),
        "tags": *host.tags,
        "host_key": ssh.and_then(|host| host.host_key.as_ref()).map(host_key_text),
        "known_hosts": ssh.and_then(|host| host.known_hosts.as_deref()).map(all_shown),
        "limits": {
            "connect": host.limits.connect.map(duration),
            "command": duration(host.limits.command),
            "host": duration(host.limits.host),
            "retries": host.limits.retries,
        },
    })
}
