//! What is said when names, groups, environments and files don't fit together.

use insta::assert_snapshot;

use super::{Room, with};

#[test]
fn names_and_addresses_are_unique() {
    let text = with(
        r#"
[[hosts]]
name = "a[1:3]"
[[hosts]]
name = "a[2:4]"
[[hosts]]
name = "b"
address = "A1"
[[hosts]]
name = "c"
address = "fd00::0:1"
[[hosts]]
name = "d"
address = "[fd00::1]"
[[hosts]]
name = "e"
address = "fd00::1"
port = 2222
"#,
    );
    assert_snapshot!(Room::new().problems(&text), @r#"
    hosts.toml:11:8: error: host `a2` is already defined in line 9
        11 | name = "a[2:4]"
           |        ^^^^^^^^
      hint: a name is one host: rename or remove one of them

    hosts.toml:14:11: error: host `b` has the address of `a1` in line 9: A1 port 22
        14 | address = "A1"
           |           ^^^^
      hint: one host would be enrolled twice: remove one, or correct its address

    hosts.toml:20:11: error: host `d` has the address of `c` in line 16: fd00::1 port 22
        20 | address = "[fd00::1]"
           |           ^^^^^^^^^^^
      hint: one host would be enrolled twice: remove one, or correct its address
    "#);
}

#[test]
fn what_is_referred_to_must_exist() {
    let text = with(
        r#"
[environments.prod]
region = "eu-west-1"
role = "r"
[groups.rack]
environment = "stage"
[[hosts]]
name = "a"
environment = "dve"
groups = ["rak", "zzz"]
[[hosts]]
name = "b[1:2]"
"#,
    );
    assert_snapshot!(Room::new().problems(&text), @r#"
    hosts.toml:12:15: error: unknown environment `stage`
        12 | environment = "stage"
           |               ^^^^^^^
      hint: there are: dev, prod

    hosts.toml:15:15: error: unknown environment `dve`
        15 | environment = "dve"
           |               ^^^^^
      hint: did you mean `dev`?

    hosts.toml:16:11: error: unknown group `rak`
        16 | groups = ["rak", "zzz"]
           |           ^^^^^
      hint: did you mean `rack`?

    hosts.toml:16:18: error: unknown group `zzz`
        16 | groups = ["rak", "zzz"]
           |                  ^^^^^
      hint: define it: [groups.zzz]

    hosts.toml:18:8: error: host `b[1:2]` has no environment
        18 | name = "b[1:2]"
           |        ^^^^^^^^
      hint: add `environment` to the host, a group or [defaults]; there are: dev, prod
    "#);
}

#[test]
fn a_host_without_an_environment_is_reported_once_for_its_range() {
    assert_snapshot!(Room::new().problems("[[hosts]]\nname = \"a[1:9]\"\n"), @r#"
    hosts.toml:2:8: error: host `a[1:9]` has no environment
         2 | name = "a[1:9]"
           |        ^^^^^^^^
      hint: define one: [environments.NAME] with `region` and `role`
    "#);
}

#[test]
fn groups_that_disagree_about_a_host_are_both_named() {
    let text = with(
        r#"
[groups.one]
hosts = ["a", "b"]
port = 1
tags = { t = "1" }
limits = { host = "1h" }
[groups.two]
hosts = ["a", "b"]
port = 2
tags = { t = "2" }
limits = { host = "2h" }
"#,
    );
    assert_snapshot!(Room::new().problems(&text), @r#"
    hosts.toml:15:8: error: groups `one` and `two` set `port` differently for host `a`
        15 | port = 2
           |        ^
      hint: set it on the host itself, or in one of the groups only

    hosts.toml:16:14: error: groups `one` and `two` set tag `t` differently for host `a`
        16 | tags = { t = "2" }
           |              ^^^
      hint: set it on the host itself, or in one of the groups only

    hosts.toml:17:19: error: groups `one` and `two` set `limits.host` differently for host `a`
        17 | limits = { host = "2h" }
           |                   ^^^^
      hint: set it on the host itself, or in one of the groups only
    "#);
}

#[test]
fn files_must_exist_be_readable_and_keys_be_private() {
    let room = Room::new();
    room.file("open", 0o644);
    room.file("key.pub", 0o644);
    let text = with(
        r#"
[[hosts]]
name = "a"
identity = ["none", "no/where", "open", "key.pub", "packages", "", "~joe/key", "$HOME/key"]
known_hosts = "absent"
"#,
    );
    assert_snapshot!(room.problems(&text), @r#"
    hosts.toml:10:13: error: identity ROOM/none does not exist
        10 | identity = ["none", "no/where", "open", "key.pub", "packages", "", "~joe/key", "$HOME/key"]
           |             ^^^^^^
      hint: check its name, or create it

    hosts.toml:10:21: error: identity ROOM/no/where does not exist
        10 | identity = ["none", "no/where", "open", "key.pub", "packages", "", "~joe/key", "$HOME/key"]
           |                     ^^^^^^^^^^
      hint: relative paths start at the inventory's directory, `~` is your home directory

    hosts.toml:10:33: error: identity ROOM/open is open to others (mode 0644)
        10 | identity = ["none", "no/where", "open", "key.pub", "packages", "", "~joe/key", "$HOME/key"]
           |                                 ^^^^^^
      hint: chmod 600 ROOM/open

    hosts.toml:10:41: error: identity ROOM/key.pub is the public half of a key pair
        10 | identity = ["none", "no/where", "open", "key.pub", "packages", "", "~joe/key", "$HOME/key"]
           |                                         ^^^^^^^^^
      hint: name the private one: "key"

    hosts.toml:10:52: error: identity ROOM/packages is not a file
        10 | identity = ["none", "no/where", "open", "key.pub", "packages", "", "~joe/key", "$HOME/key"]
           |                                                    ^^^^^^^^^^
      hint: name the file itself

    hosts.toml:10:64: error: an empty path
        10 | identity = ["none", "no/where", "open", "key.pub", "packages", "", "~joe/key", "$HOME/key"]
           |                                                                ^^
      hint: name a file, or take it out

    hosts.toml:10:68: error: another user's home directory is not looked up
        10 | identity = ["none", "no/where", "open", "key.pub", "packages", "", "~joe/key", "$HOME/key"]
           |                                                                    ^^^^^^^^^^
      hint: `~/` is your own home directory; write anybody else's in full

    hosts.toml:10:80: error: variables are not filled in
        10 | identity = ["none", "no/where", "open", "key.pub", "packages", "", "~joe/key", "$HOME/key"]
           |                                                                                ^^^^^^^^^^^
      hint: write the path, or start it with `~/`

    hosts.toml:11:15: error: known_hosts ROOM/absent does not exist
        11 | known_hosts = "absent"
           |               ^^^^^^^^
      hint: check its name, or create it
    "#);
}

#[test]
fn a_local_host_is_one_and_says_nothing_of_ssh() {
    let text = with(
        r#"
[groups.here]
hosts = ["b"]
connection = "local"
port = 2222

[[hosts]]
name = "a"
connection = "local"
address = "10.0.0.1"
user = "root"

[[hosts]]
name = "b"

[[hosts]]
name = "c"
connection = "telnet"
"#,
    );
    assert_snapshot!(Room::new().problems(&text), @r#"
    hosts.toml:11:8: error: `port` is about SSH, and host `b` is local
        11 | port = 2222
           |        ^^^^
      hint: leave `port` out, or `connection = "local"`

    hosts.toml:16:11: error: `address` is about SSH, and host `a` is local
        16 | address = "10.0.0.1"
           |           ^^^^^^^^^^
      hint: leave `address` out, or `connection = "local"`

    hosts.toml:17:8: error: `user` is about SSH, and host `a` is local
        17 | user = "root"
           |        ^^^^^^
      hint: leave `user` out, or `connection = "local"`

    hosts.toml:20:8: error: host `b` is local, as `a` in line 14 is
        20 | name = "b"
           |        ^^^
      hint: there is one machine that bootstrap runs on: remove one, or set its `connection` to "ssh"

    hosts.toml:24:14: error: `connection` must be "ssh" or "local", not "telnet"
        24 | connection = "telnet"
           |              ^^^^^^^^
    "#);
}

#[test]
fn sites_with_the_same_private_addresses_differ_by_the_way_there() {
    let site = |name: &str, jump: &str| {
        format!("[[hosts]]\nname = \"{name}\"\naddress = \"192.168.1.11\"\njump = \"{jump}\"\n")
    };
    let room = Room::new();
    assert_eq!(room.read(&with(&(site("a", "gate-a") + &site("b", "gate-b")))).hosts.len(), 2);
    let twice = room.problems(&with(&(site("a", "gate-a") + &site("b", "gate-a"))));
    assert!(twice.contains("host `b` has the address of `a`"), "{twice}");
}

#[test]
fn a_group_in_a_group_makes_no_host_of_its_name() {
    let text =
        with("[groups.all]\nhosts = [\"web\", \"one\"]\n[groups.web]\nhosts = [\"two\"]\n[groups.empty]\n");
    assert_snapshot!(Room::new().problems(&text), @r#"
    hosts.toml:8:10: error: `web` is a group, and no host
         8 | hosts = ["web", "one"]
           |          ^^^^^
      hint: list the hosts of `web`; groups have no groups
    "#);
    let named = with("[groups.web]\nhosts = [\"web\"]\n[[hosts]]\nname = \"web\"\n");
    assert_eq!(Room::new().read(&named).hosts.len(), 1, "an entry of that name is a host");
}

#[test]
fn a_host_that_only_leads_to_others_needs_no_environment_but_others() {
    let room = Room::new();
    let environments = "[environments.a]\nregion = \"eu-west-1\"\nrole = \"r\"\n[environments.b]\nregion = \"eu-west-1\"\nrole = \"r\"\n";
    let gate = "[[hosts]]\nname = \"gate\"\nenrol = false\n";
    let web = "[[hosts]]\nname = \"web\"\nenvironment = \"b\"\njump = \"gate\"\n";
    let inventory = room.read(&format!("{environments}{gate}{web}"));
    let names = |hosts: &[std::sync::Arc<crate::inventory::HostSpec>]| {
        hosts.iter().map(|host| (host.name.to_string(), host.position)).collect::<Vec<_>>()
    };
    assert_eq!(names(&inventory.hosts), [("web".to_owned(), 1)]);
    assert_eq!(names(&inventory.gates), [("gate".to_owned(), 1)], "and takes nobody's place");
    assert!(inventory.to_text().contains("gate"));
    let alone = room.problems(&format!("{environments}{gate}"));
    assert!(alone.contains("no host is to be enrolled"), "{alone}");
}
