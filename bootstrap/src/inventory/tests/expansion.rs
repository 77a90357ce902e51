//! Good inventories, and what becomes of them.

use std::time::Duration;

use super::{COMMON, Room, find, with};
use crate::inventory::{
    ActivationSource, Connection, Escalation, GroupName, HostKeyPolicy, TextSource, VerifyWish,
};

#[test]
fn what_is_left_out_has_the_documented_defaults() {
    let room = Room::new();
    let inventory = room.read(&with("[[hosts]]\nname = \"a\"\n"));
    assert_eq!((inventory.concurrency, inventory.run_within), (50, None));
    let host = find(&inventory, "a");
    assert_eq!((host.address.as_str(), host.port, host.escalation), ("a", None, Escalation::Sudo));
    // What is not said may be said elsewhere.
    assert_eq!((&host.host_key, &host.known_hosts, &host.jump), (&None, &None, &None));
    assert_eq!(host.identities, Some(vec![room.path("key")]));
    let minutes = Duration::from_mins;
    assert_eq!(host.limits.connect, None);
    assert_eq!((host.limits.command, host.limits.host), (minutes(10), minutes(30)));
    let environment = &host.environment;
    assert_eq!(environment.name.as_str(), "dev");
    assert_eq!(environment.instance_name.render(host), "a");
    assert_eq!(environment.online_within, minutes(5));
    assert_eq!(environment.activation, ActivationSource::Create { expires_in: minutes(240) });
    assert_eq!((environment.package.source.as_ref(), environment.package.verify), (None, None));
}

#[test]
fn a_range_of_names_is_paired_with_its_range_of_addresses() {
    let inventory =
        Room::new().read(&with("[[hosts]]\nname = \"r[1:2]-[09:10]\"\naddress = \"10.0.[3:4].[7:8]\"\n"));
    let pairs: Vec<_> =
        inventory.hosts.iter().map(|host| (host.name.as_str(), host.address.as_str())).collect();
    assert_eq!(
        pairs,
        [("r1-09", "10.0.3.7"), ("r1-10", "10.0.3.8"), ("r2-09", "10.0.4.7"), ("r2-10", "10.0.4.8")]
    );
}

#[test]
fn ipv6_addresses_are_taken_plain_bracketed_and_as_ranges() {
    let text = r#"
        hosts = [
            { name = "a", address = "fe80::1%eth0" },
            { name = "b", address = "[fd00::b]" },
            { name = "c[1:2]", address = "fd00::[10:11]" },
        ]
    "#;
    let inventory = Room::new().read(&format!("{text}{COMMON}"));
    let addresses: Vec<_> = inventory.hosts.iter().map(|host| host.address.as_str()).collect();
    assert_eq!(addresses, ["fe80::1%eth0", "fd00::b", "fd00::10", "fd00::11"]);
}

#[test]
fn the_host_wins_over_its_groups_and_these_over_the_defaults() {
    let inventory = Room::new().read(&with(
        r#"
        [groups.g]
        hosts = ["a", "b", "c"]
        port = 2222
        become = "none"
        limits = { connect = "5s" }
        [[hosts]]
        name = "a"
        port = 22
        limits = { command = "1h30m" }
        [[hosts]]
        name = "b"
        [[hosts]]
        name = "d"
        "#,
    ));
    let seen: Vec<_> = (inventory.hosts.iter())
        .map(|host| (host.name.as_str(), host.port, host.escalation, host.limits.connect))
        .collect();
    let expected = [
        ("a", Some(22), Escalation::None, Some(Duration::from_secs(5))),
        ("b", Some(2222), Escalation::None, Some(Duration::from_secs(5))),
        ("d", None, Escalation::Sudo, None),
        // Not among the [[hosts]], so it comes last.
        ("c", Some(2222), Escalation::None, Some(Duration::from_secs(5))),
    ];
    assert_eq!(seen, expected);
    assert_eq!(find(&inventory, "a").limits.command, Duration::from_mins(90));
}

#[test]
fn tags_are_joined_and_the_later_layer_wins() {
    let inventory = Room::new().read(
        r#"
        [defaults]
        user = "pi"
        identity = "key"
        tags = { a = "defaults", b = "defaults", c = "defaults", d = "defaults" }
        [environments.dev]
        region = "eu-central-1"
        role = "SSM"
        tags = { b = "environment", c = "environment", d = "environment" }
        [groups.g]
        hosts = ["h"]
        tags = { c = "group", d = "group" }
        [[hosts]]
        name = "h"
        tags = { d = "host", "größe" = "" }
        "#,
    );
    let tags: Vec<_> =
        find(&inventory, "h").tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let expected = [("a", "defaults"), ("b", "environment"), ("c", "group"), ("d", "host"), ("größe", "")];
    assert_eq!(tags, expected);
}

#[test]
fn groups_that_agree_and_groups_that_the_host_overrides_are_no_conflict() {
    let inventory = Room::new().read(&with(
        r#"
        [groups.one]
        port = 1
        user = "same"
        tags = { t = "1", u = "same" }
        [groups.two]
        port = 2
        user = "same"
        tags = { t = "2", u = "same" }
        [[hosts]]
        name = "a"
        port = 3
        groups = ["two", "one"]
        tags = { t = "3" }
        "#,
    ));
    let host = find(&inventory, "a");
    assert_eq!((host.port, host.user.as_deref(), host.tags["t"].as_str()), (Some(3), Some("same"), "3"));
    assert_eq!(host.groups.iter().map(GroupName::as_str).collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn an_environment_takes_all_its_keys() {
    let room = Room::new();
    let inventory = room.read(
        r#"
        [defaults]
        user = "pi"
        identity = "~/.ssh/lab"
        host_key = "SHA256:uNiVztksCsDhcc0u9e8BrjJUCoWDLRBMwoAtyGlqB+o"
        run_within = "2 days"
        [package]
        source = "packages"
        verify = "off"
        sha256 = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"
        [environments.prod]
        region = "us-gov-west-1"
        role = "service-role/SSM"
        profile = "p"
        instance_name = "{environment}/{host}@{address}"
        endpoint = "https://[::1]:8443"
        agent_endpoint = "http://10.0.2.2:8080"
        ca_bundle = "keys/lab-ca.pem"
        online_within = "90s"
        activation = { id_env = "ID", code_file = "code" }
        package.source = "https://packages.example.com/"
        package.keys = "keys/packager.asc"
        [environments.other]
        region = "eu-central-1"
        role = "SSM"
        [[hosts]]
        name = "a"
        address = "10.0.0.1"
        environment = "prod"
        "#,
    );
    assert_eq!(inventory.run_within, Some(Duration::from_hours(48)));
    let host = find(&inventory, "a");
    assert_eq!(host.identities, Some(vec![room.path("home/.ssh/lab")]));
    assert!(matches!(&host.host_key, Some(HostKeyPolicy::Pinned(pin)) if pin.ends_with("lqB+o")));
    let environment = &host.environment;
    assert_eq!(environment.instance_name.render(host), "prod/a@10.0.0.1");
    assert_eq!(environment.ca_bundle, Some(room.path("keys/lab-ca.pem")));
    let code = TextSource::File(room.path("code"));
    assert_eq!(
        environment.activation,
        ActivationSource::Given { id: TextSource::Variable("ID".into()), code }
    );
    let package = &environment.package;
    assert_eq!(package.source.as_deref(), Some("https://packages.example.com/"));
    assert_eq!((package.verify, package.sha256.as_ref()), (Some(VerifyWish::Off), None));
    assert_eq!(package.keys, [room.path("keys/packager.asc")]);
    let other = &inventory.environments.values().next().unwrap().package;
    assert_eq!(other.source, Some(room.path("packages").display().to_string()));
    let empty_digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(other.sha256.as_deref(), Some(empty_digest));
}

#[test]
fn a_fleet_is_shown_as_tables_and_as_json() {
    let inventory = Room::new().read(&with(
        "[groups.rack]\ntags = { rack = \"1\" }\n[[hosts]]\nname = \"pi-[1:2]\"\naddress = \"fd00::[1:2]\"\ngroups = [\"rack\"]\n",
    ));
    insta::assert_snapshot!(inventory.to_text(), @r#"
    ENVIRONMENT  REGION        ROLE  ACTIVATION   PACKAGE  ENDPOINT  HOSTS
    dev          eu-central-1  SSM   created, 4h  AWS      AWS       2

    HOST  LOGIN         BECOME  ENVIRONMENT  GROUPS  HOST KEY  NAME  TAGS
    pi-1  pi@[fd00::1]  sudo    dev          rack    -         pi-1  rack=1
    pi-2  pi@[fd00::2]  sudo    dev          rack    -         pi-2  rack=1
    "#);
    let json = inventory.to_json();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["hosts"][1]["address"], "fd00::2");
    // What the inventory does not say is not made up.
    assert!(json["hosts"][1]["limits"]["connect"].is_null() && json["hosts"][1]["port"].is_null());
    assert_eq!(json["environments"][0]["activation"]["expires_in"], "4h");
}

#[test]
fn a_local_host_needs_no_login_and_leaves_that_of_others_alone() {
    let text = r#"
        hosts = [{ name = "here", connection = "local" }, { name = "there" }]
        [defaults]
        user = "pi"
        identity = "key"
        [environments.dev]
        region = "eu-central-1"
        role = "SSM"
        instance_name = "{host}@{address}"
    "#;
    let inventory = Room::new().read(text);
    let (here, there) = (find(&inventory, "here"), find(&inventory, "there"));
    assert_eq!((here.connection, there.connection), (Connection::Local, Connection::Ssh));
    assert_eq!((here.user.as_deref(), &here.identities), (Some("me"), &None));
    assert_eq!(here.environment.instance_name.render(here), "here@localhost");
    let shown = inventory.to_json();
    assert_eq!(shown["hosts"][0]["connection"], "local");
    assert!(shown["hosts"][0]["user"].is_null() && shown["hosts"][1]["user"] == "pi");
    assert!(inventory.to_text().lines().any(|line| line.starts_with("here   local ")));

    // Without any login at all.
    let alone = "[environments.dev]\nregion = \"eu-central-1\"\nrole = \"SSM\"\n[[hosts]]\nname = \"a\"\n";
    let inventory = Room::new().read(&format!("{alone}connection = \"local\"\nbecome = \"none\"\n"));
    assert_eq!(find(&inventory, "a").escalation, Escalation::None);
}

#[test]
fn a_hosts_proxy_comes_from_its_layers_and_none_is_a_straight_way() {
    let inventory = Room::new().read(
        r#"
        hosts = [{ name = "a" }, { name = "b", proxy = "none" }, { name = "c", proxy = "http://other.example:8080/" }]
        [defaults]
        user = "pi"
        identity = "key"
        proxy = "http://proxy.example:3128"
        no_proxy = ["10.0.0.0/8", ".lan"]
        [environments.dev]
        region = "eu-central-1"
        role = "SSM"
        "#,
    );
    let proxy = |name: &str| {
        let proxy = find(&inventory, name).proxy.as_ref()?;
        Some((proxy.url().to_owned(), proxy.no_proxy()))
    };
    let except = "169.254.169.254,10.0.0.0/8,.lan".to_owned();
    assert_eq!(proxy("a"), Some(("http://proxy.example:3128".to_owned(), except.clone())));
    assert_eq!(proxy("b"), None);
    assert_eq!(proxy("c"), Some(("http://other.example:8080".to_owned(), except)));
    let shown = inventory.to_json();
    assert_eq!(shown["hosts"][0]["no_proxy"][1], ".lan");
    assert!(shown["hosts"][1]["proxy"].is_null());
}
