//! A part of an inventory, written as one, is read back as the same hosts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Inventory, Room};
use crate::inventory::HostSpec;

/// Every setting that an inventory has, somewhere.
const EVERYTHING: &str = r#"
[defaults]
user = "pi"
identity = ["key", "keys/lab"]
concurrency = 7
run_within = "2h"
known_hosts = "known_hosts"
tags = { Owner = "a b @ c" }
[package]
source = "packages"
verify = "off"
keys = "keys/packager.asc"
[environments.dev]
region = "eu-central-1"
role = "SSM"
profile = "lab"
instance_name = "{environment}-{host}"
endpoint = "https://ssm.example.com"
agent_endpoint = "https://agents.example.com"
ca_bundle = "keys/lab-ca.pem"
online_within = "7m30s"
activation = { expires_in = "2d" }
tags = { Site = "lab", "with space" = "x" }
[environments.prod]
region = "eu-west-1"
role = "service-role/SSM"
activation = { id = "6dd0f9c4-8d0c-4e2b-9a3e-3f1f0f4f7a11", code_file = "code" }
package = { source = "aws:3.3.987.0", sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
[environments.unused]
region = "eu-west-1"
role = "SSM"
[groups.rack]
hosts = ["r-[1:3]"]
environment = "dev"
port = 2222
tags = { Rack = "1" }
[[hosts]]
name = "here"
connection = "local"
environment = "prod"
become = "none"
[[hosts]]
name = "six"
address = "fe80::1%eth0"
user = "root"
become = "none"
environment = "prod"
host_key = "SHA256:uNiVztksCsDhcc0u9e8BrjJUCoWDLRBMwoAtyGlqB+o"
tags = { Site = "edge" }
limits = { connect = "90s", command = "1h", host = "1d" }
jump = ["gate", "root@[fd00::7]:2200"]
[[hosts]]
name = "gate"
address = "gate.example.com"
port = 2022
user = "jump"
enrol = false
jump = "r-2"
[[hosts]]
name = "r-2"
address = "10.0.0.2"
host_key = "accept-new"
"#;

fn excerpt(inventory: &Inventory, names: &[&str]) -> String {
    let chosen = inventory.hosts.iter().filter(|host| names.contains(&host.name.as_str()));
    let remarks: BTreeMap<_, _> =
        chosen.map(|host| (&host.name, vec!["failed:\nname = \"x\"\u{1b}[31m".to_owned()])).collect();
    inventory.excerpt(&["3 of 5".to_owned()], &remarks).unwrap()
}

/// Everything of these hosts and of their environments.
fn of(inventory: &Inventory, names: &[&str]) -> Vec<Value> {
    let all = inventory.to_json();
    let chosen = |host: &&Value| names.contains(&host["name"].as_str().unwrap());
    let hosts: Vec<Value> = all["hosts"].as_array().unwrap().iter().filter(chosen).cloned().collect();
    let environments = all["environments"].as_array().unwrap().iter();
    let used = environments
        .filter(|environment| hosts.iter().any(|host| host["environment"] == environment["name"]));
    used.chain(&hosts).chain([&all["concurrency"], &all["run_within"]]).cloned().collect()
}

#[test]
fn it_is_read_back_as_the_same_hosts_whichever_they_are() {
    let room = Room::new();
    let inventory = room.read(EVERYTHING);
    let all: Vec<_> = inventory.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(all.len(), 5, "{all:?}");
    for names in [&all[..], &["six"], &["here"], &["here", "r-1"], &["r-1", "r-2", "r-3"], &["six", "r-3"]] {
        let text = excerpt(&inventory, names);
        let again = Inventory::parse(
            &text,
            "failed.toml".as_ref(),
            &super::Base { directory: "/nowhere".into(), ..room.base() },
        );
        let again = again.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert_eq!(again.hosts.len(), names.len(), "{text}");
        assert_eq!(of(&again, names), of(&inventory, names), "{text}");
    }
}

#[test]
fn what_leads_to_a_host_comes_along_without_being_enrolled() {
    let room = Room::new();
    let inventory = room.read(EVERYTHING);
    let text = excerpt(&inventory, &["six"]);
    let again = Inventory::parse(&text, "failed.toml".as_ref(), &room.base())
        .unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    let ways: Vec<_> = again.gates.iter().map(|gate| gate.name.as_str()).collect();
    assert_eq!(ways, ["gate", "r-2"], "{text}");
    for gate in &again.gates {
        let mut all = inventory.hosts.iter().chain(&inventory.gates);
        let before = all.find(|host| host.name == gate.name).unwrap();
        let place = |host: &HostSpec| {
            let HostSpec { address, port, user, identities, jump, host_key, known_hosts, .. } = host.clone();
            (address, port, user, identities, jump, host_key, known_hosts)
        };
        assert_eq!(place(gate), place(before), "{text}");
    }
}

#[test]
fn settings_of_one_host_or_of_all_are_written_once_and_remarks_cannot_be_read() {
    let room = Room::new();
    let text = excerpt(&room.read(EVERYTHING), &["r-1", "r-3"]);
    let text = text.replace(&room.path("").display().to_string(), "ROOM/");
    insta::assert_snapshot!(text, @r#"
    # 3 of 5

    [defaults]
    concurrency = 7
    run_within = "2h"
    user = "pi"
    port = 2222
    identity = ["ROOM/key", "ROOM/keys/lab"]
    known_hosts = ["ROOM/known_hosts"]
    become = "sudo"
    limits.command = "10m"
    limits.host = "30m"
    limits.retries = 2

    [environments.dev]
    region = "eu-central-1"
    role = "SSM"
    instance_name = "{environment}-{host}"
    profile = "lab"
    endpoint = "https://ssm.example.com"
    agent_endpoint = "https://agents.example.com"
    ca_bundle = "ROOM/keys/lab-ca.pem"
    online_within = "7m 30s"
    activation = { expires_in = "48h" }
    tags."Site" = "lab"
    tags."with space" = "x"
    package.source = "ROOM/packages"
    package.verify = "off"
    package.keys = ["ROOM/keys/packager.asc"]

    [groups."rack"]

    [[hosts]]
    # failed: name = "x"
    name = "r-1"
    address = "r-1"
    environment = "dev"
    groups = ["rack"]
    tags."Owner" = "a b @ c"
    tags."Rack" = "1"

    [[hosts]]
    # failed: name = "x"
    name = "r-3"
    address = "r-3"
    environment = "dev"
    groups = ["rack"]
    tags."Owner" = "a b @ c"
    tags."Rack" = "1"
    "#);
}

#[test]
fn known_hosts_that_nobody_named_are_not_named_and_need_not_be_there() {
    let room = Room::new();
    let inventory = room.read(&super::with(
        "[[hosts]]\nname = \"a\"\n[[hosts]]\nname = \"b\"\nknown_hosts = \"known_hosts\"\n",
    ));
    let text = excerpt(&inventory, &["a", "b"]);
    assert_eq!(text.matches("known_hosts").count(), 2, "one key and one path: {text}");
    assert_eq!(of(&room.read(&text), &["a", "b"]), of(&inventory, &["a", "b"]), "{text}");
}
