//! The inventory of a lab, in the product's own format, written from what runs.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;

/// One guest as a host of the inventory.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) environment: String,
}

/// Where the endpoint is, for the controller and for agents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Urls<'a> {
    pub(crate) controller: &'a str,
    pub(crate) agent: &'a str,
    pub(crate) region: &'a str,
}

#[derive(Serialize)]
struct Inventory<'a> {
    defaults: Defaults,
    package: Package,
    environments: BTreeMap<&'a str, Environment<'a>>,
    hosts: &'a [Host],
}

#[derive(Serialize)]
struct Defaults {
    user: &'static str,
    identity: &'static str,
    known_hosts: &'static str,
    r#become: &'static str,
}

#[derive(Serialize)]
struct Package {
    source: &'static str,
    keys: [&'static str; 1],
    verify: &'static str,
}

#[derive(Serialize)]
struct Environment<'a> {
    region: &'a str,
    role: &'static str,
    instance_name: &'static str,
    endpoint: &'a str,
    agent_endpoint: &'a str,
    tags: BTreeMap<&'static str, &'a str>,
}

/// The text of `hosts.toml`; every path in it is relative to that file.
pub(crate) fn text(hosts: &[Host], urls: Urls<'_>) -> Result<String> {
    let environment = |host: &'_ Host| host.environment.as_str().to_owned();
    let names: Vec<String> = hosts.iter().map(environment).collect();
    let environments = names.iter().map(|name| {
        let environment = Environment {
            region: urls.region,
            role: "LabRole",
            instance_name: "{environment}-{host}",
            endpoint: urls.controller,
            agent_endpoint: urls.agent,
            tags: BTreeMap::from([("stage", name.as_str())]),
        };
        (name.as_str(), environment)
    });
    let inventory = Inventory {
        defaults: Defaults {
            user: "admin",
            identity: "id_ed25519",
            known_hosts: "known_hosts",
            r#become: "sudo",
        },
        package: Package { source: "packages", keys: ["packages/signer.asc"], verify: "required" },
        environments: environments.collect(),
        hosts,
    };
    toml::to_string(&inventory).context("the lab's inventory is not TOML")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_and_its_environment_stand_in_the_inventory() {
        let host = |name: &str, port, environment: &str| Host {
            name: name.to_owned(),
            address: "127.0.0.1".to_owned(),
            port,
            environment: environment.to_owned(),
        };
        let hosts = [host("deb-1", 40022, "dev"), host("rpm-1", 40023, "prod")];
        let urls =
            Urls { controller: "http://127.0.0.1:1", agent: "http://10.0.2.2:1", region: "eu-central-1" };
        let text = text(&hosts, urls).unwrap();
        assert!(text.starts_with("[defaults]"), "no remark of a lab's in the inventory of a fleet: {text}");
        let written: toml::Table = toml::from_str(&text).unwrap();
        let expected: toml::Table = toml::from_str(
            r#"
            [defaults]
            user = "admin"
            identity = "id_ed25519"
            known_hosts = "known_hosts"
            become = "sudo"
            [package]
            source = "packages"
            keys = ["packages/signer.asc"]
            verify = "required"
            [environments.dev]
            region = "eu-central-1"
            role = "LabRole"
            instance_name = "{environment}-{host}"
            tags = { stage = "dev" }
            endpoint = "http://127.0.0.1:1"
            agent_endpoint = "http://10.0.2.2:1"
            [environments.prod]
            region = "eu-central-1"
            role = "LabRole"
            instance_name = "{environment}-{host}"
            tags = { stage = "prod" }
            endpoint = "http://127.0.0.1:1"
            agent_endpoint = "http://10.0.2.2:1"
            [[hosts]]
            name = "deb-1"
            address = "127.0.0.1"
            port = 40022
            environment = "dev"
            [[hosts]]
            name = "rpm-1"
            address = "127.0.0.1"
            port = 40023
            environment = "prod"
            "#,
        )
        .unwrap();
        assert_eq!(written, expected);
    }
}
